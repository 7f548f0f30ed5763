"""A trained run as an object, for notebooks and commands.

  run = runs.load('runs/demo')
  video = run.sample(16, label='red')  # uint8 [b, t, h, w, c]

The workdir of a run has its config, the schema of its data, and checkpoints.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any

from ml_collections import ConfigDict
import numpy as np

from vgen_jax.config import settings as settings_lib
from vgen_jax.core import checks
from vgen_jax.core import digests
from vgen_jax.core import file_paths
from vgen_jax.core.types import Schema
from vgen_jax.data import pipeline
from vgen_jax.evaluation.metrics import results
from vgen_jax.families.base import VideoModel
from vgen_jax.inference import evaluations
from vgen_jax.inference import own_conditions
from vgen_jax.inference import real_clips
from vgen_jax.inference import run_setup
from vgen_jax.inference import sampling
from vgen_jax.inference import validation
from vgen_jax.runtime import checkpoint_parts
from vgen_jax.runtime import checkpoints
from vgen_jax.runtime.pod import agreement
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState

_BATCH = 64  # Clips generated at a time.


class Run:
  """A trained model with its config and data; see `load`.

  Attributes:
    workdir: Directory of the run.
    config: Config of the run, with the overrides of `load`.
    step: Step of the loaded checkpoint.
    state: Parameters, averages and statistics of that step; `opt` and `guard`
      are empty, because only training needs them.
  """

  def __init__(
    self,
    workdir: str,
    config: ConfigDict,
    setup: setup_lib.Setup,
    state: TrainState,
  ):
    self.workdir = workdir
    self.config = config
    self.state = state
    self.step = int(state.step)
    self._setup = setup

  @property
  def model(self) -> VideoModel:
    """Model with its networks."""
    return self._setup.model

  @property
  def schema(self) -> Schema:
    """Schema of the clips that the model was trained on."""
    return self._setup.schema

  @property
  def source(self) -> pipeline.Source:
    """Source of the training data, with pixels even if the data has only codes.

    The data is opened when this is first used.

    Raises:
      ValueError: If the data has another schema than the training data.
    """
    return self._setup.over_pixels().source

  def sample(
    self,
    num_clips: int,
    *,
    label: str | int | None = None,
    seed: int = 0,
    batch_size: int = _BATCH,
    given: Mapping[str, np.ndarray] | None = None,
  ) -> np.ndarray:
    """Returns generated clips, uint8 `[b, t, h, w, c]`.

    Clip i of a seed does not depend on `num_clips` and `batch_size`.

    Args:
      num_clips: Number of clips.
      label: Class of all clips, by name or index; None for class i modulo the
        number of classes for clip i.
      seed: Seed of the noise.
      batch_size: Number of clips to generate at a time.
      given: Conditions of one clip, which all clips share, instead of those of
        clips of the data; see inference/own_conditions.py.

    Raises:
      ValueError: If there is no such class, the model has no class condition or
        does not accept a given one, or processes of a pod have different
        conditions.
      FloatingPointError: If clips have values that are NaN or infinite.
    """
    checks.at_least('num_clips', num_clips, 1)
    checks.at_least('batch_size', batch_size, 1)
    condition = self.condition(num_clips, label, given)
    agreement.check({'condition': digests.tree(condition)})
    video_bthwc = sampling.generate(
      self._sampler,
      self.state,
      self._setup.mesh,
      condition,
      np.arange(num_clips),
      seed=seed,
      batch_size=min(batch_size, num_clips),
    )
    run_setup.warn_of_shape(video_bthwc.shape[1:], self.schema.clip_shape)
    return video_bthwc

  def evaluate(
    self,
    metrics: Sequence[str] = ('all',),
    num_clips: int = 256,
    *,
    seed: int = 0,
    batch_size: int = _BATCH,
    stop: Callable[[], bool] = lambda: False,
    **options: Any,
  ) -> results.Result | None:
    """Evaluates generated clips, and writes `<workdir>/evaluation/<name>.*`.

    The name has the step, the number of clips and a digest of the protocol.

    An interrupted evaluation continues where it stopped. Metrics whose weights
    are missing are in the result, without a value.

    Args:
      metrics: Names of metrics, which `vgen evaluate --list` prints; 'all' for
        all metrics that fit the run.
      num_clips: Number of clips to generate.
      seed: Seed of the noise.
      batch_size: Number of clips to generate at a time.
      stop: Function that returns whether to stop; it is called before each
        chunk of clips.
      **options: Other fields of `sections.Evaluation`.

    Returns:
      The result; None if the evaluation was stopped before its end.

    Raises:
      ValueError: If a name is unknown, or a metric does not fit the run.
    """
    options = {
      'metrics': tuple(metrics),
      'num_clips': num_clips,
      'seed': seed,
      'batch_size': batch_size,
      **options,
    }
    evaluation = dataclasses.replace(self._setup.settings.evaluation, **options)
    return evaluations.Evaluations(
      self._setup, self._sampler, evaluation, self.workdir
    ).result(self.state, stop)

  def validate(
    self, num_clips: int = 512, *, batch_size: int = _BATCH, seed: int = 0
  ) -> dict[str, float]:
    """Returns the losses on clips that were not trained on.

    The parameters are those that `sample` uses. Clips and noise are the same
    for every run, so that runs can be compared: the noise of a clip depends on
    its position in the split. Therefore losses do not depend on `batch_size`,
    except for rounding. Values that are not means over clips are averaged over
    batches and do depend on it: usage, perplexity and entropy of a codebook,
    free nats, weights that balance losses, and losses that contain these.

    Args:
      num_clips: Number of clips from the start of the split 'validation'; all
        clips if it has fewer.
      batch_size: Number of clips at a time.
      seed: Seed of the noise.

    Returns:
      {'<player>/<name>': mean over the clips}, with the names of the log.

    Raises:
      ValueError: If the data has no such split.
    """
    settings = self._setup.settings
    source = real_clips.validation_split(settings, self._setup.source)
    return validation.mean_losses(
      self._losses,
      self.state,
      source,
      settings,
      num_clips=num_clips,
      batch_size=batch_size,
      seed=seed,
    )

  def condition(
    self,
    num_clips: int,
    label: str | int | None = None,
    given: Mapping[str, np.ndarray] | None = None,
  ) -> dict[str, np.ndarray]:
    """Returns the condition of the clips of `sample`.

    Args:
      num_clips: Number of clips, b.
      label: Class of all clips, by name or index; None for class i modulo the
        number of classes for clip i.
      given: Conditions of one clip, which all clips share.

    Returns:
      Condition, such as {'label': int32 [b]}; {} for a model without
      conditions.
    """
    if isinstance(label, str):
      label = sampling.class_id(self.schema, label)
    return dict(
      sampling.conditions(
        self.model,
        self._setup.data,
        num_clips,
        label,
        given=own_conditions.repeated(given or {}, num_clips),
      )
    )

  @functools.cached_property
  def _losses(self) -> validation.Losses:
    average = self._setup.settings.sample_from
    return validation.make_losses(self.model, average, self._setup.mesh)

  @functools.cached_property
  def _sampler(self) -> sampling.Sampler:
    average = self._setup.settings.sample_from
    return sampling.make_sampler(self.model, average, self._setup.mesh)


def load(
  workdir: str,
  *,
  step: int | None = None,
  overrides: Mapping[str, Any] | None = None,
) -> Run:
  """Returns the run of a workdir, sharded over all devices.

  Args:
    workdir: Local or gs:// directory of the run.
    step: Step of the checkpoint; None for the latest.
    overrides: {dotted path: value} of fields to change in the config, such as
      {'model.solver.num_steps': 20}. The shapes of parameters cannot change.

  Raises:
    ValueError: If there is no run or no such checkpoint, or an override is of
      a field that only affects training, or processes of a pod differ.
  """
  workdir = file_paths.expanded(workdir)
  config = run_setup.config(workdir, overrides or {})
  if step is None:
    step = max(checkpoints.steps(workdir), default=None)
  agreement.check({'config': config.to_dict(), 'step': step})
  run_setup.check_overrides(overrides or {}, workdir)
  setup = run_setup.make(settings_lib.read(config), workdir)
  shapes = setup.state_shapes()
  wanted = {
    'step': shapes.step,
    'params': shapes.params,
    'ema': shapes.ema,
    'stats': shapes.stats,
    'rng': shapes.rng,
  }
  found = checkpoint_parts.read(
    workdir, {k: v for k, v in wanted.items() if v != {}}, step
  )
  state = TrainState(**({'ema': {}, 'stats': {}} | found), opt={}, guard={})
  return Run(workdir, config, setup, state)

"""A finished (or unfinished) run as an object: the notebook's door.

run = runs.load('runs/demo')
video = run.sample(16, label='red')     # uint8 [b, t, h, w, c]
"""

import collections
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any

from etils import epath
import jax
from ml_collections import ConfigDict
import numpy as np

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.data import pipeline
from vgen_jax.evaluation.metrics import results
from vgen_jax.families.base import VideoModel
from vgen_jax.inference import clip_providers
from vgen_jax.inference import evaluations
from vgen_jax.inference import sampling
from vgen_jax.runtime import checkpoints
from vgen_jax.training import setup as setup_lib
from vgen_jax.training import step as step_lib
from vgen_jax.training.state import TrainState

_BATCH = 64  # Clips drawn at a time, at most.

# What of a config counts once a run is trained.
_COUNTS = (
  'clip_shape', 'data', 'evaluation', 'faults', 'mesh', 'model', 'sample_from',
)  # fmt: skip


class Run:
  """One training in one workdir; see `load`.

  Attributes:
    workdir: Where it lives.
    config: Its config, with what `load` was told to change.
    step: Step of the checkpoint that is loaded.
    state: Parameters, averages and statistics of that step; `opt` and `guard`
      are empty, since they are for training only.
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
    """The family with its networks."""
    return self._setup.model

  @property
  def source(self) -> pipeline.Source:
    """The data that it learned from; the clips, if that was their codes."""
    return self._setup.over_pixels().source

  def sample(
    self,
    num_clips: int,
    *,
    label: str | int | None = None,
    seed: int = 0,
    batch_size: int = _BATCH,
  ) -> np.ndarray:
    """Draws clips; returns uint8 `[b, t, h, w, c]`.

    Clip i of a seed is the same whatever `num_clips` and `batch_size` are.

    Args:
      num_clips: How many.
      label: Class of all of them, by name or id; None takes the classes in
        turn, clip i being of class i modulo their number.
      seed: Of the noise.
      batch_size: Clips to draw at a time.

    Raises:
      ValueError: If there is no such class, or the model knows none.
    """
    if num_clips < 1 or batch_size < 1:
      raise ValueError(
        f'num_clips is {num_clips} and batch_size {batch_size}; both must be 1'
        ' or more.'
      )
    return sampling.draw(
      self._sampler,
      self.state,
      self._setup.mesh,
      self.condition(num_clips, label),
      np.arange(num_clips),
      seed=seed,
      batch_size=min(batch_size, num_clips),
    )

  def evaluate(
    self,
    metrics: Sequence[str] = ('verifier',),
    num_clips: int = 256,
    *,
    seed: int = 0,
    batch_size: int = _BATCH,
    stop: Callable[[], bool] = lambda: False,
    **options: Any,
  ) -> results.Result | None:
    """Measures clips that it draws, and writes `<workdir>/evaluation/<step>.*`.

    What was cut off goes on where it was. Metrics whose weights are missing are
    in the result, without a value.

    Args:
      metrics: Names of `evaluation/metrics/registry.py`; 'all' takes all that
        fit.
      num_clips: Clips to draw.
      seed: Of the noise.
      batch_size: Clips to draw at a time.
      stop: Asked now and then.
      **options: Others of `settings.Evaluation`.

    Returns:
      What was found; None if it was asked to stop before the end.

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
    ).result(self.state, self.config, stop)

  def validate(
    self, num_clips: int = 512, *, batch_size: int = _BATCH, seed: int = 0
  ) -> dict[str, float]:
    """Returns the losses on clips that were not trained on.

    With the parameters that `sample` uses, and the same clips and noise for
    every run, so that runs compare: the noise of a clip is of its place in the
    split. So `batch_size` does not count, but for rounding, and but for numbers
    that are of a batch and no means over clips, of which it gives the mean over
    batches: usage, perplexity and entropy of a codebook, free nats, weights
    that balance losses, and losses with these in them.

    Args:
      num_clips: From the start of the split 'validation'; all, if it has fewer.
      batch_size: Clips at a time.
      seed: Of the noise.

    Returns:
      {'<player>/<name>': mean over the clips}, as a run logs them.

    Raises:
      ValueError: If the data has no such split.
    """
    settings = self._setup.settings
    source = clip_providers.another_split(
      settings, self._setup.source, 'validation'
    )
    if source is None:
      split = settings.data.get('split', 'no splits')
      raise ValueError(
        f'config.data is {settings.data["name"]} with {split!r}; to validate on'
        ' clips that were not trained on takes one that has splits, and a'
        " config that does not set 'split'."
      )
    read = lambda i: settings.faults.read(source.__getitem__, i, len(source))[0]
    num_clips = min(num_clips, len(source))
    sums: collections.Counter[str] = collections.Counter()
    key = jax.random.key(seed)
    for first in range(0, num_clips, batch_size):
      place_b = np.arange(first, min(first + batch_size, num_clips))
      clips = [read(int(i)) for i in place_b]
      batch = {k: np.stack([clip[k] for clip in clips]) for k in clips[0]}
      losses = self._losses(self.state, batch, place_b, key)
      for name, value in losses.items():
        sums[name] += float(value) * len(clips)
    return {name: total / num_clips for name, total in sums.items()}

  def condition(
    self, num_clips: int, label: str | int | None = None
  ) -> dict[str, np.ndarray]:
    """Returns what `sample` asks of its clips, `{'label': int32 [b]}` or {}."""
    source = self._setup.source
    if isinstance(label, str):
      label = sampling.class_id(source.schema, label)
    return dict(sampling.conditions(self.model, source, num_clips, label))

  @functools.cached_property
  def _losses(self) -> Callable[..., dict[str, jax.Array]]:
    average = self._setup.settings.sample_from

    def losses(
      state: TrainState, batch: Batch, place_b: Array, key: Array
    ) -> dict:
      values = {}
      batch = {**step_lib.prepare(batch, state.step), 'position': place_b}
      for player in self.model.players:
        loss, terms = self.model.apply(
          state.variables(average),
          batch,
          player=player,
          train=False,
          method='loss',
          rngs={'noise': key},
        )
        terms = {**terms, 'loss': loss}
        values |= {f'{player}/{name}': x for name, x in terms.items()}
      return values

    return jax.jit(losses)

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
  """Returns the run that lives in a workdir, laid out over all devices here.

  Args:
    workdir: Of the run, local or gs://.
    step: Which checkpoint; None takes the latest.
    overrides: {dotted path: value} to change in its config, such as
      {'model.solver.num_steps': 20}; what changes the parameters' shapes fails.

  Raises:
    ValueError: If there is no run or no such checkpoint, or an override is of
      what counts in training only.
  """
  file = epath.Path(workdir) / 'config.json'
  if not file.exists():
    folder = epath.Path(workdir).parent
    near = [p.parent.name for p in folder.glob('*/config.json')]
    raise ValueError(
      f'{workdir} holds no run (no config.json).'
      f'{checks.hint(epath.Path(workdir).name, sorted(near))}'
    )
  # Devices here need not be those it was trained on: cut over all there are.
  config = config_lib.replace(
    config_lib.load(str(file)),
    {'mesh.data': 1, 'mesh.fsdp': -1, 'mesh.tensor': 1, **(overrides or {})},
  )
  _check_counts(overrides or {}, workdir)
  setup = setup_lib.make(settings_lib.read(config))
  shapes = setup.state_shapes()
  wanted = {
    'step': shapes.step,
    'params': shapes.params,
    'ema': shapes.ema,
    'stats': shapes.stats,
    'rng': shapes.rng,
  }
  found = checkpoints.read(
    workdir, {k: v for k, v in wanted.items() if v != {}}, step
  )
  state = TrainState(**({'ema': {}, 'stats': {}} | found), opt={}, guard={})
  return Run(workdir, config, setup, state)


def _check_counts(overrides: Mapping[str, Any], workdir: str) -> None:
  """Raises ValueError if an override would change nothing of a trained run."""
  for path in overrides:
    section = path.partition('.')[0]
    if section not in _COUNTS:
      why = 'it counts as it trains only'
      if section == 'frozen':
        why = 'what was frozen lies in its checkpoint'
      raise ValueError(
        f'config.{path} cannot be changed of the run in {workdir}: {why}. Leave'
        f' it out, or train another run; fields of {list(_COUNTS)} can be.'
      )

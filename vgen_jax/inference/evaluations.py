"""Evaluation of states of a run, during training and afterwards."""

from collections.abc import Callable, Mapping
import dataclasses
import datetime
import json
from typing import Any

import jax
import numpy as np

from vgen_jax.config import sections
from vgen_jax.core import digests
from vgen_jax.core import file_paths
from vgen_jax.evaluation import evaluator
from vgen_jax.evaluation import output
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import registry
from vgen_jax.evaluation.metrics import results
from vgen_jax.inference import clip_providers
from vgen_jax.inference import sampling
from vgen_jax.runtime import workdir as workdir_lib
from vgen_jax.runtime import writers
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState

_PREFIX = 'evaluation/'  # Prefix of the names of logged values.
_NUM_SHOWN = 16  # Clips on the page of a result.


class Evaluations:
  """Evaluates states of one run, always on the same clips.

  Attributes:
    options: Metrics and number of clips.
    missing: {name: value} of metrics that cannot be computed because their
      weights are missing.
  """

  def __init__(
    self,
    setup: setup_lib.Setup,
    sample: sampling.Sampler,
    options: sections.Evaluation,
    workdir: str,
  ):
    """Loads data, metrics and weights; generates nothing.

    Args:
      setup: Setup of the run.
      sample: Sampler of the run's model.
      options: Metrics and number of clips.
      workdir: Directory of the run.

    Raises:
      ValueError: If a name is unknown, or a metric does not fit the run.
    """
    self.options = options
    self._setup = setup
    self._workdir = file_paths.read(workdir)
    self._folder = self._workdir / results.FOLDER
    self._providers = clip_providers.ClipProviders(setup, sample, options)
    inputs = base.MetricInputs(
      self._providers.real.source,
      self._providers.kinds(),
      self._providers.context,
      self._providers.num_codes,
      options.infinity,
    )
    self._metrics, self.missing = registry.build(options.metrics, inputs)

  @classmethod
  def of(
    cls, setup: setup_lib.Setup, sample: sampling.Sampler, workdir: str
  ) -> 'Evaluations | None':
    """Returns the evaluations during training; None if the config has none.

    Args:
      setup: Setup of the run.
      sample: Sampler of the run's model.
      workdir: Directory of the run.

    Raises:
      ValueError: If a name is unknown, a metric does not fit the run, or its
        weights are missing.
    """
    if not setup.settings.evaluate_every:
      return None
    found = cls(setup, sample, setup.settings.evaluation, workdir)
    if found.missing:
      raise ValueError(
        ' '.join(f'Metric {k!r}: {x.note}' for k, x in found.missing.items())
      )
    return found

  def log(
    self, state: TrainState, stop: Callable[[], bool] = lambda: False
  ) -> dict[str, float] | None:
    """Returns the values of a state for the log, {'evaluation/...': value}.

    Only features are written. An interrupted evaluation continues where it
    stopped. Processes other than 0 get {}.

    Args:
      state: State whose parameters generate the clips.
      stop: Function that returns whether to stop; it is called before each
        chunk of clips.

    Returns:
      The values; None if the evaluation was stopped before its end.
    """
    # Not the folder of `result`, which another process may be using.
    partial = self._folder / f'{self.name(state)}.training.partial'
    findings = self._measure(state, model_features=partial, stop=stop)
    if findings is None:
      return None
    if jax.process_index() == 0 and partial.exists():
      partial.rmtree()
    return {
      f'{_PREFIX}{name}': value.value
      for name, value in findings.values.items()
      if value.value is not None
    }

  def is_logged(self, step: int) -> bool:
    """Returns whether the log has an evaluation of a step."""
    return writers.has_values(str(self._workdir), step, _PREFIX)

  def result(
    self,
    state: TrainState,
    stop: Callable[[], bool] = lambda: False,
  ) -> results.Result | None:
    """Evaluates a state, and writes the result with its page.

    The files are `<workdir>/evaluation/<name>.*`; see the method `name`. An
    interrupted evaluation continues where it stopped. All processes must call
    this at the same point; only process 0 writes and has the values.

    Args:
      state: State whose parameters generate the clips.
      stop: Function that returns whether to stop; it is called before each
        chunk of clips.

    Returns:
      The result; None if the evaluation was stopped before its end.

    Raises:
      BadFileError: If the file of an earlier evaluation, whose values would be
        kept, is damaged.
    """
    name, is_first = self.name(state), jax.process_index() == 0
    with workdir_lib.locked(str(self._folder), f'.{name}.lock'):
      output.check_earlier(self._folder, name)
      partial = self._folder / f'{name}.partial'
      findings = self._measure(
        state, model_features=partial, stop=stop, num_shown=_NUM_SHOWN
      )
      if findings is None:
        return None
      result = results.Result(
        run=self._workdir.name,
        workdir=str(self._workdir),
        step=int(state.step),
        date=datetime.datetime.now().astimezone().isoformat(),
        config=_dotted(dataclasses.asdict(self._setup.settings)),
        protocol=self._protocol(),
        metrics=findings.values | self.missing,
        curves=findings.curves,
        groups=findings.groups,
        name=name,
      )
      if is_first:
        training = writers.read_metrics(str(self._workdir))
        clips = self._shown(findings.clips)
        result = output.write(self._folder, result, clips, training)
        if partial.exists():
          partial.rmtree()
    return result

  def name(self, state: TrainState) -> str:
    """Returns the name of the files of the result of a state.

    The name has the step, the number of clips, and a digest of everything else
    on which values depend. Evaluations of the same name are merged. The metrics
    and the batch size are not part of it.
    """
    clips = {
      kind: {k: v for k, v in x.identity.items() if k != 'batch_size'}
      for kind, x in self._providers.for_state(state).items()
    }
    context = [self._providers.context, self.options.num_samples]
    protocol = {**self._protocol(), 'num_real': None}  # Depends on the metrics.
    text = json.dumps([clips, context, protocol], sort_keys=True, default=str)
    num = self.options.num_clips
    return f'{int(state.step)}_{num}clips_{digests.text(text, 8)}'

  def _measure(self, state: TrainState, **kwargs) -> base.Findings | None:
    return evaluator.evaluate(
      self._metrics,
      self._providers.for_state(state),
      self.options.num_clips,
      seed=self.options.seed,
      data_features=self._folder / 'real',
      **kwargs,
    )

  def _protocol(self) -> dict[str, Any]:
    """Returns how clips are generated, and what they are compared with."""
    settings, options = self._setup.settings, self.options
    wanted = [m.counts(options.num_clips) for m in self._metrics]
    num_real = max((counts.get(base.REAL, 0) for counts in wanted), default=0)
    return {
      'num_generated': options.num_clips,
      'num_real': min(num_real, len(self._providers.real)),
      'real_split': self._providers.real_split,
      'clip_shape': list(settings.clip_shape),
      'frames_per_second': self._setup.schema.frames_per_second,
      'sample_from': settings.sample_from,
      'seed': options.seed,
      'condition': self._providers.conditioning(),
      'sampler': settings.model.get('solver'),
      'guidance': settings.model.get('guidance'),
      'jax': jax.__version__,
      'devices': f'{self._setup.mesh.size} x {jax.devices()[0].device_kind}',
    }

  def _shown(self, clips: Mapping[str, base.Clips]) -> dict[str, np.ndarray]:
    """Returns clips for the page, each with a real one; {} without clips."""
    shown = [clips[kind] for kind in evaluator.FROM_MODEL if kind in clips]
    if not shown:
      return {}
    video = shown[0]['video']
    video = (
      video[:, 0] if video.ndim == 6 else video
    )  # One of several predictions.
    return {
      'generated': video,
      **self._providers.matching_real(shown[0]),
      'clip': np.arange(len(video)),
      'seed': np.full(len(video), self.options.seed),
    }


def _dotted(config: Mapping[str, Any], path: str = '') -> dict[str, Any]:
  """Returns {dotted path: value} of nested dicts."""
  found = {}
  for key, value in config.items():
    is_dict = isinstance(value, Mapping) and value
    found |= _dotted(value, f'{path}{key}.') if is_dict else {path + key: value}
  return found

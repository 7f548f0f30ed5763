"""Evaluates states of a run: as it trains, and afterwards."""

from collections.abc import Callable, Mapping
import datetime
from typing import Any

from etils import epath
import jax
from jax.experimental import multihost_utils
import numpy as np

from vgen_jax.config import settings as settings_lib
from vgen_jax.evaluation import evaluator
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import registry
from vgen_jax.evaluation.metrics import results
from vgen_jax.inference import clip_providers as streams_lib
from vgen_jax.inference import sampling
from vgen_jax.runtime import writers
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState

_PREFIX = 'evaluation/'  # Of names in the log.
_NUM_SHOWN = 16


class Evaluations:
  """Evaluates states of one run, each on the same clips.

  Attributes:
    options: What is measured.
    missing: Values of metrics that cannot be, for want of weights.
  """

  def __init__(
    self,
    setup: setup_lib.Setup,
    sample: sampling.Sampler,
    options: settings_lib.Evaluation,
    workdir: str,
  ):
    """Finds data, metrics and weights; draws nothing.

    Args:
      setup: Of the run.
      sample: Draws from its states.
      options: What to measure.
      workdir: Of the run.

    Raises:
      ValueError: If a name is unknown, or a metric does not fit the run.
    """
    self.options = options
    self._setup = setup
    self._workdir = epath.Path(workdir)
    self._streams = streams_lib.ClipProviders(setup, sample, options)
    facts = registry.MetricInputs(
      self._streams.real.source,
      self._streams.places(),
      self._streams.context,
      self._streams.num_codes,
      options.infinity,
    )
    self._metrics, self.missing = registry.make(options.metrics, facts)

  @classmethod
  def of(
    cls, setup: setup_lib.Setup, sample: sampling.Sampler, workdir: str
  ) -> 'Evaluations | None':
    """Returns those that a run makes as it trains; None if it makes none.

    Raises:
      ValueError: As above, and if weights of a metric are missing.
    """
    if not setup.settings.evaluate_every:
      return None
    found = cls(setup, sample, setup.settings.evaluation, workdir)
    for name, value in found.missing.items():
      raise ValueError(f'Metric {name!r}: {value.note}')
    return found

  def log(self, state: TrainState) -> dict[str, float]:
    """Returns numbers of a state for the log; writes nothing but real features.

    The state is left as it is. On other hosts than the first there are none.
    """
    findings = self._measure(state)
    return {
      f'{_PREFIX}{name}': value.value
      for name, value in findings.values.items()
      if value.value is not None
    }

  def lacks(self, step: int) -> bool:
    """Whether the log has no numbers of a step that is due.

    They are lacking if the run was asked to leave in that very step.
    """
    every = self._setup.settings.evaluate_every
    if not step or step % every:
      return False
    has = any(
      name.startswith(_PREFIX)
      for line in writers.read_metrics(str(self._workdir))
      if line['step'] == step
      for name in line
    )
    if jax.process_count() > 1:  # The first host alone writes the log.
      has = multihost_utils.broadcast_one_to_all(np.array(has))
    return not has

  def result(
    self,
    state: TrainState,
    config: Mapping[str, Any],
    stop: Callable[[], bool] = lambda: False,
  ) -> results.Result | None:
    """Evaluates a state, and writes the result with its page.

    What was cut off goes on where it was. All hosts call this in step; the
    first alone writes, and the others know no values.

    Args:
      state: To draw from.
      config: Of the run, for the record.
      stop: Asked now and then.

    Returns:
      The result; None if it was asked to stop, and has more to do.
    """
    folder = self._workdir / results.FOLDER
    partial = folder / f'{int(state.step)}.partial'
    findings = self._measure(
      state, made=partial, stop=stop, num_shown=_NUM_SHOWN
    )
    if findings is None:
      return None
    result = results.Result(
      run=self._workdir.name,
      workdir=str(self._workdir),
      step=int(state.step),
      date=datetime.datetime.now().astimezone().isoformat(timespec='seconds'),
      config=_dotted(config),
      protocol=self._protocol(),
      metrics=findings.values | self.missing,
      curves=findings.curves,
      groups=findings.groups,
    )
    if jax.process_index():
      return result
    training = writers.read_metrics(str(self._workdir))
    clips = self._shown(findings.clips)
    result = evaluator.write(folder, result, clips, training)
    if partial.exists():
      partial.rmtree()
    return result

  def _measure(self, state: TrainState, **kwargs) -> base.Findings | None:
    return evaluator.measure(
      self._metrics,
      self._streams.of(state),
      self.options.num_clips,
      seed=self.options.seed,
      found=self._workdir / results.FOLDER / 'real',
      **kwargs,
    )

  def _protocol(self) -> dict[str, Any]:
    """Returns how clips come about, and what they are held against."""
    settings, options = self._setup.settings, self.options
    wanted = [m.counts(options.num_clips) for m in self._metrics]
    num_real = max((counts.get(base.REAL, 0) for counts in wanted), default=0)
    return {
      'num_generated': options.num_clips,
      'num_real': min(num_real, len(self._streams.real)),
      'real_split': self._streams.real_split,
      'clip_shape': list(settings.clip_shape),
      'frames_per_second': self._setup.source.schema.frames_per_second,
      'sample_from': settings.sample_from,
      'seed': options.seed,
      'condition': self._streams.told(),
      'sampler': settings.model.get('solver'),
      'guidance': settings.model.get('guidance'),
      'jax': jax.__version__,
      'devices': f'{self._setup.mesh.size} x {jax.devices()[0].device_kind}',
    }

  def _shown(self, clips: Mapping[str, base.Clips]) -> dict[str, np.ndarray]:
    """Returns clips for the page, each with a real one; {} for none."""
    made = [clips[place] for place in evaluator.MADE if place in clips]
    if not made:
      return {}
    video = made[0]['video']
    video = video[:, 0] if video.ndim == 6 else video  # Of several futures.
    real, titles = self._streams.beside(made[0])
    return {
      'generated': video,
      'real': real,
      'title': np.array(titles),
      'seed': np.arange(len(video)),
    }


def _dotted(config: Mapping[str, Any], path: str = '') -> dict[str, Any]:
  """Returns {dotted path: value} of nested dicts."""
  found = {}
  for key, value in settings_lib.plain(config).items():
    is_dict = isinstance(value, Mapping) and value
    found |= _dotted(value, f'{path}{key}.') if is_dict else {path + key: value}
  return found

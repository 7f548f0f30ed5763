"""The judge of the made-up world as a metric."""

from collections.abc import Mapping
import dataclasses

import numpy as np

from vgen_jax.data import pipeline
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import distances
from vgen_jax.evaluation.metrics import results
from vgen_jax.synthetic.world import features as measurements
from vgen_jax.synthetic.world import motion
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tracking
from vgen_jax.synthetic.world import verifier as judge_lib

_HIGHER = ('valid', 'class', 'accuracy', 'caption', 'coverage', 'permanent')
_HIGHER += (
  'present',
  'iou',
  'variety',
)  # Beginnings of names; the rest are errors.
_SHARES = ('present', 'iou', 'stalled', 'shape_switch')
_UNITS = {'path_error': 'px', 'angle_error': '°', 'noise': 'of 255'}
_FACTORS = 'factors.'  # Beginning of keys.


class Measured(base.Probe):
  """What the judge of `World` sees, and what the clips should show."""

  def __init__(self, judge: judge_lib.Verifier):
    self.name = 'judge'
    self.protocol = {'code': base.code(measurements, motion, tracking)}
    self._judge = judge

  def __call__(self, clips: base.Clips) -> base.Features:
    found = dataclasses.asdict(self._judge.measure(clips['video']))
    factors = found.pop('factors')
    found |= {f'{_FACTORS}{key}': x for key, x in factors.items()}
    return found | {k: clips[k] for k in ('label', 'index') if k in clips}


class Verifier(base.Metric):
  """Validity, accuracy, coverage; and the distance in the judge's own space."""

  def __init__(self, source: pipeline.Source, infinity: bool = False):
    check('judge', source, world_lib.World)
    self.name = 'judge'
    self.judge = judge_lib.Verifier(source)
    self.probe = Measured(self.judge)
    self._infinity = infinity

  def counts(self, num_clips: int) -> dict[str, int]:
    return {base.GENERATED: num_clips, base.REAL: 2 * num_clips}

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    drawn, real = features[base.GENERATED], features[base.REAL]
    measured, truth = _measured(drawn), _measured(real)
    numbers = self._numbers(drawn, measured, 'index' in drawn)
    real_numbers = self._numbers(real, truth, 'index' in drawn)
    findings = base.Findings(groups=self._groups(drawn, measured))
    num_valid = int(self.judge.valid(measured, judge_lib.LOOSE).sum())
    for name, number in numbers.items():
      about = {
        'real': real_numbers.get(name),
        'better': 'higher' if name.startswith(_HIGHER) else 'lower',
        'unit': _UNITS.get(name, ''),
        'protocol': self.probe.protocol,
      }
      if (value_n := getattr(measured, f'{name}_b', None)) is not None:
        most = 1 if name in _SHARES else np.inf
        findings.values[name] = base.mean(value_n, (0, most), **about)
      elif name.startswith(('coverage', 'variety')):
        findings.values[name] = results.Value(number, **about)
      else:
        n = num_valid if name == 'class_accuracy' else len(measured.label_b)
        findings.values[name] = base.share(number, n, **about)
    findings.add(
      distances.frechet(
        'judge_frechet',
        measurements.judge_space(measured, self.judge.world),
        measurements.judge_space(truth, self.judge.world),
        rng,
        self.probe.protocol | {'space': "the judge's measurements"},
        infinity=self._infinity,
      )
    )
    return findings

  def _numbers(
    self,
    features: base.Features,
    measured: measurements.ClipFeatures,
    knows_all: bool,
  ) -> dict[str, float]:
    """Returns the judge's numbers; all factors are asked for, or labels."""
    factors = None
    if knows_all:
      factors = [self.judge.world.factors(int(i)) for i in features['index']]
    return self.judge.numbers(measured, features.get('label'), factors=factors)

  def _groups(
    self, features: base.Features, measured: measurements.ClipFeatures
  ) -> dict[str, dict[str, dict]]:
    """Returns validity and accuracy, class by class."""
    if 'label' not in features:
      return {}
    label_b = features['label']
    tables = {
      'valid, loosely, by class': self.judge.valid(measured, judge_lib.LOOSE),
      'of the class asked for, by class': measured.label_b == label_b,
    }
    names = self.judge.world.schema.class_names
    return {
      title: {name: _part(hit_b[label_b == i]) for i, name in enumerate(names)}
      for title, hit_b in tables.items()
    }


def _measured(features: base.Features) -> measurements.ClipFeatures:
  """Returns measurements that were kept as features."""
  fields = {f.name for f in dataclasses.fields(measurements.ClipFeatures)}
  factors = {
    key.removeprefix(_FACTORS): x
    for key, x in features.items()
    if key.startswith(_FACTORS)
  }
  rest = {key: x for key, x in features.items() if key in fields}
  return measurements.ClipFeatures(factors=factors, **rest)


def _part(hit_n: np.ndarray) -> dict[str, float | int | None]:
  value = float(hit_n.mean()) if len(hit_n) else None
  return {'value': value, 'num': len(hit_n)}


def check(name: str, source: pipeline.Source, *kinds: type) -> None:
  """Raises ValueError unless a source is of one of the kinds."""
  if not isinstance(source, kinds):
    known = ' or '.join(
      f'{kind.__module__.removeprefix("vgen_jax.")}.{kind.__name__}'
      for kind in kinds
    )
    raise ValueError(
      f'metric {name!r} knows the laws of {known} alone; the data is'
      f' {type(source).__name__}: ask for others, such as flicker or copies.'
    )

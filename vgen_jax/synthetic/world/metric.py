"""Validity, accuracy and coverage of clips of `World`, as a metric."""

from collections.abc import Mapping
import dataclasses
from typing import Self

import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import distances
from vgen_jax.evaluation.metrics import results
from vgen_jax.synthetic import bounces
from vgen_jax.synthetic import metric as metric_lib
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.world import definitions
from vgen_jax.synthetic.world import features as features_lib
from vgen_jax.synthetic.world import ideal_objects
from vgen_jax.synthetic.world import motion
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tracking
from vgen_jax.synthetic.world import verifier as verifier_lib

_Info = metric_lib.ValueInfo
_FRACTION = (0.0, 1.0)
VALUES = {
  'validity_loose': _Info('higher', statistic='proportion'),
  'validity_strict': _Info('higher', statistic='proportion'),
  'valid_and_correct': _Info('higher', statistic='proportion'),
  'class_accuracy_valid': _Info('higher', statistic='proportion'),
  'class_accuracy_all': _Info('higher', statistic='proportion'),
  'caption_accuracy': _Info('higher', statistic='proportion'),
  **{
    f'accuracy_{factor}': _Info('higher', statistic='proportion')
    for factor in world_lib.FACTORS
  },
  'object_permanence': _Info('higher', statistic='proportion'),
  'coverage': _Info('higher', statistic='number'),
  **{
    f'entropy_{factor}': _Info('higher', statistic='number')
    for factor in world_lib.FACTORS
  },
  'object_presence': _Info('higher', bounds=_FRACTION),
  'shape_iou': _Info('higher', bounds=_FRACTION),
  'shape_switch_fraction': _Info('lower', bounds=_FRACTION),
  'stalled_fraction': _Info('lower', bounds=_FRACTION),
  'stutter_fraction': _Info('lower'),
  'path_error': _Info('lower', 'px'),
  'step_error': _Info('lower', 'px'),
  'size_error': _Info('lower'),
  'size_change': _Info('lower'),
  'speed_error': _Info('lower'),
  'speed_drift': _Info('lower'),
  'angle_error': _Info('lower', '°'),
  'shape_mismatch': _Info('lower'),
  'residual_rms': _Info('lower', 'of 255'),
  'residual_patch': _Info('lower', 'of 255'),
  'color_error': _Info('lower', 'of 255'),
  'color_drift': _Info('lower', 'of 255'),
}
_FACTORS = 'factors.'  # Prefix of the keys of factors in stored features.


class ClipFeaturesExtractor(base.FeatureExtractor):
  """Computes the verifier's features of clips of `World`.

  The labels and indices of the requested clips are kept with the features.
  """

  def __init__(self, verifier: verifier_lib.Verifier):
    self.name = 'verifier'
    modules = (bounces, saturation, features_lib, ideal_objects, motion)
    self.protocol = {'code': base.code_digest(*modules, tracking)}
    self._verifier = verifier

  def __call__(self, clips: base.Clips) -> base.Features:
    arrays = dataclasses.asdict(self._verifier.features(clips['video']))
    factors = arrays.pop('factors')
    arrays |= {f'{_FACTORS}{key}': x for key, x in factors.items()}
    return arrays | {k: clips[k] for k in ('label', 'index') if k in clips}


class VerifierMetric(base.Metric):
  """Validity, accuracy, coverage, and Frechet distance of verifier features.

  Attributes:
    verifier: Verifier of the dataset.
  """

  name = 'verifier'
  datasets = (world_lib.World,)
  definitions = definitions.VALUES
  for_reconstructions = True

  def __init__(self, source: world_lib.World, infinity: bool = False):
    """Creates the metric.

    Args:
      source: Source of the reference clips, a `World`.
      infinity: Whether to also extrapolate the Frechet distance to infinitely
        many clips.
    """
    self.verifier = verifier_lib.Verifier(source)
    self.extractor = ClipFeaturesExtractor(self.verifier)
    self._infinity = infinity

  @classmethod
  def from_inputs(cls, inputs: base.MetricInputs, protocol: str = '') -> Self:
    return cls(inputs.dataset, inputs.infinity)

  def counts(self, num_clips: int) -> dict[str, int]:
    return {base.GENERATED: num_clips, base.REAL: 2 * num_clips}

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    arrays, real_arrays = features[base.GENERATED], features[base.REAL]
    generated, real = _unpack(arrays), _unpack(real_arrays)
    has_index = 'index' in arrays
    numbers = self._numbers(arrays, generated, has_index)
    real_numbers = self._numbers(real_arrays, real, has_index)
    findings = base.Findings(groups=self._groups(arrays, generated))
    num_clips = len(generated.label_b)
    num_valid = int(self.verifier.valid(generated, verifier_lib.LOOSE).sum())
    for name, number in numbers.items():
      info = VALUES[name]
      fields = {
        'real': real_numbers.get(name),
        'better': info.better,
        'unit': info.unit,
        'protocol': self.extractor.protocol,
      }
      if info.statistic == 'mean':
        value_n = getattr(generated, f'{name}_b')
        value = base.mean(value_n, info.bounds, **fields)
      elif info.statistic == 'proportion':
        n = num_valid if name == 'class_accuracy_valid' else num_clips
        value = base.proportion(number, n, **fields)
      else:
        value = results.Value(number, **fields)
      findings.values[name] = value
    findings.add(
      distances.frechet(
        'verifier_frechet',
        features_lib.feature_space(generated, self.verifier.world),
        features_lib.feature_space(real, self.verifier.world),
        rng,
        self.extractor.protocol | {'space': "the verifier's features"},
        infinity=self._infinity,
      )
    )
    return findings

  def _numbers(
    self,
    arrays: base.Features,
    features: features_lib.ClipFeatures,
    has_index: bool,
  ) -> dict[str, float]:
    """Returns the verifier's numbers, by all requested factors or by labels."""
    factors = None
    if has_index:
      factors = [self.verifier.world.factors(int(i)) for i in arrays['index']]
    return self.verifier.numbers(features, arrays.get('label'), factors=factors)

  def _groups(
    self, arrays: base.Features, features: features_lib.ClipFeatures
  ) -> dict[str, dict[str, dict]]:
    """Returns validity and accuracy of each class."""
    if 'label' not in arrays:
      return {}
    label_b = arrays['label']
    tables = {
      'validity_loose by class': self.verifier.valid(
        features, verifier_lib.LOOSE
      ),
      'class_accuracy_all by class': features.label_b == label_b,
    }
    names = self.verifier.world.schema.class_names
    return {
      title: {name: _group(hit_b[label_b == i]) for i, name in enumerate(names)}
      for title, hit_b in tables.items()
    }


def _unpack(arrays: base.Features) -> features_lib.ClipFeatures:
  """Returns stored features as `ClipFeatures`."""
  fields = {f.name for f in dataclasses.fields(features_lib.ClipFeatures)}
  factors = {
    key.removeprefix(_FACTORS): x
    for key, x in arrays.items()
    if key.startswith(_FACTORS)
  }
  rest = {key: x for key, x in arrays.items() if key in fields}
  return features_lib.ClipFeatures(factors=factors, **rest)


def _group(hit_n: np.ndarray) -> dict[str, float | int | None]:
  value = float(hit_n.mean()) if len(hit_n) else None
  return {'value': value, 'num': len(hit_n)}

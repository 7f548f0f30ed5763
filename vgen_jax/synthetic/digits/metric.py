"""Validity and class of moving digits, as a metric."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.synthetic import bounces
from vgen_jax.synthetic import metric as metric_lib
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.digits import appearance
from vgen_jax.synthetic.digits import source as digits_source
from vgen_jax.synthetic.digits import verifier

_Info = metric_lib.ValueInfo
_FROM = 'Source: synthetic/digits/verifier.py.'
VALUES = {
  'digits_validity': _Info('higher', statistic='proportion'),
  'digits_class_accuracy': _Info('higher', statistic='proportion'),
  'digits_valid_and_correct': _Info('higher', statistic='proportion'),
}


class DigitFeaturesExtractor(base.FeatureExtractor):
  """Computes class, appearance and motion of the digit in each clip."""

  def __init__(self, source: digits_source.MovingDigits):
    self.name = 'digits'
    modules = (verifier, appearance, bounces, saturation)
    self.protocol = {'code': base.code_digest(*modules)}
    self._source = source

  def __call__(self, clips: base.Clips) -> base.Features:
    arrays = verifier.compute_features(self._source, clips['video'])._asdict()
    return arrays | {key: clips[key] for key in ('label',) if key in clips}


class DigitsMetric(base.Metric):
  """Validity of moving digits, and class accuracy if clips have labels."""

  name = 'digits'
  definitions: ClassVar[dict[str, str]] = {
    'digits_validity': 'Proportion of clips that show one digit of constant'
    f' appearance in the motion of the dataset. {_FROM}',
    'digits_class_accuracy': 'Proportion of clips whose digit is that of the'
    f' requested class. {_FROM}',
    'digits_valid_and_correct': 'Proportion of clips that are valid and of the'
    f' requested class. {_FROM}',
  }
  datasets = (digits_source.MovingDigits,)
  for_reconstructions = True

  def __init__(self, source: digits_source.MovingDigits):
    self.extractor = DigitFeaturesExtractor(source)

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    generated, real = (_hits(features[p]) for p in (base.GENERATED, base.REAL))
    values = {
      name: base.proportion(
        hit_n.mean(),
        len(hit_n),
        real=float(real[name].mean()) if name in real else None,
        better=VALUES[name].better,
        unit=VALUES[name].unit,
        protocol=self.extractor.protocol,
      )
      for name, hit_n in generated.items()
    }
    return base.Findings(values)


def _hits(arrays: base.Features) -> dict[str, np.ndarray]:
  """Returns which clips count for each value, bool `[n]`."""
  hits = {'digits_validity': arrays['valid_b']}
  if 'label' in arrays:
    correct_b = arrays['label_b'] == arrays['label']
    hits['digits_class_accuracy'] = correct_b
    hits['digits_valid_and_correct'] = correct_b & arrays['valid_b']
  return hits

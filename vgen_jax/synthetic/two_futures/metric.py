"""Metric of how well predictions cover all futures."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results
from vgen_jax.synthetic import metric as metric_lib
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.two_futures import source as futures_source
from vgen_jax.synthetic.two_futures import verifier

_Info = metric_lib.ValueInfo
_FROM = 'Source: synthetic/two_futures/verifier.py.'
VALUES = {
  **{
    f'futures_fraction_{name}': _Info('', statistic='number')
    for name in ('left', 'right', 'straight', 'down', 'up')
  },
  'futures_fraction_ambiguous': _Info('lower', statistic='number'),
  'futures_total_variation': _Info('lower', statistic='number'),
  'futures_mode_coverage': _Info('higher', statistic='number'),
  'futures_mode_coverage_expected': _Info('', statistic='number'),
  'futures_mode_entropy': _Info('', statistic='number'),
  'futures_mode_entropy_expected': _Info('', statistic='number'),
  'futures_leakage': _Info('lower', statistic='number'),
  'futures_leakage_z_score': _Info('lower', statistic='number'),
  'futures_leakage_detected': _Info('lower', statistic='number'),
}


class FuturesExtractor(base.FeatureExtractor):
  """Computes which future each prediction shows."""

  def __init__(self, world: verifier.Forked):
    self.name = 'futures'
    self.protocol = {'code': base.code_digest(verifier, saturation)}
    self._world = world

  def __call__(self, clips: base.Clips) -> base.Features:
    branch_bn = verifier.compute_features(
      self._world, clips['index'], clips['video']
    )
    return {'branch': branch_bn, 'index': clips['index']}


class FuturesMetric(base.Metric):
  """Measures how well several predictions for each past cover all futures."""

  name = 'futures'
  definitions: ClassVar[dict[str, str]] = {
    'futures_fraction_ambiguous': 'Proportion of predictions that show none of'
    f' the futures. {_FROM}',
    'futures_fraction_*': 'Proportion of predictions that show this future.'
    f' {_FROM}',
    'futures_total_variation': 'Half the sum of the differences between the'
    f' proportions of futures and their probabilities. {_FROM}',
    'futures_mode_coverage': 'Proportion of the futures of a past that its'
    f' predictions show. {_FROM}',
    'futures_mode_entropy': 'Entropy of the futures that the predictions of a'
    f' past show, relative to that of a uniform distribution. {_FROM}',
    'futures_*_expected': 'Value that predictions with the true probabilities'
    f' have on average. {_FROM}',
    'futures_leakage': 'Agreement of predictions with the true future beyond'
    f' chance, as a fraction of the largest possible one. {_FROM}',
    'futures_leakage_z_score': 'The agreement beyond chance in standard'
    f' deviations. {_FROM}',
    'futures_leakage_detected': 'Whether the agreement beyond chance is more'
    f' than 4 standard deviations. {_FROM}',
  }
  sources = (base.PREDICTED,)
  datasets = (futures_source.TwoFutures, futures_source.ThreeFutures)

  def __init__(self, source: verifier.Forked):
    self.extractor = FuturesExtractor(source)
    self._world = source

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    arrays = features[base.PREDICTED]
    numbers = verifier.summarize(self._world, arrays['index'], arrays['branch'])
    num_samples = arrays['branch'].shape[1]
    protocol = self.extractor.protocol | {'num_samples': num_samples}
    values = {}
    for key, number in numbers.items():
      info = VALUES[name := f'futures_{key}']
      values[name] = results.Value(
        number, better=info.better, unit=info.unit, protocol=protocol
      )
    return base.Findings(values)

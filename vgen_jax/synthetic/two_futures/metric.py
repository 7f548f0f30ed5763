"""Whether predictions cover all futures."""

from collections.abc import Mapping

import numpy as np

from vgen_jax.data import pipeline
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results
from vgen_jax.synthetic.two_futures import source as futures_source
from vgen_jax.synthetic.two_futures import verifier
from vgen_jax.synthetic.world import metric as world_metric
from vgen_jax.synthetic.world import spots


class Branches(base.Probe):
  """Which of its futures each prediction of a forking world shows."""

  def __init__(self, world: verifier.Forked):
    self.name = 'futures'
    self.protocol = {'code': base.code(verifier, spots)}
    self._world = world

  def __call__(self, clips: base.Clips) -> base.Features:
    branch_bn = verifier.shown(self._world, clips['index'], clips['video'])
    return {'branch': branch_bn, 'index': clips['index']}


class Futures(base.Metric):
  """Whether all futures are drawn, as often as they occur."""

  def __init__(self, source: pipeline.Source):
    world_metric.check(
      'futures', source, futures_source.TwoFutures, futures_source.ThreeFutures
    )
    self.name = 'futures'
    self.probe = Branches(source)
    self._world = source

  def counts(self, num_clips: int) -> dict[str, int]:
    return {base.PREDICTED: num_clips}

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    found = features[base.PREDICTED]
    numbers = verifier.summary(self._world, found['index'], found['branch'])
    protocol = self.probe.protocol | {'num_samples': found['branch'].shape[1]}
    values = {
      f'futures_{name}': results.Value(number, protocol=protocol)
      for name, number in numbers.items()
    }
    return base.Findings(values)

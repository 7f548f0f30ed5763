"""Metrics in features of networks with weights of their own: FVD and others."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import distances
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.scores import kernel
from vgen_jax.pretrained import features as features_lib

_NUM_SPLITS = 10  # Of the Inception Score.


class Network(base.Probe):
  """Features of a network: 'rows', `[b, r, d]`, r being 1 or the frames."""

  def __init__(self, network: features_lib.Features):
    self.name = '_'.join(
      str(network.protocol[key]) for key in ('name', 'layer')
    )
    self.protocol = network.protocol
    self._extract = network.extract

  def __call__(self, clips: base.Clips) -> base.Features:
    rows = self._extract(clips['video'])
    return {'rows': rows.reshape(len(clips['video']), -1, rows.shape[-1])}


class Frechet(base.Metric):
  """FVD or FID, by what its network is."""

  def __init__(self, name: str, probe: base.Probe, **how: Any):
    """Takes what `distances.frechet` does; `name` is that of the value."""
    self.name = name
    self.probe = probe
    self._how = how

  def counts(self, num_clips: int) -> dict[str, int]:
    return {base.GENERATED: num_clips, base.REAL: 2 * num_clips}

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    made, real = (features[p]['rows'] for p in (base.GENERATED, base.REAL))
    return distances.frechet(
      self.name, made, real, rng, self.probe.protocol, **self._how
    )


class Kernel(Frechet):
  """KID."""

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    made, real = (features[p]['rows'] for p in (base.GENERATED, base.REAL))
    return distances.kid(self.name, made, real, rng, self.probe.protocol)


class InceptionScore(base.Metric):
  """Of frames."""

  def __init__(self, name: str, probe: base.Probe):
    self.name = name
    self.probe = probe

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    seed = int(rng.integers(2**31))
    made, real = (
      kernel.inception_score(rows, num_splits=_NUM_SPLITS, seed=seed)
      for place in (base.GENERATED, base.REAL)
      for rows in [np.concatenate(features[place]['rows'])]
    )
    error = made.deviation / np.sqrt(made.num_parts)
    value = results.Value(
      made.value,
      interval=base.around(made.value, error),
      real=real.value,
      better='higher',
      note='Of frames; of few it is biased low.',
      protocol={**self.probe.protocol, 'splits': made.num_parts},
    )
    return base.Findings({self.name: value})

"""Metrics of the features of pretrained networks: FVD, FID, KID and IS."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import distances
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.scores import kernel
from vgen_jax.pretrained import features as features_lib
from vgen_jax.pretrained import protocols

_NUM_SPLITS = 10  # Parts for the Inception Score.


class NetworkFeatures(base.FeatureExtractor):
  """Computes features of clips with a pretrained network.

  The result is {'rows': features}, `[b, r, d]`, where r is 1 for networks of
  clips, and the number of frames for networks of images.
  """

  def __init__(self, network: features_lib.Features):
    self.name = '_'.join(
      str(network.protocol[key]) for key in ('name', 'layer')
    )
    self.protocol = network.protocol
    self._extract = network.extract

  def __call__(self, clips: base.Clips) -> base.Features:
    rows = self._extract(clips['video'])
    return {'rows': rows.reshape(len(clips['video']), -1, rows.shape[-1])}


class _Distance(base.Metric):
  """Distance of the features of generated clips to those of real ones."""

  for_reconstructions = True
  better = 'lower'

  def __init__(
    self, name: str, extractor: base.FeatureExtractor, **options: Any
  ):
    """Initializes the metric.

    Args:
      name: Name of the value.
      extractor: Computes the features.
      **options: Keyword arguments of the distance.
    """
    self.name = name
    self.extractor = extractor
    self._options = options

  def counts(self, num_clips: int) -> dict[str, int]:
    return {base.GENERATED: num_clips, base.REAL: 2 * num_clips}

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    generated, real = (
      features[source]['rows'] for source in (base.GENERATED, base.REAL)
    )
    return self._distance(generated, real, rng)

  def _distance(
    self, generated: np.ndarray, real: np.ndarray, rng: np.random.Generator
  ) -> base.Findings:
    return distances.frechet(
      self.name, generated, real, rng, self.extractor.protocol, **self._options
    )


class FVD(_Distance):
  """Frechet video distance (FVD) of clips; see `definitions`."""

  name = 'fvd'
  definitions: ClassVar[dict[str, str]] = {
    'fvd*_infinity': 'FVD extrapolated to infinitely many clips. Source: Chong'
    ' and Forsyth, "Effectively Unbiased FID and Inception Score and where to'
    ' find them", 2020.',
    'fvd*': 'Frechet distance between Gaussians that fit the features of an I3D'
    ' network of generated and of real clips. Source: Unterthiner et al.,'
    ' "Towards Accurate Generative Models of Video", 2018,'
    ' https://arxiv.org/abs/1812.01717.',
  }
  protocols = tuple(protocols.FVD)
  default_protocol = 'stylegan-v'
  _ddof: ClassVar[dict[str, int]] = {'stylegan-v': 0}  # Others divide by n - 1.

  @classmethod
  def from_inputs(cls, inputs: base.MetricInputs, protocol: str = '') -> Self:
    network = protocols.fvd(protocol, frames=inputs.clip_shape[0])
    return cls(
      cls.value_name(inputs, protocol),
      NetworkFeatures(network),
      ddof=cls._ddof.get(protocol, 1),
      infinity=inputs.infinity,
    )

  @classmethod
  def value_name(cls, inputs: base.MetricInputs, protocol: str = '') -> str:
    return f'{cls.name}-{protocol}_{inputs.clip_shape[0]}f'


class FID(_Distance):
  """Frechet inception distance (FID) of frames; see `definitions`."""

  name = 'fid'
  definitions: ClassVar[dict[str, str]] = {
    'fid*_infinity': 'FID extrapolated to infinitely many frames. Source: Chong'
    ' and Forsyth, "Effectively Unbiased FID and Inception Score and where to'
    ' find them", 2020.',
    'fid*': 'Frechet distance between Gaussians that fit the features of an'
    ' Inception network of generated and of real frames. Source: Heusel et al.,'
    ' "GANs Trained by a Two Time-Scale Update Rule", 2017,'
    ' https://arxiv.org/abs/1706.08500.',
  }
  protocols = tuple(protocols.FID)
  default_protocol = 'torch-fidelity'

  @classmethod
  def from_inputs(cls, inputs: base.MetricInputs, protocol: str = '') -> Self:
    return cls(
      cls.value_name(inputs, protocol),
      NetworkFeatures(protocols.frames(protocol)),
      infinity=inputs.infinity,
    )

  @classmethod
  def value_name(cls, inputs: base.MetricInputs, protocol: str = '') -> str:
    return f'{cls.name}-{protocol}'


class KID(_Distance):
  """Kernel inception distance (KID) of frames; see `definitions`."""

  name = 'kid'
  definitions: ClassVar[dict[str, str]] = {
    'kid*': 'Squared maximum mean discrepancy, with a cubic kernel, between'
    ' Inception features of generated and of real frames. Source: Binkowski et'
    ' al., "Demystifying MMD GANs", 2018, https://arxiv.org/abs/1801.01401.'
  }
  default_protocol = 'torch-fidelity'

  @classmethod
  def from_inputs(cls, inputs: base.MetricInputs, protocol: str = '') -> Self:
    extractor = NetworkFeatures(protocols.frames(protocol))
    return cls(cls.value_name(inputs, protocol), extractor)

  @classmethod
  def value_name(cls, inputs: base.MetricInputs, protocol: str = '') -> str:
    return f'{cls.name}-{protocol}'

  def _distance(
    self, generated: np.ndarray, real: np.ndarray, rng: np.random.Generator
  ) -> base.Findings:
    protocol = self.extractor.protocol
    return distances.kid(self.name, generated, real, rng, protocol)


class InceptionScore(base.Metric):
  """Inception Score (IS) of frames; see `definitions`."""

  name = 'inception_score'
  definitions: ClassVar[dict[str, str]] = {
    'inception_score*': 'Exponential of the mean KL divergence of the classes'
    ' of a frame, by an Inception network, from those of all frames. Source:'
    ' Salimans et al., "Improved Techniques for Training GANs", 2016,'
    ' https://arxiv.org/abs/1606.03498.'
  }
  better = 'higher'

  def __init__(self, extractor: base.FeatureExtractor):
    self.extractor = extractor

  @classmethod
  def from_inputs(cls, inputs: base.MetricInputs, protocol: str = '') -> Self:
    return cls(NetworkFeatures(protocols.frames(layer='probability')))

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    seed = int(rng.integers(2**31))
    generated, real = (
      kernel.inception_score(rows, num_splits=_NUM_SPLITS, seed=seed)
      for source in (base.GENERATED, base.REAL)
      for rows in [np.concatenate(features[source]['rows'])]
    )
    error = generated.deviation / np.sqrt(generated.num_parts)
    protocol = {**self.extractor.protocol, 'splits': generated.num_parts}
    value = results.Value(
      generated.value,
      interval=base.normal_interval(generated.value, error),
      real=real.value,
      note='Score of frames; it is biased low for few frames.',
      **self.fields(protocol=protocol),
    )
    return base.Findings({self.name: value})

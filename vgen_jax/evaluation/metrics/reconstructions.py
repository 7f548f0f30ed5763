"""Metrics of reconstructed clips against their inputs, and of the codebook."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.metrics import frame_metrics
from vgen_jax.evaluation.metrics import results


class ReconstructionFeatures(base.FeatureExtractor):
  """Frame metrics `[b, t]` of reconstructions, and counts of codes `[b, k]`."""

  def __init__(self, metrics: frame_metrics.FrameMetrics, num_codes: int = 0):
    self.name = '_'.join(['reconstructed', *metrics.by_name])
    self.protocol = {**metrics.protocol, 'num_codes': num_codes}
    self._metrics = metrics.by_name
    self._num_codes = num_codes

  def __call__(self, clips: base.Clips) -> base.Features:
    found = {
      name: np.asarray(metric.function(clips['video'], clips['truth']))
      for name, metric in self._metrics.items()
    }
    if self._num_codes:
      counts = [
        np.bincount(codes.ravel(), minlength=self._num_codes)
        for codes in clips['codes']
      ]
      found['codes'] = np.stack(counts).astype(np.int32)
    return found


class Reconstruction(base.Metric):
  """PSNR and SSIM of an autoencoder, and the use of its codebook."""

  name = 'reconstruction'
  definitions: ClassVar[dict[str, str]] = {
    f'reconstruction_{metric}': f'{what} of reconstructed frames. Source:'
    f' {source}'
    for metric, (what, source) in frame_metrics.DEFINITIONS.items()
  } | {
    'codebook_usage': 'Proportion of the codes of the codebook that occur.'
    ' Source: evaluation/metrics/reconstructions.py.',
    'codebook_perplexity': 'Exponential of the entropy of the codes that occur.'
    ' Source: evaluation/metrics/reconstructions.py.',
  }
  sources = (base.RECONSTRUCTED,)

  def __init__(self, metrics: frame_metrics.FrameMetrics, num_codes: int = 0):
    """Initializes the metric.

    Args:
      metrics: Metrics of frames.
      num_codes: Size of the codebook; 0 without one.
    """
    self.extractor = ReconstructionFeatures(metrics, num_codes)
    self._metrics = metrics.by_name

  @classmethod
  def from_inputs(cls, inputs: base.MetricInputs, protocol: str = '') -> Self:
    return cls(frame_metrics.of_pixels(inputs.clip_shape), inputs.num_codes)

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    found, findings = features[base.RECONSTRUCTED], base.Findings()
    for name, metric in self._metrics.items():
      value_bt = found[name]
      findings.values[f'reconstruction_{name}'] = base.mean(
        value_bt.mean(1),
        better=metric.better,
        unit=metric.unit,
        protocol=self.extractor.protocol | {'num_clips': len(value_bt)},
      )
      findings.curves[f'{name} of reconstructions'] = curves_lib.Curve(
        'frame',
        metric.label or name,
        [*range(1, value_bt.shape[1] + 1)],
        {'mean': value_bt.mean(0)},
      )
    if 'codes' in found:
      findings.values |= _codebook_use(found['codes'], self.extractor.protocol)
    return findings


class PerceptualReconstruction(Reconstruction):
  """LPIPS between clips and their reconstructions by an autoencoder."""

  name = 'rlpips'
  definitions: ClassVar[dict[str, str]] = Reconstruction.definitions | {
    'rlpips': ' Source: '.join(frame_metrics.DEFINITIONS['lpips*'])
  }

  @classmethod
  def from_inputs(cls, inputs: base.MetricInputs, protocol: str = '') -> Self:
    return cls(frame_metrics.perceptual())


def _codebook_use(
  count_bk: np.ndarray, protocol: Mapping[str, Any]
) -> dict[str, results.Value]:
  """Returns the proportion of codes that occur, and their perplexity."""
  count_k = count_bk.sum(0, dtype=np.int64)
  p_k = count_k[count_k > 0] / count_k.sum()
  fields = {
    'better': 'higher',
    'protocol': {**protocol, 'num_tokens': int(count_k.sum())},
  }
  return {
    'codebook_usage': results.Value(float((count_k > 0).mean()), **fields),
    'codebook_perplexity': results.Value(
      float(np.exp(-(p_k * np.log(p_k)).sum())), unit='codes', **fields
    ),
  }

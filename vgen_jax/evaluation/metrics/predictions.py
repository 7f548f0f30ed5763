"""Metrics of predicted frames against the true frames."""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np

from vgen_jax.core import checks
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import baselines
from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.metrics import frame_metrics
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.scores import prediction
from vgen_jax.evaluation.scores import reconstruction

_DIVERSITY = 'diversity'
_COPY = '.copy'  # End of the keys that hold the score of the last known frame.


class PredictionFeatures(base.FeatureExtractor):
  """Frame metrics of predictions, `[b, n, f]`: n samples of f frames."""

  def __init__(self, metrics: frame_metrics.FrameMetrics, context: int):
    self.name = '_'.join(['predicted', *metrics.by_name])
    self.protocol = {**metrics.protocol, 'context': context}
    self._metrics = metrics.by_name
    self._context = context

  def __call__(self, clips: base.Clips) -> base.Features:
    k = self._context
    video_bnthwc, truth_bthwc = clips['video'][:, :, k:], clips['truth'][:, k:]
    copy_bthwc = baselines.copy_last(
      clips['truth'][:, :k], truth_bthwc.shape[1]
    )
    found = {}
    for name, metric in self._metrics.items():
      samples = np.moveaxis(video_bnthwc, 1, 0)
      found[name] = np.stack(
        [metric.function(x, truth_bthwc) for x in samples], 1
      )
      found[name + _COPY] = np.asarray(metric.function(copy_bthwc, truth_bthwc))
    if video_bnthwc.shape[1] > 1:
      diversity_b = reconstruction.diversity(np.moveaxis(video_bnthwc, 1, 0))
      found[_DIVERSITY] = np.asarray(diversity_b)
    return found


_DEFINITIONS = {
  'best_of_*_worst_decile': 'of the best of N predictions of a clip, averaged'
  ' over the tenth of the clips that is worst.',
  'best_of_*': 'of the best of N predictions of a clip, averaged over clips.',
  'sample_mean': 'of predictions, averaged over all of them.',
}


class Prediction(base.Metric):
  """PSNR and SSIM of the best of N predictions; see scores/prediction.py."""

  name = 'prediction'
  definitions: ClassVar[dict[str, str]] = {
    f'{metric}_{value}': f'{what} {text} Source: {source}'
    for metric, (what, source) in frame_metrics.DEFINITIONS.items()
    for value, text in _DEFINITIONS.items()
  } | {
    'diversity_of_*': 'Mean squared difference of two predictions of the same'
    ' clip, of pixels in [0, 1]. Source: evaluation/scores/reconstruction.py.'
  }
  sources = (base.PREDICTED,)

  def __init__(self, metrics: frame_metrics.FrameMetrics, context: int):
    """Initializes the metric.

    Args:
      metrics: Metrics of frames.
      context: Number of known frames.
    """
    self.extractor = PredictionFeatures(metrics, context)
    self._metrics = metrics.by_name
    self._context = context

  @classmethod
  def from_inputs(cls, inputs: base.MetricInputs, protocol: str = '') -> Self:
    t = inputs.clip_shape[0]
    if not 1 <= inputs.context < t:
      raise checks.NotApplicableError(
        f'config.evaluation.context is {inputs.context}; metric {cls.name!r} of'
        f' clips of {t} frames needs 1 to {t - 1} known frames.'
      )
    return cls(cls._frame_metrics(inputs), inputs.context)

  @staticmethod
  def _frame_metrics(inputs: base.MetricInputs) -> frame_metrics.FrameMetrics:
    return frame_metrics.of_pixels(inputs.clip_shape)

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    found = dict(features[base.PREDICTED])
    findings = base.Findings()
    for name in self._metrics:
      findings.add(self._summary(name, found[name], found[name + _COPY]))
    if _DIVERSITY in found:
      n = next(iter(found.values())).shape[1]
      findings.values[f'diversity_of_{n}'] = base.mean(
        found[_DIVERSITY],
        note='Mean squared difference of two predictions, of pixels in [0, 1].',
        protocol=self.extractor.protocol,
      )
    return findings

  def _summary(
    self, name: str, value_bnf: np.ndarray, copy_bf: np.ndarray
  ) -> base.Findings:
    metric = self._metrics[name]
    b, n, f = value_bnf.shape
    sign = -1 if metric.better == 'lower' else 1
    value_nbf = sign * np.moveaxis(value_bnf, 1, 0)
    numbers, curves = prediction.summary(value_nbf[:, None])
    value_nb = value_nbf.mean(2)
    by_clip = {'best': value_nb.max(0), 'sample_mean': value_nb.mean(0)}
    label = lambda key: key.replace('best', f'best_of_{n}')
    findings = base.Findings()
    fields = {
      'better': metric.better,
      'unit': metric.unit,
      'note': f'Copying the last known frame gives {copy_bf.mean():.4g}.',
      'protocol': {
        **self.extractor.protocol,
        'num_samples': n,
        'frames': f,
        'num_clips': b,
      },
    }
    for key, number in numbers.items():
      if key in by_clip:
        value = base.mean(sign * by_clip[key], **fields)
      else:
        value = results.Value(sign * float(number), **fields)
      findings.values[f'{name}_{label(key)}'] = value
    series = {label(key): sign * curve_f for key, curve_f in curves.items()}
    series['copy of the last frame'] = copy_bf.mean(0)
    first = self._context + 1  # Frames are counted from 1.
    findings.curves[f'{name} of predictions'] = curves_lib.Curve(
      'frame', metric.label or name, [*range(first, first + f)], series
    )
    return findings


class PerceptualPrediction(Prediction):
  """LPIPS of the best of N predictions."""

  name = 'lpips'
  definitions: ClassVar[dict[str, str]] = Prediction.definitions | {
    'lpips': ' Source: '.join(frame_metrics.DEFINITIONS['lpips*'])
  }

  @staticmethod
  def _frame_metrics(inputs: base.MetricInputs) -> frame_metrics.FrameMetrics:
    return frame_metrics.perceptual()

"""Metrics of single frames that have a ground truth: PSNR, SSIM and LPIPS."""

from collections.abc import Callable, Mapping
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from vgen_jax.core.types import ClipShape
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.scores import reconstruction
from vgen_jax.pretrained import features as features_lib
from vgen_jax.pretrained import protocols

# {pattern of a name: (what a metric is, its source)}.
DEFINITIONS = {
  'psnr': (
    'PSNR, 10 times the decimal logarithm of the squared range of values over'
    ' the mean squared error,',
    'evaluation/scores/reconstruction.py.',
  ),
  'ssim-*': (
    'SSIM, the structural similarity of a frame and its truth,',
    'Wang et al., "Image quality assessment: from error visibility to'
    ' structural similarity", 2004.',
  ),
  'lpips*': (
    'LPIPS, the distance of features of a network of a frame and its truth,',
    'Zhang et al., "The Unreasonable Effectiveness of Deep Features as a'
    ' Perceptual Metric", 2018, https://arxiv.org/abs/1801.03924.',
  ),
}


class FrameMetric(NamedTuple):
  """One metric of frames.

  Attributes:
    function: Returns a number per frame `[b, t]` for clips and their truth.
    better: Direction, 'higher' or 'lower'.
    unit: Unit; '' for none.
    label: Label of the axis of charts; '' for the name of the metric.
  """

  function: Callable[[np.ndarray, np.ndarray], np.ndarray]
  better: str = 'higher'
  unit: str = ''
  label: str = ''


class FrameMetrics(NamedTuple):
  """Metrics of frames that are computed together.

  Attributes:
    by_name: {name: metric}.
    protocol: Everything that the numbers depend on.
  """

  by_name: Mapping[str, FrameMetric]
  protocol: Mapping[str, Any]


def of_pixels(clip_shape: ClipShape) -> FrameMetrics:
  """Returns PSNR, and SSIM with the largest window that fits the frames.

  The window has 11 or 7 pixels a side; for smaller frames there is no SSIM.
  """
  metrics = {
    'psnr': FrameMetric(_function('psnr'), unit='dB', label='PSNR (dB)')
  }
  side = min(clip_shape[1:3])
  if side >= 7:
    name = f'ssim-{"gaussian11" if side >= 11 else "uniform7"}-rgb'
    metrics[name] = FrameMetric(_function(name))
  protocol = {
    'psnr': 'mean of frames',
    'code': base.code_digest(reconstruction),
  }
  return FrameMetrics(metrics, protocol)


def of_network(distance: features_lib.Distance) -> FrameMetrics:
  """Returns LPIPS, named after its protocol."""
  metric = FrameMetric(distance.by_frame, better='lower')
  return FrameMetrics({distance.protocol['name']: metric}, distance.protocol)


def perceptual() -> FrameMetrics:
  """Returns LPIPS with its default network.

  Raises:
    weights.WeightsMissingError: If the network has no weights.
  """
  return of_network(protocols.perceptual())


def _function(name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
  return jax.jit(functools.partial(reconstruction.frame_metric, name))

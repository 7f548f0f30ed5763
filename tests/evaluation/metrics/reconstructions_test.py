"""Tests of metrics/reconstructions.py, and of metrics with an 'r'."""

import functools

import numpy as np
import pytest

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import frame_metrics
from vgen_jax.evaluation.metrics import pixels
from vgen_jax.evaluation.metrics import reconstructions
from vgen_jax.evaluation.metrics import registry
from vgen_jax.synthetic.world import source as world_lib

SHAPE = (6, 16, 16, 3)


@functools.cache
def truth(num=6):
  source = world_lib.World(SHAPE)
  return np.stack([source[i]['video'] for i in range(num)])


def found(codes, video=None):
  metric = reconstructions.Reconstruction(frame_metrics.of_pixels(SHAPE), 8)
  video = truth() if video is None else video
  clips = {'video': video, 'truth': truth(), 'codes': codes}
  features = {base.RECONSTRUCTED: metric.extractor(clips)}
  return metric.compute(features, np.random.default_rng(0))


def test_codebook_use_is_counted_over_all_clips():
  """Four of eight codes, equally often: usage is 1/2, perplexity is 4."""
  codes = np.arange(6 * 2 * 2 * 4).reshape(6, 2, 2, 4) % 4
  values = found(codes).values
  assert values['codebook_usage'].value == 0.5
  assert values['codebook_perplexity'].value == pytest.approx(4)
  one = found(np.zeros_like(codes)).values
  assert one['codebook_usage'].value == 1 / 8
  assert one['codebook_perplexity'].value == pytest.approx(1)


def test_a_blurred_frame_has_a_lower_psnr():
  codes = np.zeros((6, 1, 1, 1), int)
  video = truth().copy()
  video[:, -1] = video[:, -1].mean((1, 2), keepdims=True)
  findings = found(codes, video)
  curve = findings.curves['psnr of reconstructions'].series['mean']
  assert curve[0] == 100 > 40 > curve[-1]
  assert findings.values['reconstruction_psnr'].value < 100


def test_the_prefix_r_makes_a_metric_of_reconstructions():
  metric = registry.OfReconstructions(pixels.Flicker())
  assert metric.counts(5) == {base.RECONSTRUCTED: 5, base.REAL: 5}
  features = {
    source: metric.extractor({'video': truth()}) for source in metric.counts(1)
  }
  values = metric.compute(features, np.random.default_rng(0)).values
  assert set(values) == {'rsteadiness', 'rdynamic_degree'}
  real = values['rsteadiness'].real
  assert values['rsteadiness'].value == pytest.approx(real)

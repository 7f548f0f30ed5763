"""Tests of evaluation/metrics/paired.py: cheats at prediction; codes."""

import functools

import numpy as np
import pytest

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import paired
from vgen_jax.evaluation.metrics import pixels
from vgen_jax.synthetic.world import source as world_lib

SHAPE = (6, 16, 16, 3)
CONTEXT = 2


@functools.cache
def truth(num=6):
  source = world_lib.World(SHAPE)
  return np.stack([source[i]['video'] for i in range(num)])


@functools.cache
def metric():
  return paired.Prediction('prediction', paired.of_pixels(SHAPE), CONTEXT)


def found(samples) -> base.Findings:
  clips = {'video': np.stack(samples, 1), 'truth': truth()}
  features = {base.PREDICTED: metric().probe(clips)}
  return metric().conclude(features, np.random.default_rng(0))


def other(seed):
  rng = np.random.default_rng(seed)
  return truth()[rng.permutation(len(truth()))]


def test_the_best_of_n_bears_n_in_its_name_and_one_in_three_is_right():
  findings = found([other(1), truth(), other(2)])
  values = findings.values
  assert values['psnr_best_of_3'].value == 100  # The most that it can be.
  assert values['ssim-gaussian11-rgb_best_of_3'].value == pytest.approx(1)
  assert values['psnr_mean_of_1'].value < 60
  low, high = values['psnr_mean_of_1'].interval
  assert low < values['psnr_mean_of_1'].value < high
  assert values['diversity_of_3'].value > 0
  protocol = values['psnr_best_of_3'].protocol
  assert protocol['context'] == CONTEXT
  assert (protocol['num_samples'], protocol['frames']) == (3, 4)


def test_the_context_does_not_count_and_frames_are_numbered():
  wrong_past = truth().copy()
  wrong_past[:, :CONTEXT] = 0
  findings = found([wrong_past])
  assert findings.values['psnr_best_of_1'].value == 100
  assert 'diversity_of_1' not in findings.values
  curve = findings.curves['psnr of predictions']
  assert list(curve.x) == [3, 4, 5, 6]
  copied = curve.series['copy of the last frame']
  assert copied[0] > copied[-1]  # The further, the harder.
  note = findings.values['psnr_best_of_1'].note
  assert f'{np.mean(copied):.4g}' in note


def test_a_model_that_copies_the_last_frame_gains_nothing():
  last = np.repeat(truth()[:, CONTEXT - 1 : CONTEXT], SHAPE[0], 1)
  findings = found([last, last])
  curve = findings.curves['psnr of predictions'].series
  np.testing.assert_allclose(
    curve['best_of_2'], curve['copy of the last frame'], rtol=1e-5
  )
  assert findings.values['diversity_of_2'].value == 0


def test_of_distances_the_lowest_is_best():
  gap = lambda x, y: np.abs(np.float32(x) - y).mean((2, 3, 4))
  curves = paired.Curves({'gap': gap}, ('gap',))
  metric = paired.Prediction('gap', curves, CONTEXT)
  clips = {'video': np.stack([truth(), other(1)], 1), 'truth': truth()}
  features = {base.PREDICTED: metric.probe(clips)}
  values = metric.conclude(features, np.random.default_rng(0)).values
  assert values['gap_best_of_2'].value == 0
  assert values['gap_best_of_2'].better == 'lower'
  assert values['gap_mean_of_1'].value > 0
  assert values['gap_best_of_2_worst_decile'].value == 0


def test_small_frames_take_a_small_window():
  assert list(paired.of_pixels((4, 8, 8, 3)).every)[1] == 'ssim-uniform7-rgb'
  assert list(paired.of_pixels((4, 4, 4, 3)).every) == ['psnr']


def rebuilt(codes, video=None):
  metric = paired.Reconstruction('reconstruction', paired.of_pixels(SHAPE), 8)
  video = truth() if video is None else video
  clips = {'video': video, 'truth': truth(), 'codes': codes}
  features = {base.RECONSTRUCTED: metric.probe(clips)}
  return metric.conclude(features, np.random.default_rng(0))


def test_codes_are_counted_over_all_clips():
  """Four of eight codes, as often: half are used, perplexity is four."""
  codes = np.arange(6 * 2 * 2 * 4).reshape(6, 2, 2, 4) % 4
  values = rebuilt(codes).values
  assert values['codebook_usage'].value == 0.5
  assert values['codebook_perplexity'].value == pytest.approx(4)
  one = rebuilt(np.zeros_like(codes)).values
  assert one['codebook_usage'].value == 1 / 8
  assert one['codebook_perplexity'].value == pytest.approx(1)


def test_a_blurred_reconstruction_is_worse_frame_by_frame():
  codes = np.zeros((6, 1, 1, 1), int)
  video = truth().copy()
  video[:, -1] = video[:, -1].mean((1, 2), keepdims=True)
  findings = rebuilt(codes, video)
  curve = findings.curves['psnr of reconstructions'].series['mean']
  assert curve[0] == 100 > 40 > curve[-1]
  assert findings.values['reconstruction_psnr'].value < 100


def test_an_r_makes_it_a_metric_of_reconstructions():
  metric = paired.Rebuilt(pixels.Flicker())
  assert metric.counts(5) == {base.RECONSTRUCTED: 5, base.REAL: 5}
  features = {
    place: metric.probe({'video': truth()}) for place in metric.counts(1)
  }
  values = metric.conclude(features, np.random.default_rng(0)).values
  assert set(values) == {'rsteadiness', 'rdynamic_degree'}
  real = values['rsteadiness'].real
  assert values['rsteadiness'].value == pytest.approx(real)

"""Tests of metrics/predictions.py: degenerate predictors, and directions."""

import functools

import numpy as np
import pytest

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import frame_metrics
from vgen_jax.evaluation.metrics import predictions
from vgen_jax.synthetic.world import source as world_lib

SHAPE = (6, 16, 16, 3)
CONTEXT = 2


@functools.cache
def truth(num=6):
  source = world_lib.World(SHAPE)
  return np.stack([source[i]['video'] for i in range(num)])


@functools.cache
def metric():
  return predictions.Prediction(frame_metrics.of_pixels(SHAPE), CONTEXT)


def found(samples) -> base.Findings:
  clips = {'video': np.stack(samples, 1), 'truth': truth()}
  features = {base.PREDICTED: metric().extractor(clips)}
  return metric().compute(features, np.random.default_rng(0))


def other(seed):
  rng = np.random.default_rng(seed)
  return truth()[rng.permutation(len(truth()))]


def test_one_right_sample_of_three_makes_the_best_of_3_perfect():
  findings = found([other(1), truth(), other(2)])
  values = findings.values
  assert values['psnr_best_of_3'].value == 100  # The maximum.
  assert values['ssim-gaussian11-rgb_best_of_3'].value == pytest.approx(1)
  assert values['psnr_sample_mean'].value < 60
  low, high = values['psnr_sample_mean'].interval
  assert low < values['psnr_sample_mean'].value < high
  assert values['diversity_of_3'].value > 0
  protocol = values['psnr_best_of_3'].protocol
  assert protocol['context'] == CONTEXT
  assert (protocol['num_samples'], protocol['frames']) == (3, 4)


def test_known_frames_do_not_count_and_frames_are_numbered_from_1():
  wrong_past = truth().copy()
  wrong_past[:, :CONTEXT] = 0
  findings = found([wrong_past])
  assert findings.values['psnr_best_of_1'].value == 100
  assert 'diversity_of_1' not in findings.values
  curve = findings.curves['psnr of predictions']
  assert list(curve.x) == [3, 4, 5, 6]
  copy = curve.series['copy of the last frame']
  assert copy[0] > copy[-1]  # Later frames are harder.
  note = findings.values['psnr_best_of_1'].note
  assert f'{np.mean(copy):.4g}' in note


def test_copying_the_last_frame_scores_as_that_baseline():
  last = np.repeat(truth()[:, CONTEXT - 1 : CONTEXT], SHAPE[0], 1)
  findings = found([last, last])
  curve = findings.curves['psnr of predictions'].series
  np.testing.assert_allclose(
    curve['best_of_2'], curve['copy of the last frame'], rtol=1e-5
  )
  assert findings.values['diversity_of_2'].value == 0


def test_the_lowest_distance_is_the_best():
  gap = lambda x, y: np.abs(np.float32(x) - y).mean((2, 3, 4))
  metrics = {'gap': frame_metrics.FrameMetric(gap, better='lower')}
  metric = predictions.Prediction(
    frame_metrics.FrameMetrics(metrics, {}), CONTEXT
  )
  clips = {'video': np.stack([truth(), other(1)], 1), 'truth': truth()}
  features = {base.PREDICTED: metric.extractor(clips)}
  values = metric.compute(features, np.random.default_rng(0)).values
  assert values['gap_best_of_2'].value == 0
  assert values['gap_best_of_2'].better == 'lower'
  assert values['gap_sample_mean'].value > 0
  assert values['gap_best_of_2_worst_decile'].value == 0


def test_small_frames_use_a_smaller_ssim_window():
  assert (
    list(frame_metrics.of_pixels((4, 8, 8, 3)).by_name)[1]
    == 'ssim-uniform7-rgb'
  )
  assert list(frame_metrics.of_pixels((4, 4, 4, 3)).by_name) == ['psnr']

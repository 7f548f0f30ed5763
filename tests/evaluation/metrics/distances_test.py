"""Tests of metrics/distances.py and metrics/networks.py."""

import numpy as np
import pytest

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import distances
from vgen_jax.evaluation.metrics import networks
from vgen_jax.evaluation.scores import frechet


def normal(n, shift=0.0, seed=0, d=6):
  return np.random.default_rng(seed).normal(shift, 1, (n, d))


def rng():
  return np.random.default_rng(0)


def test_equal_distributions_are_at_the_floor_and_at_0_in_the_limit():
  found = distances.frechet(
    'x', normal(300, seed=1), normal(600, seed=2), rng(), {'of': 'tests'},
    infinity=True,
  )  # fmt: skip
  value = found.values['x']
  assert value.value == pytest.approx(value.floor, rel=0.7)
  assert value.interval[0] <= value.value <= value.interval[1]
  shift = distances.frechet(
    'x', normal(300, 1.0, seed=1), normal(600, seed=2), rng(), {},
    infinity=True,
  )  # fmt: skip
  for each, exact in ((found, 0), (shift, 6)):
    value = each.values['x_infinity'].value
    assert value == pytest.approx(exact, abs=0.1 + 0.15 * exact)
  value = found.values['x']
  assert value.protocol | {'of': 'tests', 'num_real': 300} == value.protocol


def test_a_shift_is_above_the_floor_for_both_values_of_ddof():
  generated, real = normal(100, 0.5, seed=1), normal(200, seed=2)
  for ddof in (0, 1):
    value = distances.frechet(
      'x', generated, real, rng(), {}, ddof=ddof
    ).values['x']
    exact = frechet.distance_of_features(generated, real[:100], ddof=ddof)
    assert value.value == pytest.approx(exact, rel=1e-9)
    assert value.protocol['covariance_ddof'] == ddof
    assert value.interval[0] > value.floor
    assert value.interval[0] < 6 * 0.5**2 < value.interval[1] + value.floor


def test_frames_of_a_clip_stay_in_the_same_half():
  """Otherwise repeated frames would make the interval narrower."""
  generated, real = normal(60, 0.3, seed=1), normal(120, seed=2)
  alone = distances.frechet('x', generated, real, rng(), {}).values['x']
  frames = lambda x: np.repeat(x[:, None], 8, 1)
  many = distances.frechet('x', frames(generated), frames(real), rng(), {})
  width = lambda value: value.interval[1] - value.interval[0]
  assert width(many.values['x']) == pytest.approx(width(alone), rel=0.2)


def test_few_real_clips_give_a_floor_of_smaller_sets():
  value = distances.frechet('x', normal(50), normal(30), rng(), {}).values['x']
  assert value.protocol['num_real'] == 30
  assert value.protocol['num_floor'] == 15
  none = distances.frechet('x', normal(3), normal(30), rng(), {}).values['x']
  assert (none.value, none.status) == (None, 'undefined')


def test_kid_is_about_0_without_a_shift_only():
  kid = lambda shift: distances.kid(
    'kid', normal(200, shift, seed=1), normal(400, seed=2), rng(), {}
  ).values['kid']
  low, high = kid(0.0).interval
  assert low < 0 < high
  assert kid(0.7).interval[0] > 0
  assert abs(kid(0.7).floor) < kid(0.7).value / 5


class Fake:
  """A network whose features are two pixels of a frame."""

  def __init__(self):
    self.protocol = {'name': 'fake', 'layer': 'none'}

  def extract(self, video_bthwc):
    x_bt2 = video_bthwc[..., 0, 0, :2].astype(np.float32)
    return x_bt2.reshape(-1, 2)


def test_network_features_stay_with_their_clips():
  draw = np.random.default_rng(0)
  videos = {
    base.GENERATED: draw.integers(0, 200, (40, 3, 4, 4, 3), np.uint8),
    base.REAL: draw.integers(50, 250, (80, 3, 4, 4, 3), np.uint8),
  }
  extractor = networks.NetworkFeatures(Fake())
  features = {source: extractor({'video': x}) for source, x in videos.items()}
  rows = features[base.GENERATED]['rows']
  np.testing.assert_array_equal(rows, videos[base.GENERATED][:, :, 0, 0, :2])
  value = networks.FID('fid', extractor).compute(features, rng()).values['fid']
  flat = lambda x: x[:, :, 0, 0, :2].reshape(-1, 2)
  pair = flat(videos[base.GENERATED]), flat(videos[base.REAL][:40])
  exact = frechet.distance_of_features(*pair)
  assert value.value == pytest.approx(exact, rel=1e-6)
  assert value.floor < value.value / 10
  assert value.protocol | Fake().protocol == value.protocol


def test_inception_score_of_equal_frames_is_1():
  same = np.full((40, 2, 5), 0.2)
  certain = np.eye(5)[np.random.default_rng(0).integers(0, 5, (40, 2))]
  score = networks.InceptionScore(networks.NetworkFeatures(Fake()))
  features = {base.GENERATED: {'rows': same}, base.REAL: {'rows': certain}}
  value = score.compute(features, rng()).values['inception_score']
  assert value.value == pytest.approx(1)
  assert 3 < value.real <= 5

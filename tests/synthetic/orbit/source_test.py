"""Tests of synthetic/orbit/source.py: the period is exact."""

import numpy as np
import pytest

from vgen_jax.synthetic.orbit import source

SHAPE = (200, 24, 32, 3)


def measured_period(video) -> int:
  """Smallest number of frames after which a clip repeats itself."""
  for period in range(1, len(video)):
    if np.array_equal(video[period:], video[:-period]):
      return period
  return 0


def test_the_period_is_exact_and_minimal(pixel_tools):
  world = source.Orbit(SHAPE, periods=(16, 32))
  periods, directions = set(), set()
  for i in range(12):
    truth, video = world.truth(i), world[i]['video']
    assert measured_period(video) == truth.period
    center_t2 = pixel_tools.track(video)
    np.testing.assert_allclose(center_t2, truth.center_t2, atol=0.2)
    arm_t2 = center_t2 - truth.middle_2
    distance_t = np.linalg.norm(arm_t2, axis=1)
    np.testing.assert_allclose(distance_t, truth.distance, atol=0.25)
    # As y points down, clockwise is towards larger angles.
    angle_t = np.unwrap(np.arctan2(arm_t2[:, 1], arm_t2[:, 0]))
    revolutions = (angle_t[-1] - angle_t[0]) / (2 * np.pi)
    np.testing.assert_allclose(abs(revolutions) * truth.period, 199, atol=1)
    assert (revolutions > 0) == truth.is_clockwise
    periods.add(truth.period)
    directions.add(truth.is_clockwise)
  assert len(periods) > 4
  assert min(periods) >= 16
  assert max(periods) <= 32
  assert directions == {True, False}


def test_drift_changes_the_measured_period():
  video = source.Orbit(SHAPE)[0]['video'].copy()
  period = measured_period(video)
  video[150:] = np.clip(video[150:].astype(int) + 1, 0, 255)
  assert measured_period(video) != period


def test_the_period_can_be_fixed():
  world = source.Orbit((40, 16, 16, 3), periods=(10, 10))
  assert {world.truth(i).period for i in range(20)} == {10}
  assert measured_period(world[0]['video']) == 10


def test_sizes_are_proportional_to_the_frame():
  world = source.Orbit((4, 64, 64, 3))
  truths = [world.truth(i) for i in range(200)]
  assert {x.radius for x in truths} == {0.095 * 64}
  assert 0.4 < np.mean([x.is_clockwise for x in truths]) < 0.6
  distances = np.array([x.distance for x in truths]) / 64
  assert 0.25 <= distances.min() < 0.255
  assert 0.325 < distances.max() <= 0.33
  assert world.distances == (0.25 * 64, 0.33 * 64)


def test_large_objects_stay_in_the_frame(pixel_tools):
  world = source.Orbit((16, 16, 16, 3), radius=0.15)
  for i in range(12):
    truth = world.truth(i)
    assert truth.radius == 0.15 * 16
    low_2 = truth.center_t2.min(0)
    high_2 = truth.center_t2.max(0)
    assert low_2.min() >= truth.radius
    assert high_2.max() <= 15 - truth.radius
    center_t2 = pixel_tools.track(world[i]['video'])
    np.testing.assert_allclose(center_t2, truth.center_t2, atol=0.2)


@pytest.mark.parametrize('radius', [0.049, 0.161])
def test_other_radii_are_refused(radius):
  with pytest.raises(ValueError, match=f'radius is {radius}; .* 0.05 to 0.16'):
    source.Orbit(SHAPE, radius=radius)


def test_labels_are_directions():
  world = source.Orbit((4, 16, 16, 3), has_labels=True)
  assert world.schema.class_names == ('clockwise', 'anticlockwise')
  assert world[0]['label'].dtype == np.int32
  labels = [int(world[i]['label']) for i in range(16)]
  assert labels == [int(not world.truth(i).is_clockwise) for i in range(16)]
  assert set(labels) == {0, 1}
  plain = source.Orbit((4, 16, 16, 3))
  assert plain.schema.num_classes == 0
  assert set(plain[0]) == {'video'}
  np.testing.assert_array_equal(plain[0]['video'], world[0]['video'])

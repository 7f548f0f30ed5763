"""Tests of synthetic/orbit/source.py: the period is exact, and stays so."""

import numpy as np

from vgen_jax.synthetic.orbit import source

SHAPE = (200, 24, 32, 3)


def seen_period(video) -> int:
  """The least number of frames after which a clip repeats itself."""
  for period in range(1, len(video)):
    if np.array_equal(video[period:], video[:-period]):
      return period
  return 0


def test_the_period_is_exact_and_the_least(look):
  world = source.Orbit(SHAPE, periods=(16, 32))
  periods, senses = set(), set()
  for i in range(12):
    truth, video = world.truth(i), world[i]['video']
    assert seen_period(video) == truth.period
    center_t2 = look.track(video)
    np.testing.assert_allclose(center_t2, truth.center_t2, atol=0.2)
    arm_t2 = center_t2 - truth.middle_2
    distance_t = np.linalg.norm(arm_t2, axis=1)
    np.testing.assert_allclose(distance_t, truth.distance, atol=0.25)
    # On a screen, y goes down, so clockwise is towards larger angles.
    angle_t = np.unwrap(np.arctan2(arm_t2[:, 1], arm_t2[:, 0]))
    turns = (angle_t[-1] - angle_t[0]) / (2 * np.pi)
    np.testing.assert_allclose(abs(turns) * truth.period, 199, atol=1)
    assert (turns > 0) == truth.is_clockwise
    periods.add(truth.period)
    senses.add(truth.is_clockwise)
  assert len(periods) > 4
  assert min(periods) >= 16
  assert max(periods) <= 32
  assert senses == {True, False}


def test_what_drifts_is_noticed():
  video = source.Orbit(SHAPE)[0]['video'].copy()
  period = seen_period(video)
  video[150:] = np.clip(video[150:].astype(int) + 1, 0, 255)
  assert seen_period(video) != period


def test_a_period_may_be_chosen():
  world = source.Orbit((40, 16, 16, 3), periods=(10, 10))
  assert {world.truth(i).period for i in range(20)} == {10}
  assert seen_period(world[0]['video']) == 10

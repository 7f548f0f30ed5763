"""Tests of source.py: actions take effect one frame later."""

import numpy as np
import pytest

from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.actions import source

SHAPE = (16, 32, 32, 3)


def requested_and_actual(pixel_tools, world, number=60):
  """Actions, motion of the tracked object, and which steps meet a wall."""
  requested, actual, wall = [], [], []
  for i in range(number):
    clip = world[i]
    center_t2 = pixel_tools.track(clip['video'])
    requested.append(clip['action'][:-1])
    actual.append(np.diff(center_t2, axis=0))
    radius = 0.08 * 32
    after = center_t2[1:]
    wall.append(((after < radius + 0.15) | (after > 30.85 - radius)).any(1))
  return np.array(requested), np.array(actual), np.array(wall)


def agreement(requested, actual):
  return np.corrcoef(requested.ravel(), actual.ravel())[0, 1]


@pytest.mark.parametrize('continuous', [False, True])
def test_motion_follows_the_actions(continuous, pixel_tools):
  world = source.Actions(SHAPE, continuous=continuous)
  requested, actual, wall = requested_and_actual(pixel_tools, world)
  free = ~wall
  assert free.mean() > 0.5
  assert agreement(requested[free], actual[free]) > 0.995
  assert agreement(requested, actual) > 0.9  # Walls stop some.
  step = 32 / 16
  np.testing.assert_allclose(actual[free], step * requested[free], atol=0.25)
  shuffled = np.random.default_rng(0).permutation(requested)
  assert abs(agreement(shuffled, actual)) < 0.2
  late = agreement(requested[:, :-1][free[:, 1:]], actual[:, 1:][free[:, 1:]])
  assert late < 0.75  # Actions that take effect a frame too late.


def test_actions_are_five_and_persist():
  world = source.Actions(SHAPE)
  action = np.stack([world[i]['action'] for i in range(200)])
  moves, counts = np.unique(action.reshape(-1, 2), axis=0, return_counts=True)
  assert sorted(map(tuple, moves)) == sorted(source.MOVES)
  assert counts.min() / counts.sum() > 0.1  # Resting is the rarest.
  stays = (action[:, 1:] == action[:, :-1]).all(-1).mean()
  assert stays == pytest.approx(0.6 + 0.4 / 5, abs=0.04)


def test_continuous_actions_have_any_direction_and_bounded_length():
  world = source.Actions(SHAPE, continuous=True)
  action = np.concatenate([world[i]['action'] for i in range(100)])
  length = np.linalg.norm(action, axis=-1)
  assert 0.9 < length.max() <= 1 + 1e-6
  assert abs(action.mean(0)).max() < 0.15
  assert len(np.unique(action, axis=0)) > 300


def test_truth_states_which_steps_walls_stop(pixel_tools):
  world = source.Actions(SHAPE)
  stopped = 0
  for i in range(60):
    truth, clip = world.truth(i), world[i]
    center_t2 = pixel_tools.track(clip['video'])
    np.testing.assert_allclose(center_t2, truth.center_t2, atol=0.12)
    np.testing.assert_array_equal(truth.action_t2, clip['action'])
    moved = np.linalg.norm(np.diff(center_t2, axis=0), axis=1)
    wanted = truth.step * np.linalg.norm(clip['action'][:-1], axis=1)
    short_t = moved < wanted - 0.3
    # Walls may shorten steps by less than the tracker's error.
    assert not (short_t & ~truth.stopped_t[:-1]).any()
    stopped += short_t.sum()
  assert stopped > 10


def test_the_mask_of_the_truth_repaints_the_clip():
  """A mask that is half a pixel off would show at the edges of the object."""
  world = source.Actions((8, 24, 32, 3))
  for i in range(12):
    truth, video_thwc = world.truth(i), world[i]['video'].astype(float)
    assert truth.alpha_thw.shape == (8, 24, 32)
    alpha_thw1 = truth.alpha_thw[..., None].astype(float)
    # The background is the same in all frames; the object leaves it uncovered.
    covered_thw = truth.alpha_thw > 0
    uncovered_hw = ~covered_thw.all(0)
    weight_thw1 = ~covered_thw[..., None]
    background_hwc = (video_thwc * weight_thw1).sum(0) / np.maximum(
      weight_thw1.sum(0), 1
    )
    color_c = np.array(drawing.COLORS[truth.color])
    painted_thwc = alpha_thw1 * color_c + (1 - alpha_thw1) * background_hwc
    gap_thwc = np.abs(painted_thwc - video_thwc)[:, uncovered_hw]
    assert gap_thwc.max() < 1.6  # Of 255; two roundings.

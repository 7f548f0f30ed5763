"""Tests of source.py: what is told is done, one frame later."""

import numpy as np
import pytest

from vgen_jax.synthetic.actions import source

SHAPE = (16, 32, 32, 3)


def told_and_done(look, world, number=60):
  """Actions, moves of the tracked object, and which of them met a wall."""
  told, done, wall = [], [], []
  for i in range(number):
    clip = world[i]
    center_t2 = look.track(clip['video'])
    told.append(clip['action'][:-1])
    done.append(np.diff(center_t2, axis=0))
    radius = 0.08 * 32
    after = center_t2[1:]
    wall.append(((after < radius + 0.15) | (after > 30.85 - radius)).any(1))
  return np.array(told), np.array(done), np.array(wall)


def agreement(told, done):
  return np.corrcoef(told.ravel(), done.ravel())[0, 1]


@pytest.mark.parametrize('continuous', [False, True])
def test_actions_are_seen_in_the_moves(continuous, look):
  world = source.Actions(SHAPE, continuous=continuous)
  told, done, wall = told_and_done(look, world)
  free = ~wall
  assert free.mean() > 0.5
  assert agreement(told[free], done[free]) > 0.995
  assert agreement(told, done) > 0.9  # Walls stop some.
  step = 32 / 16
  np.testing.assert_allclose(done[free], step * told[free], atol=0.25)
  shuffled = np.random.default_rng(0).permutation(told)
  assert abs(agreement(shuffled, done)) < 0.2
  late = agreement(told[:, :-1][free[:, 1:]], done[:, 1:][free[:, 1:]])
  assert late < 0.75  # An action taken for that of the next frame.


def test_moves_are_five_and_last():
  world = source.Actions(SHAPE)
  action = np.stack([world[i]['action'] for i in range(200)])
  moves, counts = np.unique(action.reshape(-1, 2), axis=0, return_counts=True)
  assert sorted(map(tuple, moves)) == sorted(source.MOVES)
  assert counts.min() / counts.sum() > 0.1  # To rest is rarer.
  stays = (action[:, 1:] == action[:, :-1]).all(-1).mean()
  assert stays == pytest.approx(0.6 + 0.4 / 5, abs=0.04)


def test_continuous_actions_are_of_any_direction_but_not_long():
  world = source.Actions(SHAPE, continuous=True)
  action = np.concatenate([world[i]['action'] for i in range(100)])
  length = np.linalg.norm(action, axis=-1)
  assert 0.9 < length.max() <= 1 + 1e-6
  assert abs(action.mean(0)).max() < 0.15
  assert len(np.unique(action, axis=0)) > 300


def test_walls_stop_and_truth_says_so(look):
  world = source.Actions(SHAPE)
  stopped = 0
  for i in range(60):
    truth, clip = world.truth(i), world[i]
    center_t2 = look.track(clip['video'])
    np.testing.assert_allclose(center_t2, truth.center_t2, atol=0.12)
    np.testing.assert_array_equal(truth.action_t2, clip['action'])
    moved = np.linalg.norm(np.diff(center_t2, axis=0), axis=1)
    wanted = truth.step * np.linalg.norm(clip['action'][:-1], axis=1)
    short_t = moved < wanted - 0.3
    # What stops by less than the tracker's error is no matter.
    assert not (short_t & ~truth.stopped_t[:-1]).any()
    stopped += short_t.sum()
  assert stopped > 10

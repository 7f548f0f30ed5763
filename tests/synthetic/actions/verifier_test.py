"""Tests of actions/verifier.py: real clips pass, clips of other motion fail."""

import functools

import numpy as np
import pytest
from scipy import ndimage

from vgen_jax.synthetic.actions import source as actions_lib
from vgen_jax.synthetic.actions import verifier

SHAPES = ((16, 32, 32, 3), (16, 16, 16, 3), (8, 24, 32, 3))
slow = functools.partial(pytest.param, marks=pytest.mark.slow)
each_world = pytest.mark.parametrize(
  ('shape', 'continuous'),
  [
    (SHAPES[0], False), slow(SHAPES[0], True),
    slow(SHAPES[1], False), (SHAPES[1], True),
    (SHAPES[2], False), slow(SHAPES[2], True),
  ],
)  # fmt: skip


@functools.cache
def clips(shape, continuous, count=48):
  world = actions_lib.Actions(shape, 'test', continuous=continuous)
  clip_list = [world[i] for i in range(count)]
  return world, *(
    np.stack([d[k] for d in clip_list]) for k in ('video', 'action')
  )


def grain(video, level):
  clip_list = np.random.default_rng(0).normal(0, level, video.shape)
  return np.clip(video + clip_list, 0, 255).astype(np.uint8)


@each_world
def test_real_clips_follow_their_actions(shape, continuous):
  world, video, action = clips(shape, continuous)
  report = verifier.report(world, video, action)
  assert report['accuracy'] == report['object_presence'] == 1
  assert report['accuracy_moving'] == 1
  assert report['error'] < 0.12
  assert report['correlation'] > 0.97
  soft = ndimage.gaussian_filter(video, (0, 0, 1, 1, 0))
  as_floats = video.astype(np.float32) / 127.5 - 1
  for changed in (soft, as_floats, grain(video, 6)):
    assert verifier.report(world, changed, action)['accuracy'] > 0.97


def test_motion_equals_the_truth():
  world, video, action = clips(SHAPES[0], False)
  found = verifier.compute_features(world, video, action)
  for i in range(len(video)):
    moved = np.diff(world.truth(i).center_t2, axis=0)
    np.testing.assert_allclose(found.moved_bs2[i], moved, atol=0.15)
    np.testing.assert_allclose(found.requested_bs2[i], moved, atol=0.15)


CORRUPTIONS = {
  'another clip': lambda v, rng: np.roll(v, 1, 0),
  'a frame late': lambda v, rng: np.concatenate([v[:, :1], v[:, :-1]], 1),
  'still': lambda v, rng: np.repeat(v[:, :1], v.shape[1], 1),
  'shuffled': lambda v, rng: v[:, rng.permutation(v.shape[1])],
  'backwards': lambda v, rng: v[:, ::-1],
  'mirrored': lambda v, rng: v[:, :, :, ::-1],
  'nothing': lambda v, rng: np.zeros_like(v),
  'noise': lambda v, rng: rng.integers(0, 256, v.shape).astype(np.uint8),
  'mean of all': lambda v, rng: np.repeat(v.mean(0, keepdims=True), len(v), 0),
}


@each_world
@pytest.mark.parametrize('name', CORRUPTIONS)
def test_corrupted_clips_do_not_follow_their_actions(shape, continuous, name):
  world, video, action = clips(shape, continuous)
  changed = CORRUPTIONS[name](video, np.random.default_rng(0)).astype(np.uint8)
  report = verifier.report(world, changed, action)
  assert report['accuracy'] < 0.8
  assert report['accuracy_moving'] < 0.76
  assert report['error'] > 0.3 * world.step
  assert report['correlation'] < 0.8
  if name in ('still', 'nothing', 'noise'):
    assert report['accuracy_moving'] == 0
    assert report['correlation'] == 0


def test_partial_agreement_gives_intermediate_values():
  """Shifted frames err a little; with other actions accuracy is at chance."""
  world, video, action = clips(SHAPES[0], False)
  rng = np.random.default_rng(0)
  shift = rng.integers(-1, 2, (*video.shape[:2], 2))
  shifted = video.copy()
  for b, t in np.ndindex(*video.shape[:2]):
    shifted[b, t] = np.roll(video[b, t], shift[b, t], (0, 1))
  report = verifier.report(world, shifted, action)
  assert 0.1 < report['accuracy'] < 0.9
  assert 0.5 < report['correlation'] < 0.95
  moves = np.array(actions_lib.MOVES, np.float32)
  other = moves[rng.integers(0, 5, action.shape[:2])]
  report = verifier.report(world, video, other)
  assert 0.1 < report['accuracy'] < 0.35
  assert abs(report['correlation']) < 0.15


def test_a_frame_without_the_object_counts_as_wrong():
  world, video, action = clips(SHAPES[0], False)
  gone = video.copy()
  gone[:, 5] = 60
  found = verifier.compute_features(world, gone, action)
  assert not found.visible_bt[:, 5].any()
  assert found.visible_bt[:, 6:].all()
  wanted = np.ones(15, bool)
  wanted[4:6] = False
  np.testing.assert_array_equal(found.correct_bs, np.tile(wanted, (48, 1)))
  two = np.maximum(video, video[:, :, ::-1, ::-1])
  assert verifier.report(world, two, action)['object_presence'] < 0.5


def test_clips_of_another_shape_are_rejected():
  world, video, action = clips(SHAPES[0], False)
  with pytest.raises(ValueError, match='Verify with a dataset'):
    verifier.compute_features(world, video[:, :, :-1], action)
  with pytest.raises(ValueError, match='Axis'):
    verifier.compute_features(world, video, action[:, :-1])

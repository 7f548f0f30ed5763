"""Who does as it is told passes; all who do something else fail."""

import functools

import numpy as np
import pytest
from scipy import ndimage

from vgen_jax.synthetic.actions import source as actions_lib
from vgen_jax.synthetic.actions import verifier

SHAPES = ((16, 32, 32, 3), (16, 16, 16, 3), (8, 24, 32, 3))
each_world = pytest.mark.parametrize(
  ('shape', 'continuous'), [(s, c) for s in SHAPES for c in (False, True)]
)


@functools.cache
def clips(shape, continuous, count=48):
  world = actions_lib.Actions(shape, 'test', continuous=continuous)
  drawn = [world[i] for i in range(count)]
  return world, *(np.stack([d[k] for d in drawn]) for k in ('video', 'action'))


def grain(video, level):
  drawn = np.random.default_rng(0).normal(0, level, video.shape)
  return np.clip(video + drawn, 0, 255).astype(np.uint8)


@each_world
def test_real_clips_do_as_they_are_told(shape, continuous):
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


def test_centres_are_those_of_the_truth():
  world, video, action = clips(SHAPES[0], False)
  found = verifier.measure(world, video, action)
  for i in range(len(video)):
    moved = np.diff(world.truth(i).center_t2, axis=0)
    np.testing.assert_allclose(found.moved_bs2[i], moved, atol=0.15)
    np.testing.assert_allclose(found.told_bs2[i], moved, atol=0.15)


CHEATS = {
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
@pytest.mark.parametrize('cheat', CHEATS)
def test_what_does_something_else_fails(shape, continuous, cheat):
  world, video, action = clips(shape, continuous)
  changed = CHEATS[cheat](video, np.random.default_rng(0)).astype(np.uint8)
  report = verifier.report(world, changed, action)
  assert report['accuracy'] < 0.8
  assert report['accuracy_moving'] < 0.76
  assert report['error'] > 0.3 * world.step
  assert report['correlation'] < 0.8
  if cheat in ('still', 'nothing', 'noise'):
    assert report['accuracy_moving'] == 0
    assert report['correlation'] == 0


def test_the_rest_is_graded():
  """Shaken a little, it errs a little; told another thing, it is at chance."""
  world, video, action = clips(SHAPES[0], False)
  rng = np.random.default_rng(0)
  shift = rng.integers(-1, 2, (*video.shape[:2], 2))
  shaken = video.copy()
  for b, t in np.ndindex(*video.shape[:2]):
    shaken[b, t] = np.roll(video[b, t], shift[b, t], (0, 1))
  report = verifier.report(world, shaken, action)
  assert 0.1 < report['accuracy'] < 0.9
  assert 0.5 < report['correlation'] < 0.95
  moves = np.array(actions_lib.MOVES, np.float32)
  other = moves[rng.integers(0, 5, action.shape[:2])]
  report = verifier.report(world, video, other)
  assert 0.1 < report['accuracy'] < 0.35
  assert abs(report['correlation']) < 0.15


def test_a_frame_without_its_object_is_a_fault():
  world, video, action = clips(SHAPES[0], False)
  gone = video.copy()
  gone[:, 5] = 60
  found = verifier.measure(world, gone, action)
  assert not found.seen_bt[:, 5].any()
  assert found.seen_bt[:, 6:].all()
  wanted = np.ones(15, bool)
  wanted[4:6] = False
  np.testing.assert_array_equal(found.right_bs, np.tile(wanted, (48, 1)))
  two = np.maximum(video, video[:, :, ::-1, ::-1])
  assert verifier.report(world, two, action)['object_presence'] < 0.5


def test_clips_of_another_shape_are_an_error():
  world, video, action = clips(SHAPES[0], False)
  with pytest.raises(ValueError, match='judge by a world'):
    verifier.measure(world, video[:, :, :-1], action)
  with pytest.raises(ValueError, match='Axis'):
    verifier.measure(world, video, action[:, :-1])

"""Tests of source.py: scenes are recognized, in order."""

import numpy as np
import pytest

from vgen_jax.synthetic.scenes import source

SHAPE = (24, 32, 48, 3)


def edge_colors(video) -> np.ndarray:
  """Mean colours of the upper and of the lower rows of each frame."""
  rows = video.shape[1] // 4
  upper, lower = video[:, :rows], video[:, -rows:]
  return np.concatenate([upper.mean((1, 2)), lower.mean((1, 2))], axis=1)


@pytest.fixture(scope='module')
def scene_colors():
  """Mean colours of each scene in labelled clips of one shot."""
  world = source.Scenes(SHAPE)
  clips = [world[i] for i in range(80)]
  label = np.array([clip['label'] for clip in clips])
  looks = np.array([edge_colors(clip['video']).mean(0) for clip in clips])
  return np.array([looks[label == k].mean(0) for k in range(len(source.NAMES))])


def classify(video, scene_colors) -> np.ndarray:
  gap = ((edge_colors(video)[:, None] - scene_colors) ** 2).sum(-1)
  return gap.argmin(1)


@pytest.mark.parametrize('num_shots', [1, 3, 6])
def test_scenes_are_in_the_order_of_the_truth(num_shots, scene_colors):
  world = source.Scenes(SHAPE, split='test', num_shots=num_shots)
  orders = set()
  for i in range(20):
    clip, truth = world[i], world.truth(i)
    seen_t = classify(clip['video'], scene_colors)
    np.testing.assert_array_equal(seen_t, truth.scene_t)
    changes = np.nonzero(np.diff(seen_t))[0]
    order = [source.NAMES[k] for k in seen_t[[0, *(changes + 1)]]]
    assert tuple(order) == truth.scenes
    assert len(set(order)) == num_shots
    assert world.caption(i) == ', then '.join(f'a {name}' for name in order)
    assert ('label' in clip) == (num_shots == 1)
    orders.add(truth.scenes)
  assert len(orders) > (5 if num_shots == 1 else 15)


def test_cuts_are_at_the_frames_of_the_truth():
  world = source.Scenes(SHAPE, num_shots=3)
  first_cuts = []
  for i in range(40):
    video, truth = world[i]['video'].astype(float), world.truth(i)
    jump_t = abs(np.diff(video, axis=0)).mean((1, 2, 3))
    cuts = np.sort(np.argsort(jump_t)[-2:]) + 1
    assert tuple(cuts) == truth.cuts
    within = np.delete(jump_t, cuts - 1)
    assert within.max() < jump_t[cuts - 1].min() / 3
    edges = [0, *truth.cuts, 24]
    assert min(np.diff(edges)) >= 4
    first_cuts.append(truth.cuts[0])
  assert len(set(first_cuts)) > 5


def test_only_the_object_moves():
  world = source.Scenes(SHAPE)
  for i in range(16):
    video, truth = world[i]['video'], world.truth(i)
    empty = np.median(video, axis=0)
    moved = abs(video - empty).max(-1)
    x_t = (moved.sum(1) * np.arange(48)).sum(1) / moved.sum((1, 2))
    y_t = (moved.sum(2) * np.arange(32)).sum(1) / moved.sum((1, 2))
    seen_t2 = np.stack([x_t, y_t], axis=1)
    np.testing.assert_allclose(seen_t2, truth.center_t2, atol=0.3)
    assert (moved.max((1, 2)) > 20).all()
    assert np.ptp(truth.center_t2[:, 0]) > 4 * truth.radius
    ground = video[0, :, 0].astype(float)
    row = int(truth.horizon_t[0])
    jumps = abs(np.diff(ground, axis=0)).sum(-1)
    assert abs(jumps.argmax() + 1 - row) <= 1

"""Tests of nn/optical_flow.py against the exact flow of synthetic clips."""

import jax
import numpy as np
import pytest

from tests import compiled
from vgen_jax.nn import optical_flow
from vgen_jax.nn import warp
from vgen_jax.synthetic.layouts import source

SHAPE = (4, 32, 32, 3)
match = compiled.jit(optical_flow.block_matching, static_argnums=(1, 2))
accumulate = compiled.jit(optical_flow.accumulate, static_argnums=1)


def clips(**options):
  """Returns videos, exact flow and visible moving pixels of frames 1, ..."""
  data = source.Layouts(SHAPE, flow=True, texture='waves', **options)
  video = np.stack([data[i]['video'] for i in range(6)]) / np.float32(255)
  flow = np.stack([data[i]['flow'] for i in range(6)])
  hidden = [data.truth(i).flow.occluded_before_thw for i in range(6)]
  moves = (flow != 0).any(axis=-1) & ~np.stack(hidden)
  return video, flow, moves


def end_point_error(flow, exact, counts):
  """Returns the mean distance in pixels over selected positions."""
  return float(np.linalg.norm(flow - exact, axis=-1)[counts].mean())


def test_block_matching_finds_the_exact_flow_of_whole_pixels():
  video, exact, moves = clips()
  speed = end_point_error(0 * exact, exact, moves)
  assert speed > 4
  found = np.asarray(match(video, 8, 3))
  assert (found[:, 0] == 0).all()
  assert end_point_error(found, exact, moves) < 0.1 * speed
  still = (exact == 0).all(axis=-1)
  assert (found[still] == 0).all(axis=-1).mean() > 0.9
  # Wrong conventions have large errors.
  for wrong in (-found, found[..., ::-1], found * 0):
    assert end_point_error(wrong, exact, moves) > 0.5 * speed
  # A radius below the speed cannot find it.
  near = np.asarray(match(video, 2, 3))
  assert np.abs(near).max() == 2
  assert end_point_error(near, exact, moves) > 0.4 * speed


def test_block_matching_rounds_fractions():
  video, exact, moves = clips(subpixel=True, num_objects=1)
  found = np.asarray(match(video, 8, 3))
  assert end_point_error(found, exact, moves) < 1
  assert end_point_error(0 * exact, exact, moves) > 4


def test_equal_matches_give_the_shortest_flow():
  flat = np.zeros((1, 2, 6, 6, 1), np.float32)
  assert (match(flat, 2, 3) == 0).all()
  total = lambda x: optical_flow.block_matching(x, 1).sum()
  gradient = compiled.call(jax.grad(total), flat)
  assert (gradient == 0).all()


@pytest.mark.parametrize(
  ('radius', 'block', 'name'), [(0, 3, 'radius'), (2, 4, 'block is 4')]
)
def test_wrong_sizes(radius, block, name):
  with pytest.raises(ValueError, match=name):
    optical_flow.block_matching(np.zeros((1, 2, 6, 6, 1)), radius, block)


def test_accumulated_flow_spans_several_frames():
  """Two steps of constant flow are twice as long."""
  data = source.Layouts((6, 32, 32, 3), flow=True, num_objects=1)
  video = np.stack([data[i]['video'] for i in range(4)]) / np.float32(255)
  flow = np.stack([data[i]['flow'] for i in range(4)])
  assert (accumulate(flow, 1) == flow).all()
  two = accumulate(flow, 2)
  backward = compiled.jit(warp.backward)
  layout = np.stack([data[i]['layout'] for i in range(4)])
  inside = layout > 0
  for t in range(2, 6):
    moved = backward(video[:, t - 2], two[:, t])
    error = np.abs(moved - video[:, t]).mean(axis=-1)[inside[:, t]]
    once = backward(video[:, t - 2], flow[:, t])
    worse = np.abs(once - video[:, t]).mean(axis=-1)[inside[:, t]]
    assert error.mean() < 0.02 < 0.1 < worse.mean()
  # Frame 1 has one frame before it.
  assert (two[:, 1] == flow[:, 1]).all()
  assert (two[:, 0] == 0).all()
  assert (accumulate(flow, 50)[:, 0] == 0).all()

"""Tests of nn/warp.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn import warp
from vgen_jax.synthetic.layouts import source

FRAMES = arrays.uniform((2, 5, 7, 3))
FLOW = 3 * arrays.normal((2, 5, 7, 2), seed=1)

backward = compiled.jit(warp.backward)
inside = compiled.jit(warp.inside)


def by_loops(frame_hwc, flow_hw2) -> np.ndarray:
  """Returns the warped frame, one pixel at a time."""
  h, w, _ = frame_hwc.shape
  warped_hwc = np.zeros(frame_hwc.shape)
  for row in range(h):
    for column in range(w):
      x, y = flow_hw2[row, column] + np.array([column, row])
      left, top = int(np.floor(x)), int(np.floor(y))
      for i, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for j, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
          pixel_c = frame_hwc[np.clip(i, 0, h - 1), np.clip(j, 0, w - 1)]
          warped_hwc[row, column] += weight_y * weight_x * pixel_c
  return warped_hwc


def test_equals_a_loop_over_pixels():
  expected = [by_loops(*pair) for pair in zip(FRAMES, FLOW, strict=True)]
  np.testing.assert_allclose(backward(FRAMES, FLOW), expected, atol=1e-5)
  # Leading axes may be added.
  nested = backward(FRAMES[None], FLOW[None])
  np.testing.assert_allclose(nested[0], expected, atol=1e-5)


def test_whole_pixels_are_copied():
  flow = np.broadcast_to(np.float32([2, -1]), FLOW.shape)
  warped = backward(FRAMES, flow)
  assert (warped[:, 1:, :-2] == FRAMES[:, :-1, 2:]).all()
  # Points outside have the colour of the border.
  assert (warped[:, 1:, -2:] == FRAMES[:, :-1, -1:]).all()
  found = np.zeros((2, 5, 7), bool)
  found[:, 1:, :-2] = True
  assert (inside(flow) == found).all()
  assert (backward(FRAMES, np.zeros_like(FLOW)) == FRAMES).all()


def mean_error(change) -> float:
  """Returns the error of moving pixels, in [0, 1], under a changed flow.

  Args:
    change: Function of exact flow `[t, h, w, 2]` and frames' side.
  """
  side = 32
  dataset = source.Layouts((6, side, side, 3), subpixel=True)
  errors = []
  for index in range(8):
    video_thwc = dataset[index]['video'] / np.float32(255)
    flow = dataset.truth(index).flow
    warped = backward(
      video_thwc[:-1], np.float32(change(flow.backward_thw2, side))[1:]
    )
    moves = (flow.backward_thw2[1:] != 0).any(axis=-1)
    counts = moves & ~flow.occluded_before_thw[1:]
    errors.append(np.abs(warped - video_thwc[1:]).mean(axis=-1)[counts].mean())
  return float(np.mean(errors))


def other_corners(flow, side: int):
  """Returns the flow of a wrong convention, align_corners=False.

  Positions are scaled to [-1, 1] by side - 1, and back by side.
  """
  row, column = np.indices((side, side))
  grid = np.stack([column, row], axis=-1)
  return (flow + grid[None]) * side / (side - 1) - 0.5 - grid[None]


def test_only_exact_flow_warps_to_the_next_frame():
  # The rest is rounding to 8 bits.
  exact = mean_error(lambda flow, _: flow)
  assert exact <= 0.002
  wrong = {
    'wrong sign': lambda flow, _: -flow,
    'swapped axes': lambda flow, _: flow[..., ::-1],
    'no flow': lambda flow, _: 0 * flow,
    'align_corners': other_corners,
  }
  for name, change in wrong.items():
    assert mean_error(change) > 4 * exact, name


def test_gradients_follow_the_flow():
  """The gradient on a linear image is the image's slope, inside of it."""
  row, column = np.indices((5, 7), np.float32)
  frame = (2 * column - 3 * row)[..., None]
  flow = np.full((5, 7, 2), 0.4, np.float32)
  total = lambda frame, flow: warp.backward(frame, flow).sum()
  weight, grad = compiled.call(jax.grad(total, (0, 1)), frame, flow)
  within = inside(flow)
  np.testing.assert_allclose(grad[within][:, 0], 2, atol=1e-5)
  np.testing.assert_allclose(grad[within][:, 1], -3, atol=1e-5)
  # The gradient of the sum over a constant flow counts each source pixel.
  np.testing.assert_allclose(weight.sum(), 35, rtol=1e-6)


def test_positions_are_float32():
  """Bfloat16 has 8 bits; it cannot name columns above 256."""
  row = (np.arange(400)[None, :, None] % 2).astype(jnp.bfloat16)
  flow = np.zeros((1, 400, 2), jnp.bfloat16)
  warped = backward(row, flow)
  assert warped.dtype == jnp.bfloat16
  assert (warped == row).all()


@pytest.mark.parametrize(
  ('frames', 'flow', 'match'),
  [
    (FRAMES, FLOW[:1], 'same axes'),
    (FRAMES, FLOW[..., :1], r'\[..., h, w, 2\]'),
    (FRAMES[0, 0], FLOW[0, 0], r'\(7, 3\)'),
    (FRAMES.astype(np.uint8), FLOW, 'dtype uint8'),
  ],
)
def test_wrong_input(frames, flow, match: str):
  with pytest.raises(ValueError, match=match):
    warp.backward(frames, flow)

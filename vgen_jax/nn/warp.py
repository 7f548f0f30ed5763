"""Backward bilinear warping of frames by optical flow.

Flow is (x, y) in pixels, x along the width and y along the height: the warped
frame at p is the source at p + flow(p). Pixel centres have whole coordinates,
from 0 to w - 1 and from 0 to h - 1; in PyTorch's `grid_sample` this is
`align_corners=True`. The `backward` flow of datasets and
`evaluation.scores.flicker` have the same convention.
"""

import functools

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array


def backward(frames: Array, flow: Array) -> Array:
  """Returns frames warped by flow, `[..., h, w, c]`, in the frames' dtype.

  A point outside of the source has the colour of the nearest pixel of its
  border; `inside` marks the other points. Positions and interpolation are
  float32, and differentiable in both arguments.

  Args:
    frames: Source frames, `[..., h, w, c]`, of a float dtype.
    flow: Flow of each pixel in pixels, `[..., h, w, 2]`, with the same leading
      axes.

  Raises:
    ValueError: If shapes do not agree, or frames are not floats.
  """
  if (
    frames.ndim < 3
    or flow.shape[-1] != 2
    or flow.shape[:-1] != frames.shape[:-1]
  ):
    raise ValueError(
      f'frames have shape {frames.shape} and flow {flow.shape}; they must be'
      ' [..., h, w, c] and [..., h, w, 2] with the same axes before the last.'
    )
  if not jnp.issubdtype(frames.dtype, jnp.floating):
    raise ValueError(
      f'frames have dtype {frames.dtype}; it must be a float dtype: convert'
      ' pixels with core.pixels.to_float.'
    )
  h, w, c = frames.shape[-3:]
  x, y = _positions(flow)
  sample = functools.partial(
    jax.scipy.ndimage.map_coordinates, order=1, mode='nearest'
  )
  over_channels = jax.vmap(sample, (2, None), 2)
  warped_nhwc = jax.vmap(over_channels)(
    frames.reshape(-1, h, w, c).astype(jnp.float32),
    [y.reshape(-1, h, w), x.reshape(-1, h, w)],
  )
  return warped_nhwc.reshape(frames.shape).astype(frames.dtype)


def inside(flow: Array) -> Array:
  """Returns whether each pixel's source is in the frame, bool `[..., h, w]`.

  Args:
    flow: Flow of each pixel in pixels, `[..., h, w, 2]`.
  """
  h, w, _ = flow.shape[-3:]
  x, y = _positions(flow)
  return (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)


def _positions(flow: Array) -> tuple[Array, Array]:
  """Returns the x and the y of each pixel's source, float32 `[..., h, w]`."""
  h, w, _ = flow.shape[-3:]
  flow = flow.astype(jnp.float32)
  y_hw, x_hw = jnp.indices((h, w), dtype=jnp.float32)
  axes = tuple(range(flow.ndim - 3))
  x_hw, y_hw = (jnp.expand_dims(each, axes) for each in (x_hw, y_hw))
  return flow[..., 0] + x_hw, flow[..., 1] + y_hw

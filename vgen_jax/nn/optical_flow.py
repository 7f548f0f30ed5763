"""Estimation and composition of optical flow.

Flow is (x, y) in pixels from each frame to the one before, as in nn/warp.py.
"""

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import warp

_STILL = 1e-4  # Cost of a motion by one pixel, to select the shortest match.


def block_matching(
  video_bthwc: Array, radius: int = 4, block: int = 5
) -> Array:
  """Returns the flow to the previous frame, `[b, t, h, w, 2]`, in whole pixels.

  For each pixel, all displacements by up to `radius` pixels along x and y are
  compared: the one with the smallest mean absolute difference of the blocks
  around both pixels is chosen, and of equal ones the shortest. The flow of the
  first frame is 0. There is no gradient.

  Args:
    video_bthwc: Clips in [-1, 1].
    radius: Largest displacement along an axis, in pixels, 1 or more.
    block: Side of a block, in pixels; odd.

  Raises:
    ValueError: If radius or block is out of range.
  """
  checks.at_least('radius', radius, 1)
  if block < 1 or block % 2 == 0:
    raise ValueError(f'block is {block}; it must be odd, such as 5.')
  b, t, h, w = shapes.sizes('bthw', video_bthwc=video_bthwc)
  video_bthwc = jax.lax.stop_gradient(video_bthwc.astype(jnp.float32))
  now_bshwc = video_bthwc[:, 1:]
  pad = ((0, 0), (0, 0), (radius, radius), (radius, radius), (0, 0))
  before = jnp.pad(video_bthwc[:, :-1], pad, mode='edge')
  side = jnp.arange(-radius, radius + 1)
  shift_n2 = jnp.stack(jnp.meshgrid(side, side), axis=-1).reshape(-1, 2)

  def better(best, shift_2):
    cost_bshw, flow_bshwx = best
    start = (0, 0, radius + shift_2[1], radius + shift_2[0], 0)
    moved = jax.lax.dynamic_slice(before, start, now_bshwc.shape)
    other = _box_mean(jnp.abs(moved - now_bshwc).mean(axis=-1), block)
    other += _STILL * jnp.abs(shift_2).sum()
    is_better = other < cost_bshw
    flow_bshwx = jnp.where(
      is_better[..., None], shift_2.astype(jnp.float32), flow_bshwx
    )
    return (jnp.where(is_better, other, cost_bshw), flow_bshwx), None

  first = (
    jnp.full((b, t - 1, h, w), jnp.inf),
    jnp.zeros((b, t - 1, h, w, 2)),
  )
  (_, flow_bshwx), _ = jax.lax.scan(better, first, shift_n2)
  return jnp.pad(flow_bshwx, ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))


def accumulate(flow_bthwx: Array, n: int) -> Array:
  """Returns the flow from each frame to the n-th before, `[b, t, h, w, 2]`.

  The flows between successive frames are composed. For frames with fewer than
  n frames before them, the result is the flow to the first frame.

  Args:
    flow_bthwx: Flow from each frame to the previous one; 0 in the first frame.
    n: Number of frames back, 1 or more.
  """
  checks.at_least('n', n, 1)
  t = flow_bthwx.shape[1]
  total_bthwx = flow_bthwx
  for i in range(1, min(n, t)):
    zeros = jnp.zeros_like(flow_bthwx[:, :i])
    earlier_bthwx = jnp.concatenate([zeros, flow_bthwx[:, : t - i]], axis=1)
    total_bthwx += warp.backward(earlier_bthwx, total_bthwx)
  return total_bthwx


def _box_mean(error_bshw: Array, size: int) -> Array:
  """Returns means over blocks; values at borders are repeated outside."""
  half = size // 2
  pad = ((0, 0), (0, 0), (half, half), (half, half))
  padded = jnp.pad(error_bshw, pad, mode='edge')
  total = jax.lax.reduce_window(
    padded, 0.0, jax.lax.add, (1, 1, size, size), (1, 1, 1, 1), 'VALID'
  )
  return total / size**2

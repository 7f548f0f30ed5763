"""Networks over large frames, tile by tile, in the memory of one tile."""

from collections.abc import Callable

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import shapes
from vgen_jax.core.types import Array


def apply(
  function: Callable[[Array], Array],
  x_bthwd: Array,
  tile: tuple[int, int],
  overlap: int,
  scale: int,
) -> Array:
  """Returns `function(x)`, computed of tiles that overlap and are blended.

  A tile is trusted the less the nearer a pixel is to its border, where it lacks
  the neighbours beyond: not at all in the outer quarter of an overlap, then
  more and more, in a straight line. So there are no seams; and if what a pixel
  sees does not reach further than overlap / 4, the result is that of the whole
  frame, but for rounding. A function that looks at frames as a whole, by
  attention or by their mean, is approximated.

  Args:
    function: From `[b, t, h, w, d]` to `[b, t', h * scale, w * scale, c]`, for
      any h and w.
    x_bthwd: What to compute it of.
    tile: Rows and columns of x to take at a time; at most the frame's count.
    overlap: Rows and columns that neighbours share, at least; 0 plainly cuts.
    scale: How much larger frames are in the result.

  Raises:
    ValueError: If a tile is not larger than what it shares with the next.
  """
  b, t, h, w, d = shapes.sizes('bthwd', x_bthwd=x_bthwd)
  size_h, size_w = min(tile[0], h), min(tile[1], w)
  row_n, share_nh = _cut(h, size_h, overlap, scale)
  column_m, share_mw = _cut(w, size_w, overlap, scale)

  def add(total_bthwc: Array, place: Array) -> tuple[Array, None]:
    n, m = place
    top, left = jnp.asarray(row_n)[n], jnp.asarray(column_m)[m]
    part_bthwd = lax.dynamic_slice(
      x_bthwd, (0, 0, top, left, 0), (b, t, size_h, size_w, d)
    )
    share_hw = share_nh[n][:, None] * share_mw[m][None]
    y_bthwc = function(part_bthwd) * share_hw[None, None, :, :, None]
    corner = (0, 0, top * scale, left * scale, 0)
    before = lax.dynamic_slice(total_bthwc, corner, y_bthwc.shape)
    return lax.dynamic_update_slice(total_bthwc, before + y_bthwc, corner), None

  share_nh, share_mw = jnp.asarray(share_nh), jnp.asarray(share_mw)
  y = jax.eval_shape(function, x_bthwd[:, :, :size_h, :size_w])
  shape = (b, y.shape[1], h * scale, w * scale, y.shape[-1])
  places = np.indices((len(row_n), len(column_m))).reshape(2, -1).T
  total_bthwc, _ = lax.scan(add, jnp.zeros(shape), places)
  return total_bthwc.astype(y.dtype)


def _cut(
  length: int, size: int, overlap: int, scale: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns where tiles start along an axis, and their shares of its pixels."""
  if size < length and not 0 <= overlap < size:
    raise ValueError(
      f'overlap is {overlap}, tiles are {size} at the side; overlap must be 0'
      ' or more and less than a tile: take larger tiles.'
    )
  step = max(size - overlap, 1)  # Of no account if all fits into one tile.
  starts = [*range(0, length - size, step), length - size]
  inside = (np.arange(size * scale) + 0.5) / scale  # Distance to the border.
  trust = np.clip(2 * inside / max(overlap, 1e-6) - 0.5, 0, 1)
  share = np.zeros((len(starts), size * scale))
  total = np.zeros(length * scale)
  for i, start in enumerate(starts):
    share[i] = 1
    if start > 0:
      share[i] *= trust
    if start + size < length:
      share[i] *= trust[::-1]
    total[start * scale :][: size * scale] += share[i]
  for i, start in enumerate(starts):
    share[i] /= total[start * scale :][: size * scale]
  return np.asarray(starts), np.float32(share)

"""Application of networks to large frames, one tile at a time."""

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
  """Returns `function(x)`, computed on overlapping tiles that are blended.

  The function needs the memory of one tile. The weight of a pixel in a tile is
  0 in the outer quarter of an overlap, where neighbours are missing, and
  increases linearly from there, so that there are no seams. If the receptive
  field extends overlap / 4 pixels of x or less to each side, the result equals
  that of the whole frame up to rounding. A function with attention or
  statistics over whole frames is approximated.

  Args:
    function: Maps `[b, t, h, w, d]` to `[b, t', h * scale, w * scale, c]`, for
      any h and w.
    x_bthwd: Input of the function.
    tile: Rows and columns of x in a tile; limited to those of the frame.
    overlap: Smallest number of rows and columns that neighbouring tiles share;
      0 for tiles without overlap.
    scale: Height of a frame of the result divided by that of the input.

  Raises:
    ValueError: If a tile is not larger than the overlap.
  """
  b, t, h, w, d = shapes.sizes('bthwd', x_bthwd=x_bthwd)
  size_h, size_w = min(tile[0], h), min(tile[1], w)
  row_n, weight_nh = _cut(h, size_h, overlap, scale)
  column_m, weight_mw = _cut(w, size_w, overlap, scale)

  def add(total_bthwc: Array, index: Array) -> tuple[Array, None]:
    n, m = index
    top, left = jnp.asarray(row_n)[n], jnp.asarray(column_m)[m]
    part_bthwd = lax.dynamic_slice(
      x_bthwd, (0, 0, top, left, 0), (b, t, size_h, size_w, d)
    )
    weight_hw = weight_nh[n][:, None] * weight_mw[m][None]
    y_bthwc = function(part_bthwd) * weight_hw[None, None, :, :, None]
    corner = (0, 0, top * scale, left * scale, 0)
    before = lax.dynamic_slice(total_bthwc, corner, y_bthwc.shape)
    return lax.dynamic_update_slice(total_bthwc, before + y_bthwc, corner), None

  weight_nh, weight_mw = jnp.asarray(weight_nh), jnp.asarray(weight_mw)
  y = jax.eval_shape(function, x_bthwd[:, :, :size_h, :size_w])
  shape = (b, y.shape[1], h * scale, w * scale, y.shape[-1])
  indices = np.indices((len(row_n), len(column_m))).reshape(2, -1).T
  total_bthwc, _ = lax.scan(add, jnp.zeros(shape), indices)
  return total_bthwc.astype(y.dtype)


def _cut(
  length: int, size: int, overlap: int, scale: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the starts of tiles along an axis, and weights of their pixels.

  Starts are in pixels of the input. Weights `[n, size * scale]` are of pixels
  of the result; at each pixel they sum to 1 over the tiles.
  """
  if size < length and not 0 <= overlap < size:
    raise ValueError(
      f'overlap is {overlap} and the side of a tile is {size}; overlap must be'
      ' at least 0 and less than the side: use larger tiles.'
    )
  step = max(size - overlap, 1)  # Not used if one tile is enough.
  starts = [*range(0, length - size, step), length - size]
  # Distance from the border.
  distance = (np.arange(size * scale) + 0.5) / scale
  ramp = np.clip(2 * distance / max(overlap, 1e-6) - 0.5, 0, 1)
  weight = np.zeros((len(starts), size * scale))
  total = np.zeros(length * scale)
  for i, start in enumerate(starts):
    weight[i] = 1
    if start > 0:
      weight[i] *= ramp
    if start + size < length:
      weight[i] *= ramp[::-1]
    total[start * scale :][: size * scale] += weight[i]
  for i, start in enumerate(starts):
    weight[i] /= total[start * scale :][: size * scale]
  return np.asarray(starts), np.float32(weight)

"""Resizes frames as the code behind published numbers does.

Distances of features depend strongly on how frames are resized for the network,
so each method has a name that is part of the protocol. All methods are linear
and separable: one matrix for rows and one for columns, as two matrix products
on any device.
"""

from collections.abc import Callable
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array


def resize(name: str, video_bthwc: Array, side: int) -> Array:
  """Returns frames resized to squares, float32, on the scale of the input.

  Args:
    name: One of `METHODS`:
      * 'bilinear-tf1': as `tf.image.resize_bilinear` of TensorFlow 1: pixel i
        comes from i * scale, so that frames shift up and left. Used by the
        original FVD and FID.
      * 'bilinear-half-pixel': pixel centres are aligned, as in PyTorch's
        `interpolate(..., align_corners=False)`, without antialiasing.
      * 'bilinear-half-pixel-crop': the same for the shorter side, and a centre
        crop of the longer one, which keeps the aspect ratio. VideoGPT's FVD.
      * 'bicubic-antialias': as Pillow on float pixels; that is Parmar et al.,
        "On aliased resizing and surprising subtleties in GAN evaluation", 2022
        (clean-fid), without its clipping to 0..255.
    video_bthwc: Clips with any values.
    side: Height and width of the result, in pixels.

  Raises:
    ValueError: If the name is unknown.
  """
  if name not in METHODS:
    raise ValueError(
      f'Unknown method of resizing {name!r}.{checks.hint(name, METHODS)}'
    )
  h, w = shapes.sizes('hw', video_bthwc=video_bthwc)
  rows_yh, columns_xw = METHODS[name]((h, w), side)
  # The default precision on accelerators is 8 to 11 bits; pixels have 8.
  return jnp.einsum(
    'yh,xw,bthwc->btyxc',
    rows_yh,
    columns_xw,
    video_bthwc.astype(jnp.float32),
    precision=jax.lax.Precision.HIGHEST,
  )


def _stretched(
  weights: Callable[[int, int], np.ndarray], sizes: tuple[int, int], side: int
) -> list[np.ndarray]:
  """Returns a matrix for each axis, without keeping the aspect ratio."""
  return [weights(size, side) for size in sizes]


def _cropped(sizes: tuple[int, int], side: int) -> list[np.ndarray]:
  """Returns matrices that keep the aspect ratio and crop the centre."""
  scale = side / min(sizes)
  matrices = []
  for size in sizes:
    full = side if size == min(sizes) else math.ceil(size * scale)
    first = (full - side) // 2
    matrices.append(_half_pixel(size, full)[first : first + side])
  return matrices


def _tf1(size: int, new_size: int) -> np.ndarray:
  # In float32 as the originals: close to an integer, rounding selects a pixel.
  position = np.arange(new_size, dtype=np.float32) * np.float32(size / new_size)
  return _interpolation(position, size)


def _half_pixel(size: int, new_size: int) -> np.ndarray:
  half = np.float32(0.5)
  position = np.arange(new_size, dtype=np.float32) + half
  position = position * np.float32(size / new_size) - half
  return _interpolation(np.maximum(position, 0), size)


def _interpolation(position: np.ndarray, size: int) -> np.ndarray:
  """Returns the weights of the two pixels next to each position."""
  low = np.minimum(np.floor(position).astype(int), size - 1)
  high = np.minimum(low + 1, size - 1)
  fraction = (position - low).astype(np.float32)
  each = np.arange(len(position))
  weights = np.zeros((len(position), size), np.float32)
  weights[each, low] += 1 - fraction
  weights[each, high] += fraction
  return weights


def _bicubic(size: int, new_size: int) -> np.ndarray:
  """Returns weights of Keys' cubic kernel, widened for downsampling."""
  scale = size / new_size
  width = max(scale, 1)
  center = (np.arange(new_size)[:, None] + 0.5) * scale
  pixel = np.arange(size)[None] + 0.5
  x = np.abs(pixel - center) / width
  near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
  weights = np.where(x < 1, near, np.where(x < 2, far, 0))
  return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


METHODS = {
  'bilinear-tf1': functools.partial(_stretched, _tf1),
  'bilinear-half-pixel': functools.partial(_stretched, _half_pixel),
  'bilinear-half-pixel-crop': _cropped,
  'bicubic-antialias': functools.partial(_stretched, _bicubic),
}

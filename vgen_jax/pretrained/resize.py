"""Resizes frames as the codes do that published numbers come from.

A distance of features depends on how frames were brought to the size of the
network, more than on many a model; so each way has a name, which goes into the
protocol of a number. All are linear and separable: a matrix for rows, another
for columns, and two matrix products do it on any device.
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
  """Returns frames as squares, float32, on the scale of the input.

  Args:
    name: One of `NAMES`:
      * 'bilinear-tf1': as `tf.image.resize_bilinear` of TensorFlow 1 did: pixel
        i comes from i * scale, so that frames shift up and left. The original
        FVD and FID.
      * 'bilinear-half-pixel': pixel centres keep their places, as in PyTorch's
        `interpolate(..., align_corners=False)`; no antialiasing.
      * 'bilinear-half-pixel-crop': the same for the shorter side, and the
        middle of the longer one; keeps the aspect. VideoGPT's FVD.
      * 'bicubic-antialias': as Pillow's on float pixels, which is Parmar et
        al., "On aliased resizing and surprising subtleties in GAN evaluation",
        2022 (clean-fid), without its clipping to 0..255.
    video_bthwc: Any numbers.
    side: Height and width of the result.

  Raises:
    ValueError: If no way has the name.
  """
  if name not in NAMES:
    raise ValueError(
      f'No way to resize is named {name!r}.{checks.hint(name, list(NAMES))}'
    )
  h, w = shapes.sizes('hw', video_bthwc=video_bthwc)
  rows_yh, columns_xw = NAMES[name]((h, w), side)
  # An accelerator's default product has 8 to 11 bits, and pixels have 8.
  return jnp.einsum(
    'yh,xw,bthwc->btyxc',
    rows_yh,
    columns_xw,
    video_bthwc.astype(jnp.float32),
    precision=jax.lax.Precision.HIGHEST,
  )


def _squeezed(
  weights: Callable[[int, int], np.ndarray], sizes: tuple[int, int], side: int
) -> list[np.ndarray]:
  """Returns a matrix for each axis, whatever that does to the aspect."""
  return [weights(size, side) for size in sizes]


def _cropped(sizes: tuple[int, int], side: int) -> list[np.ndarray]:
  """Returns matrices that keep the aspect, and only the middle."""
  scale = side / min(sizes)
  matrices = []
  for size in sizes:
    full = side if size == min(sizes) else math.ceil(size * scale)
    first = (full - side) // 2
    matrices.append(_half_pixel(size, full)[first : first + side])
  return matrices


def _tf1(size: int, new_size: int) -> np.ndarray:
  # In float32, as the originals; near a whole number it decides a pixel.
  place = np.arange(new_size, dtype=np.float32) * np.float32(size / new_size)
  return _between(place, size)


def _half_pixel(size: int, new_size: int) -> np.ndarray:
  half = np.float32(0.5)
  place = np.arange(new_size, dtype=np.float32) + half
  place = place * np.float32(size / new_size) - half
  return _between(np.maximum(place, 0), size)


def _between(place: np.ndarray, size: int) -> np.ndarray:
  """Returns weights of the two pixels that each place lies between."""
  low = np.minimum(np.floor(place).astype(int), size - 1)
  high = np.minimum(low + 1, size - 1)
  share = (place - low).astype(np.float32)
  each = np.arange(len(place))
  weights = np.zeros((len(place), size), np.float32)
  weights[each, low] += 1 - share
  weights[each, high] += share
  return weights


def _bicubic(size: int, new_size: int) -> np.ndarray:
  """Returns weights of Keys' cubic kernel, widened where frames shrink."""
  scale = size / new_size
  width = max(scale, 1)
  center = (np.arange(new_size)[:, None] + 0.5) * scale
  pixel = np.arange(size)[None] + 0.5
  x = np.abs(pixel - center) / width
  near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
  weights = np.where(x < 1, near, np.where(x < 2, far, 0))
  return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


NAMES = {
  'bilinear-tf1': functools.partial(_squeezed, _tf1),
  'bilinear-half-pixel': functools.partial(_squeezed, _half_pixel),
  'bilinear-half-pixel-crop': _cropped,
  'bicubic-antialias': functools.partial(_squeezed, _bicubic),
}

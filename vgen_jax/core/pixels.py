"""Conversion of pixels to the floats in [-1, 1] of a network, luma and PSNR."""

from typing import cast, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

_Video = TypeVar('_Video', np.ndarray, jax.Array)

# Weights of red, green and blue in the luma of ITU-R BT.601.
LUMA = (0.299, 0.587, 0.114)
MAX_PSNR = 100.0  # In dB; equal frames would make a mean infinite.


def to_float(video: _Video) -> _Video:
  """Returns uint8 pixels as float32 in [-1, 1]: 0 is -1, and 255 is 1.

  Args:
    video: uint8 array of any shape, of NumPy or of JAX; the result is of the
      same library, and the function may be called inside `jax.jit`.

  Raises:
    TypeError: If `video` is not uint8.
  """
  if video.dtype != np.uint8:
    raise TypeError(
      f'The video has dtype {video.dtype}; pixels to convert to [-1, 1] must be'
      ' uint8. Leave out the conversion if they are floats already.'
    )
  return cast(_Video, video.astype(np.float32) / 127.5 - 1)


def to_uint8(video: np.ndarray) -> np.ndarray:
  """Returns pixels in [-1, 1] as uint8, rounded to the nearest integer.

  Args:
    video: Float array of any shape, on the host. Values outside [-1, 1] are
      clipped. The first axis of a batch counts clips.

  Raises:
    FloatingPointError: If a value is NaN or infinite.
    TypeError: If `video` is not a float array.
  """
  video = np.asarray(video)
  if not jnp.issubdtype(video.dtype, jnp.floating):
    raise TypeError(
      f'The video has dtype {video.dtype}; pixels to convert to uint8 must be'
      ' floats in [-1, 1]. Leave out the conversion if they are uint8 already.'
    )
  if num := num_not_finite(video):
    raise FloatingPointError(
      f'{num} of {len(video)} clips have pixels that are NaN or infinite; to'
      ' convert clips to uint8, all pixels must be finite. Check the model that'
      ' generated them.'
    )
  return np.clip(np.rint((video + 1) * 127.5), 0, 255).astype(np.uint8)


def num_not_finite(video: np.ndarray) -> int:
  """Returns how many clips have a value that is NaN or infinite.

  Args:
    video: Float array on the host; its first axis counts clips.
  """
  is_finite = np.isfinite(video).reshape(len(video), -1).all(-1)
  return int((~is_finite).sum())


def luma(video: np.ndarray) -> np.ndarray:
  """Returns the luma of RGB pixels, float32, on the scale of the input.

  Args:
    video: Array whose last axis has 3 channels, on the host. The result has no
      such axis.
  """
  return video.astype(np.float32) @ np.asarray(LUMA, np.float32)


def psnr(square_error: jax.Array, peak: float = 1.0) -> jax.Array:
  """Returns the peak signal-to-noise ratio in dB, at most `MAX_PSNR`.

  Args:
    square_error: Mean squared errors, of any shape.
    peak: Difference of the largest and the smallest possible value of a pixel.
  """
  relative = square_error / peak**2
  return -10 * jnp.log10(jnp.maximum(relative, 10 ** (-MAX_PSNR / 10)))

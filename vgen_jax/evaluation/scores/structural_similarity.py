"""Structural similarity of frames, SSIM and MS-SSIM, on any device.

Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error
visibility to structural similarity", 2004; Wang, Simoncelli and Bovik,
"Multi-scale structural similarity for image quality assessment", 2003.

The functions are pure and work under jit, in float32. Clips have pixels in
[0, 1].
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import pixels
from vgen_jax.core.types import Array

# Exponents of the five scales of MS-SSIM.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ssim(
  video_bthwc: Array, truth_bthwc: Array, *, window: str, channels: str
) -> Array:
  """Returns the SSIM of each frame, `[b, t]`.

  Args:
    video_bthwc: Clips.
    truth_bthwc: Clips to compare with.
    window: 'gaussian11' or 'uniform7'.
    channels: 'rgb' for the mean over channels, 'luma' for the luma only.

  Raises:
    ValueError: If frames are smaller than the window, or luma is requested for
      clips that have neither 1 nor 3 channels.
  """
  if channels == 'luma':
    video_bthwc, truth_bthwc = _luma(video_bthwc), _luma(truth_bthwc)
  full_bthwc, _ = _similarities(video_bthwc, truth_bthwc, window)
  return jnp.mean(full_bthwc, (2, 3, 4))


def ms_ssim(video_bthwc: Array, truth_bthwc: Array, *, channels: str) -> Array:
  """Returns the MS-SSIM of each frame, `[b, t]`.

  MS-SSIM is the product of the contrast at five scales and the luminance at
  the last one.
  Each scale averages 2 x 2 pixels of the one before, without an odd last row
  or column.

  Args:
    video_bthwc: Clips.
    truth_bthwc: Clips to compare with.
    channels: As in `ssim`.

  Raises:
    ValueError: If frames are smaller than 176 pixels, or as in `ssim`.
  """
  shorter = min(video_bthwc.shape[2:4])
  if (least := 11 * 2 ** (len(_SCALES) - 1)) > shorter:
    raise ValueError(
      f'The shorter side of the frames has {shorter} pixels; MS-SSIM needs'
      f' {least} or more. Use SSIM.'
    )
  if channels == 'luma':
    video_bthwc, truth_bthwc = _luma(video_bthwc), _luma(truth_bthwc)
  product_btc = 1.0
  for i, weight in enumerate(_SCALES):
    full, contrast = _similarities(video_bthwc, truth_bthwc, 'gaussian11')
    last = i == len(_SCALES) - 1
    value_btc = jnp.mean(full if last else contrast, (2, 3))
    # A power of a negative number is not real.
    product_btc *= jnp.maximum(value_btc, 0) ** weight
    video_bthwc, truth_bthwc = _halve(video_bthwc), _halve(truth_bthwc)
  return jnp.mean(product_btc, 2)


def _similarities(
  x_bthwc: Array, y_bthwc: Array, window: str
) -> tuple[Array, Array]:
  """Returns SSIM, and SSIM without luminance, where the window fits."""
  weights, correction = _window(window)
  if len(weights) > min(x_bthwc.shape[2:4]):
    raise ValueError(
      f'Frames have {x_bthwc.shape[2:4]} pixels; the window {window} needs'
      f' {len(weights)} on both sides. Use a smaller window or larger frames.'
    )
  mean = functools.partial(_blur, weights=weights)
  mean_x, mean_y = mean(x_bthwc), mean(y_bthwc)
  variances = mean(x_bthwc**2 + y_bthwc**2) - mean_x**2 - mean_y**2
  covariance = mean(x_bthwc * y_bthwc) - mean_x * mean_y
  c1, c2 = 0.01**2, 0.03**2
  contrast = (2 * correction * covariance + c2) / (correction * variances + c2)
  luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
  return luminance * contrast, contrast


def _window(name: str) -> tuple[np.ndarray, float]:
  """Returns weights along one axis, and the factor for unbiased variances."""
  if name == 'uniform7':
    return np.full(7, 1 / 7, np.float32), 49 / 48
  weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
  return np.float32(weights / weights.sum()), 1.0


def _blur(x_bthwc: Array, weights: np.ndarray) -> Array:
  """Returns weighted means over a square window, where it fits."""
  for axis in (2, 3):
    length = x_bthwc.shape[axis] - len(weights) + 1
    # Sums of shifted frames are in float32, unlike a matrix product.
    x_bthwc = sum(
      float(weight) * jax.lax.slice_in_dim(x_bthwc, i, i + length, axis=axis)
      for i, weight in enumerate(weights)
    )
  return x_bthwc


def _luma(x_bthwc: Array) -> Array:
  c = x_bthwc.shape[-1]
  if c == 1:
    return x_bthwc
  if c != 3:
    raise ValueError(
      f'Clips have {c} channels; luma needs 1 or 3 (RGB). Convert the clips.'
    )
  return sum(
    weight * x_bthwc[..., i, None] for i, weight in enumerate(pixels.LUMA)
  )


def _halve(x_bthwc: Array) -> Array:
  h, w = (size // 2 * 2 for size in x_bthwc.shape[2:4])
  x_bthwc = x_bthwc[:, :, :h, :w]
  rows = x_bthwc[:, :, ::2] + x_bthwc[:, :, 1::2]
  return (rows[:, :, :, ::2] + rows[:, :, :, 1::2]) / 4

"""How near a clip is to the true one, frame by frame: PSNR and SSIM.

Of each metric there are several, which differ by more than models do; so the
name in `CURVES` says which one it is. `psnr` of clips is taken in two ways, up
to half a decibel apart: `mean_of_frames` and `of_mean_error`.

All take uint8, or floats with their range: SSIM of clips in [-1, 1] that is
told nothing of it is another number. Functions are pure and fit under jit, with
names and ranges static.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import shapes
from vgen_jax.core.types import Array

Range = tuple[float, float]

# The most that a PSNR can be, in dB; equal frames would make a mean infinite.
MOST_PSNR = 100.0
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in most codes for SSIM.
# Wang, Simoncelli and Bovik, "Multi-scale structural similarity", 2003.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


class Best(NamedTuple):
  """What the best of N samples for each clip is worth.

  Attributes:
    best: Mean over clips of the best sample's value.
    worst_decile: Mean of that over the tenth of clips that fare worst; low if
      some futures are never drawn, which `best` hides.
    single: Mean over all samples: what N = 1 would give.
    num_samples: N. A number grows with it, so it belongs to the name.
  """

  best: Array
  worst_decile: Array
  single: Array
  num_samples: int


def unit(video_bthwc: Array, value_range: Range | None = None) -> Array:
  """Returns clips as float32 in [0, 1].

  Args:
    video_bthwc: uint8, or float in `value_range`.
    value_range: Least and greatest possible value; None only for uint8.

  Raises:
    ValueError: If the range of floats is not given, or is empty.
  """
  if value_range is None:
    if video_bthwc.dtype != jnp.uint8:
      raise ValueError(
        f'Clips are {video_bthwc.dtype} of unknown range; give value_range,'
        ' such as (-1, 1).'
      )
    value_range = (0, 255)
  low, high = value_range
  if not low < high:
    raise ValueError(f'value_range is {value_range}; it must be (low, high).')
  video_bthwc = jnp.asarray(video_bthwc).astype(jnp.float32)
  return (video_bthwc - low) / (high - low)


def curve(
  name: str,
  video_bthwc: Array,
  truth_bthwc: Array,
  value_range: Range | None = None,
) -> Array:
  """Returns a metric for each frame, `[b, t]`; its mean over b is the horizon.

  Args:
    name: One of `CURVES`.
    video_bthwc: Clips to judge.
    truth_bthwc: What they should be.
    value_range: As in `unit`, of both.

  Raises:
    ValueError: If shapes differ, frames are too small, or no metric has the
      name.
  """
  if name not in CURVES:
    raise ValueError(f'No metric {name!r}; there are {", ".join(CURVES)}.')
  shapes.sizes('', video_bthwc=video_bthwc, truth_bthwc=truth_bthwc)
  return CURVES[name](
    unit(video_bthwc, value_range), unit(truth_bthwc, value_range)
  )


def mean_of_frames(psnr_bt: Array) -> Array:
  """Returns the PSNR of clips `[b]` as the mean of their frames' PSNR."""
  return jnp.mean(psnr_bt, 1)


def of_mean_error(psnr_bt: Array) -> Array:
  """Returns the PSNR of clips `[b]` from the mean of their squared errors.

  It is never above `mean_of_frames`.
  """
  return -10 * jnp.log10(jnp.mean(10 ** (-psnr_bt / 10), 1))


def best_of(value_nb: Array, *, higher_is_better: bool = True) -> Best:
  """Returns what the best of n samples is worth, chosen clip by clip.

  Args:
    value_nb: Metric of each sample for each clip: means over frames, since a
      sample is chosen whole.
    higher_is_better: False for errors.
  """
  n, b = shapes.sizes('nb', value_nb=value_nb)
  sign = 1 if higher_is_better else -1
  best_b = jnp.sort(jnp.max(sign * value_nb, 0))
  worst = best_b[: -(-b // 10)]
  return Best(sign * best_b.mean(), sign * worst.mean(), jnp.mean(value_nb), n)


def diversity(sample_nbthwc: Array, value_range: Range | None = None) -> Array:
  """Returns the mean squared difference of pairs of samples, `[b]`.

  Over all pairs of the n samples of a clip, of pixels in [0, 1]; 0 if a model
  always says the same. It rewards noise as well: see it beside `best_of`.

  Raises:
    ValueError: If there is only one sample a clip.
  """
  (n,) = shapes.sizes('n', sample_nbthwc=sample_nbthwc)
  if n < 2:
    raise ValueError('One sample a clip has no diversity; draw 2 or more.')
  sample_nbthwc = unit(sample_nbthwc, value_range)
  # Half the mean over pairs is the variance about the mean, over n - 1.
  variance = jnp.var(sample_nbthwc, 0, ddof=1)
  return 2 * jnp.mean(variance, (1, 2, 3, 4))


def _psnr(video_bthwc: Array, truth_bthwc: Array) -> Array:
  error_bt = jnp.mean((video_bthwc - truth_bthwc) ** 2, (2, 3, 4))
  return -10 * jnp.log10(jnp.maximum(error_bt, 10 ** (-MOST_PSNR / 10)))


def _ssim(
  video_bthwc: Array, truth_bthwc: Array, *, window: str, channels: str
) -> Array:
  """Structural similarity: Wang et al., "Image quality assessment", 2004."""
  if channels == 'luma':
    video_bthwc, truth_bthwc = _luma(video_bthwc), _luma(truth_bthwc)
  full_bthwc, _ = _similarities(video_bthwc, truth_bthwc, window)
  return jnp.mean(full_bthwc, (2, 3, 4))


def _ms_ssim(video_bthwc: Array, truth_bthwc: Array, *, channels: str) -> Array:
  """Contrast at five scales, and luminance at the last one.

  Between scales, means of 2 x 2 pixels; an odd last row or column falls away.
  """
  shorter = min(video_bthwc.shape[2:4])
  if (least := 11 * 2 ** (len(_SCALES) - 1)) > shorter:
    raise ValueError(
      f'Frames are {shorter} pixels at their shorter side; MS-SSIM needs'
      f' {least} or more. Take SSIM.'
    )
  if channels == 'luma':
    video_bthwc, truth_bthwc = _luma(video_bthwc), _luma(truth_bthwc)
  product_btc = 1.0
  for i, weight in enumerate(_SCALES):
    full, contrast = _similarities(video_bthwc, truth_bthwc, 'gaussian11')
    last = i == len(_SCALES) - 1
    value_btc = jnp.mean(full if last else contrast, (2, 3))
    # A negative number has no real power.
    product_btc *= jnp.maximum(value_btc, 0) ** weight
    video_bthwc, truth_bthwc = _halve(video_bthwc), _halve(truth_bthwc)
  return jnp.mean(product_btc, 2)


def _similarities(
  x_bthwc: Array, y_bthwc: Array, window: str
) -> tuple[Array, Array]:
  """Returns SSIM, and its part without luminance, where the window fits."""
  weights, correction = _window(window)
  if len(weights) > min(x_bthwc.shape[2:4]):
    raise ValueError(
      f'Frames are {x_bthwc.shape[2:4]} pixels; the window {window} needs'
      f' {len(weights)} each way. Take a smaller window or larger frames.'
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
  """Returns weights along one axis, and what makes variances unbiased."""
  if name == 'uniform7':
    return np.full(7, 1 / 7, np.float32), 49 / 48
  weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
  return np.float32(weights / weights.sum()), 1.0


def _blur(x_bthwc: Array, weights: np.ndarray) -> Array:
  """Returns weighted means over a square window, wherever it fits."""
  for axis in (2, 3):
    length = x_bthwc.shape[axis] - len(weights) + 1
    # A few shifted sums: float32 all through, unlike a matrix product.
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
    raise ValueError(f'Clips have {c} channels; luma needs 1 or 3 (RGB).')
  return sum(weight * x_bthwc[..., i, None] for i, weight in enumerate(_LUMA))


def _halve(x_bthwc: Array) -> Array:
  h, w = (size // 2 * 2 for size in x_bthwc.shape[2:4])
  x_bthwc = x_bthwc[:, :, :h, :w]
  rows = x_bthwc[:, :, ::2] + x_bthwc[:, :, 1::2]
  return (rows[:, :, :, ::2] + rows[:, :, :, 1::2]) / 4


# A name is window and channels: means over red, green, blue; or luma alone.
CURVES = {
  'psnr': _psnr,
  **{
    f'ssim-{window}-{channels}': functools.partial(
      _ssim, window=window, channels=channels
    )
    for window in ('gaussian11', 'uniform7')
    for channels in ('rgb', 'luma')
  },
  **{
    f'ms-ssim-gaussian11-{channels}': functools.partial(
      _ms_ssim, channels=channels
    )
    for channels in ('rgb', 'luma')
  },
}

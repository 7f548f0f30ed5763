"""Similarity of clips to their ground truth, frame by frame: PSNR and SSIM.

Each of these metrics has several definitions, which differ by more than models
do, so the names in `FRAME_METRICS` state the definition. The PSNR of a clip has
two definitions, which can differ by half a decibel: `mean_of_frames` and
`of_mean_error`.

Clips are uint8, or floats with a given range, because SSIM depends on the
range. The functions are pure and work under jit, with names and ranges static.
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp

from vgen_jax.core import pixels
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.evaluation.scores import structural_similarity

Range = tuple[float, float]


class Best(NamedTuple):
  """Scores of the best of N samples of each clip.

  Attributes:
    best: Mean over clips of the best sample's score.
    worst_decile: The same over the tenth of the clips with the worst of these
      scores. It is bad if some futures are never generated, which `best` hides.
    sample_mean: Mean over all samples; the expected score for N = 1.
    num_samples: N. Scores improve with N, so that names include it.
  """

  best: Array
  worst_decile: Array
  sample_mean: Array
  num_samples: int


def unit(video_bthwc: Array, value_range: Range | None = None) -> Array:
  """Returns clips as float32 in [0, 1].

  Args:
    video_bthwc: uint8, or float in `value_range`.
    value_range: Smallest and largest possible value; None only for uint8.

  Raises:
    ValueError: If the range of floats is missing, or is empty.
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
    raise ValueError(
      f'value_range is {value_range}; it must be (low, high), low < high.'
    )
  video_bthwc = jnp.asarray(video_bthwc).astype(jnp.float32)
  return (video_bthwc - low) / (high - low)


def frame_metric(
  name: str,
  video_bthwc: Array,
  truth_bthwc: Array,
  value_range: Range | None = None,
) -> Array:
  """Returns a metric of each frame, `[b, t]`.

  Args:
    name: One of `FRAME_METRICS`.
    video_bthwc: Clips to compare.
    truth_bthwc: Their ground truth.
    value_range: Range of both, as in `unit`.

  Raises:
    ValueError: If shapes differ, frames are too small, or the name is unknown.
  """
  if name not in FRAME_METRICS:
    raise ValueError(
      f'Unknown metric {name!r}. Choose from {", ".join(FRAME_METRICS)}.'
    )
  shapes.sizes('', video_bthwc=video_bthwc, truth_bthwc=truth_bthwc)
  return FRAME_METRICS[name](
    unit(video_bthwc, value_range), unit(truth_bthwc, value_range)
  )


def mean_of_frames(psnr_bt: Array) -> Array:
  """Returns the PSNR of clips `[b]` as the mean of their frames' PSNR."""
  return jnp.mean(psnr_bt, 1)


def of_mean_error(psnr_bt: Array) -> Array:
  """Returns the PSNR of clips `[b]` from the mean of their squared errors.

  This PSNR is never above `mean_of_frames`.
  """
  return -10 * jnp.log10(jnp.mean(10 ** (-psnr_bt / 10), 1))


def best_of(value_nb: Array, *, higher_is_better: bool = True) -> Best:
  """Returns the scores of the best of n samples, chosen for each clip.

  Args:
    value_nb: Metric of each sample of each clip, averaged over frames: the best
      sample is chosen as a whole.
    higher_is_better: False for errors.
  """
  n, b = shapes.sizes('nb', value_nb=value_nb)
  sign = 1 if higher_is_better else -1
  best_b = jnp.sort(jnp.max(sign * value_nb, 0))
  worst = best_b[: -(-b // 10)]
  return Best(sign * best_b.mean(), sign * worst.mean(), jnp.mean(value_nb), n)


def diversity(sample_nbthwc: Array, value_range: Range | None = None) -> Array:
  """Returns the mean squared difference of pairs of samples, `[b]`.

  The mean is over all pairs of the n samples of a clip, of pixels in [0, 1]; it
  is 0 if all samples are equal. Noise increases it too, so read it together
  with `best_of`.

  Args:
    sample_nbthwc: Samples.
    value_range: Their range, as in `unit`.

  Raises:
    ValueError: If there are fewer than two samples per clip.
  """
  (n,) = shapes.sizes('n', sample_nbthwc=sample_nbthwc)
  if n < 2:
    raise ValueError(
      f'The number of samples per clip is {n}; diversity compares pairs of'
      ' samples and needs 2 or more. Generate more samples.'
    )
  sample_nbthwc = unit(sample_nbthwc, value_range)
  # The mean over pairs is twice the unbiased variance.
  variance = jnp.var(sample_nbthwc, 0, ddof=1)
  return 2 * jnp.mean(variance, (1, 2, 3, 4))


def _psnr(video_bthwc: Array, truth_bthwc: Array) -> Array:
  return pixels.psnr(jnp.mean((video_bthwc - truth_bthwc) ** 2, (2, 3, 4)))


# SSIM is named by window and channels: the mean over RGB, or the luma only.
FRAME_METRICS = {
  'psnr': _psnr,
  **{
    f'ssim-{window}-{channels}': functools.partial(
      structural_similarity.ssim, window=window, channels=channels
    )
    for window in ('gaussian11', 'uniform7')
    for channels in ('rgb', 'luma')
  },
  **{
    f'ms-ssim-gaussian11-{channels}': functools.partial(
      structural_similarity.ms_ssim, channels=channels
    )
    for channels in ('rgb', 'luma')
  },
}

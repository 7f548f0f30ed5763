"""Localization of a colourful object on a grey background.

Backgrounds of synthetic datasets are grey, so an object of any colour or shape
is found by its saturation, the largest channel minus the smallest. Nothing is
learned.
"""

from typing import NamedTuple

import numpy as np

_MIN_SATURATION = 10  # Of 255; less saturated pixels are background.


class Regions(NamedTuple):
  """The colourful region of each frame.

  Attributes:
    center_bt2: Centre of mass (x, y), in pixels; that of the frame if nothing
      is colourful.
    mass_bt: Saturation, from 0 to 255, summed over pixels.
    spread_bt: Root mean square distance of the mass to the centre, in pixels.
  """

  center_bt2: np.ndarray
  mass_bt: np.ndarray
  spread_bt: np.ndarray


def to_levels(video: np.ndarray) -> np.ndarray:
  """Returns clips of any rank as float32 from 0 to 255.

  Args:
    video: uint8, or floats in [-1, 1]; NaN counts as grey.

  Raises:
    TypeError: If the data type is another one, whose range is unknown.
  """
  if video.dtype == np.uint8:
    return video.astype(np.float32)
  if video.dtype.kind in 'biuc':
    raise TypeError(
      f'Clips are {video.dtype}; they must be uint8, or floats in [-1, 1].'
    )
  video = np.nan_to_num(np.asarray(video, np.float32)).clip(-1, 1)
  return (video + 1) * 127.5


def saturation(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns the saturation of pixels, `[b, t, h, w]` in [0, 255]; 0 if grey.

  Args:
    video_bthwc: Clips, as in `to_levels`. More than half of the pixels of a
      clip must be background: their deviations estimate the noise, and pixels
      whose saturation could be noise count as grey.
  """
  video_bthwc = to_levels(video_bthwc)
  mass_bthw = video_bthwc.max(-1) - video_bthwc.min(-1)
  flat_bk = mass_bthw.reshape(len(mass_bthw), -1)
  median_b1 = np.median(flat_bk, 1, keepdims=True)
  # Five standard deviations, estimated by the median absolute deviation, which
  # objects do not change.
  noise_b1 = 5 * 1.48 * np.median(np.abs(flat_bk - median_b1), 1, keepdims=True)
  limit_b1 = np.maximum(_MIN_SATURATION, median_b1 + noise_b1)
  return np.where(mass_bthw > limit_b1[..., None, None], mass_bthw, 0)


def locate(video_bthwc: np.ndarray) -> Regions:
  """Returns the colourful region of each frame of clips, as in `to_levels`."""
  mass_bthw = saturation(video_bthwc)
  mass_bt = mass_bthw.sum((2, 3))
  centers, squares = [], []
  for axis in (3, 2):  # x, then y.
    position = np.arange(mass_bthw.shape[axis], dtype=np.float32)
    weight = mass_bthw.sum(5 - axis) / np.maximum(mass_bt, 1)[..., None]
    center_bt = np.where(
      mass_bt > 0, weight @ position, (len(position) - 1) / 2
    )
    centers.append(center_bt)
    squares.append((weight * (position - center_bt[..., None]) ** 2).sum(-1))
  return Regions(np.stack(centers, -1), mass_bt, np.sqrt(sum(squares)))

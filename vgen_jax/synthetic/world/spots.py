"""Where the colourful thing on a grey ground is, whatever its colour or shape.

The grounds of made-up worlds are grey, so that saturation alone, the largest
channel less the smallest, tells what is an object. Nothing here is learned.
"""

from typing import NamedTuple

import numpy as np

_FAINT = 10  # Of 255: less saturation than this is ground.


class Spots(NamedTuple):
  """What is colourful in each frame, as one thing.

  Attributes:
    center_bt2: Its centre of mass (x, y), in pixels; of an empty frame, that of
      the frame.
    mass_bt: Its saturation, summed over pixels, in levels of 255.
    spread_bt: Root mean square distance of its mass to the centre, in pixels.
  """

  center_bt2: np.ndarray
  mass_bt: np.ndarray
  spread_bt: np.ndarray


def levels(video: np.ndarray) -> np.ndarray:
  """Returns clips of any rank as float32 from 0 to 255.

  Args:
    video: uint8, or floats in [-1, 1]; not-a-number counts as grey.

  Raises:
    TypeError: If it is of another kind: all of it would be white, or so.
  """
  if video.dtype == np.uint8:
    return video.astype(np.float32)
  if video.dtype.kind in 'biuc':
    raise TypeError(
      f'Clips are {video.dtype}; give uint8, or floats in [-1, 1].'
    )
  video = np.nan_to_num(np.asarray(video, np.float32)).clip(-1, 1)
  return (video + 1) * 127.5


def saturation(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns how colourful each pixel is, `[b, t, h, w]`; 0 where it is faint.

  Args:
    video_bthwc: As in `levels`. More than half of a clip must be ground: what
      does not stand out from most of its pixels is taken for noise.
  """
  video_bthwc = levels(video_bthwc)
  mass_bthw = video_bthwc.max(-1) - video_bthwc.min(-1)
  flat_bk = mass_bthw.reshape(len(mass_bthw), -1)
  usual_b1 = np.median(flat_bk, 1, keepdims=True)
  # Five standard deviations, by the median distance, which objects are not in.
  noise_b1 = 5 * 1.48 * np.median(np.abs(flat_bk - usual_b1), 1, keepdims=True)
  faint_b1 = np.maximum(_FAINT, usual_b1 + noise_b1)
  return np.where(mass_bthw > faint_b1[..., None, None], mass_bthw, 0)


def track(video_bthwc: np.ndarray) -> Spots:
  """Returns where clips are colourful; `video_bthwc` is as in `levels`."""
  mass_bthw = saturation(video_bthwc)
  mass_bt = mass_bthw.sum((2, 3))
  centers, squares = [], []
  for axis in (3, 2):  # x, then y.
    place = np.arange(mass_bthw.shape[axis], dtype=np.float32)
    part = mass_bthw.sum(5 - axis) / np.maximum(mass_bt, 1)[..., None]
    center_bt = np.where(mass_bt > 0, part @ place, (len(place) - 1) / 2)
    centers.append(center_bt)
    squares.append((part * (place - center_bt[..., None]) ** 2).sum(-1))
  return Spots(np.stack(centers, -1), mass_bt, np.sqrt(sum(squares)))

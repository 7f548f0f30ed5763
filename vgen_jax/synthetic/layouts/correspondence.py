"""Where each pixel of a made-up clip comes from, where it goes, who hides it.

Flow is (x, y) in pixels, and is read with bilinear interpolation: frame t at p
is frame t - 1 at p + backward flow(t, p). It is exact for rigid things that
shift.
"""

from typing import NamedTuple

import numpy as np


class Correspondence(NamedTuple):
  """How the frames of a clip hang together.

  Attributes:
    backward_thw2: From frame t to t - 1; 0 in the first frame.
    forward_thw2: From frame t to t + 1; 0 in the last frame.
    unseen_before_thw: Where warping must fail: what the pixel shows is not, or
      not wholly, to be seen in frame t - 1. True in the first frame.
    unseen_after_thw: The same for frame t + 1; True in the last frame.
  """

  backward_thw2: np.ndarray
  forward_thw2: np.ndarray
  unseen_before_thw: np.ndarray
  unseen_after_thw: np.ndarray


def find(instance_thw: np.ndarray, place_nt2: np.ndarray) -> Correspondence:
  """Returns how the frames of a clip hang together.

  Args:
    instance_thw: Which thing each pixel shows, from 0 to n - 1.
    place_nt2: Of each thing in each frame, (x, y), up to a constant.
  """
  shift_nt2 = np.diff(place_nt2, axis=1)
  back_nt2 = np.pad(-shift_nt2, ((0, 0), (1, 0), (0, 0)))
  ahead_nt2 = np.pad(shift_nt2, ((0, 0), (0, 1), (0, 0)))
  frame_t11 = np.arange(instance_thw.shape[0])[:, None, None]
  backward_thw2 = back_nt2[instance_thw, frame_t11].astype(np.float32)
  forward_thw2 = ahead_nt2[instance_thw, frame_t11].astype(np.float32)
  before_thw = np.concatenate([instance_thw[:1] * 0 - 1, instance_thw[:-1]])
  after_thw = np.concatenate([instance_thw[1:], instance_thw[:1] * 0 - 1])
  return Correspondence(
    backward_thw2,
    forward_thw2,
    _unseen(instance_thw, before_thw, backward_thw2),
    _unseen(instance_thw, after_thw, forward_thw2),
  )


def _unseen(
  instance_thw: np.ndarray, other_thw: np.ndarray, flow_thw2: np.ndarray
) -> np.ndarray:
  """Returns where some pixel about the source shows another thing, or none."""
  _, h, w = instance_thw.shape
  frame, y, x = np.indices(instance_thw.shape)
  # A thousandth of a pixel is below what 8 bits of colour can tell.
  x = np.round(x + flow_thw2[..., 0], 3)
  y = np.round(y + flow_thw2[..., 1], 3)
  unseen_thw = np.zeros(instance_thw.shape, bool)
  for round_x in (np.floor, np.ceil):
    for round_y in (np.floor, np.ceil):
      column, row = round_x(x).astype(int), round_y(y).astype(int)
      inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
      column, row = np.clip(column, 0, w - 1), np.clip(row, 0, h - 1)
      same = other_thw[frame, row, column] == instance_thw
      unseen_thw |= ~(inside & same)
  return unseen_thw

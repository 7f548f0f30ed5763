"""Optical flow and occlusion between the frames of a clip.

Flow is (x, y) in pixels, for bilinear interpolation: frame t at p is frame
t - 1 at p + backward flow(t, p). It is exact for rigid objects that translate.
"""

from typing import NamedTuple

import numpy as np


class Correspondence(NamedTuple):
  """Optical flow and occlusion of a clip.

  Attributes:
    backward_thw2: Flow (x, y) from frame t to t - 1, in pixels, float32; 0 in
      the first frame.
    forward_thw2: Flow (x, y) from frame t to t + 1, in pixels, float32; 0 in
      the last frame.
    occluded_before_thw: Whether the pixel cannot be computed by warping frame
      t - 1, because its content is not, or not entirely, visible there, bool.
      True in the first frame.
    occluded_after_thw: The same for frame t + 1; True in the last frame.
  """

  backward_thw2: np.ndarray
  forward_thw2: np.ndarray
  occluded_before_thw: np.ndarray
  occluded_after_thw: np.ndarray


def find(instance_thw: np.ndarray, position_nt2: np.ndarray) -> Correspondence:
  """Returns the optical flow and occlusion of a clip.

  Args:
    instance_thw: Instance that each pixel shows, from 0 to n - 1.
    position_nt2: Position (x, y) of each instance in each frame, in pixels, up
      to a constant of the instance.
  """
  shift_nt2 = np.diff(position_nt2, axis=1)
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
    _occluded(instance_thw, before_thw, backward_thw2),
    _occluded(instance_thw, after_thw, forward_thw2),
  )


def _occluded(
  instance_thw: np.ndarray, other_thw: np.ndarray, flow_thw2: np.ndarray
) -> np.ndarray:
  """Returns the pixels whose content the other frame does not show, bool.

  The flow leads from a pixel to a position in the other frame. The pixel is
  occluded if one of the four pixels around this position shows another
  instance, or is outside of the frame.

  Args:
    instance_thw: Instance that each pixel shows.
    other_thw: Instance that each pixel of the other frame shows.
    flow_thw2: Flow (x, y) to the other frame, in pixels.
  """
  _, h, w = instance_thw.shape
  frame, y, x = np.indices(instance_thw.shape)
  # A thousandth of a pixel does not change 8-bit colours.
  x = np.round(x + flow_thw2[..., 0], 3)
  y = np.round(y + flow_thw2[..., 1], 3)
  occluded_thw = np.zeros(instance_thw.shape, bool)
  for round_x in (np.floor, np.ceil):
    for round_y in (np.floor, np.ceil):
      column, row = round_x(x).astype(int), round_y(y).astype(int)
      inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
      column, row = np.clip(column, 0, w - 1), np.clip(row, 0, h - 1)
      same = other_thw[frame, row, column] == instance_thw
      occluded_thw |= ~(inside & same)
  return occluded_thw

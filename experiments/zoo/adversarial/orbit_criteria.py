"""Criteria of clips of objects on orbits (`synthetic.orbit.source.Orbit`)."""

import math
from typing import NamedTuple

import numpy as np

from experiments.zoo.adversarial import longer_clips
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.orbit import source as orbit_lib

# Of the path, relative to the distance that an object moves in a frame.
_LARGEST_ERROR = 0.27
_DISTANCE_TOLERANCE = 1.1  # Of the range of radii of orbits, a factor.
# Of the radius of the orbit, between the halves of a clip, a factor.
_LARGEST_CHANGE = 1.15
_LEAST_SPREAD = 0.42  # Of an object, relative to half of its width.
_LEAST_SATURATION = 80.0  # In the middle of an object, in levels of 255.
_LARGEST_MASS_RATIO = 2.0  # Of two frames of a clip.
_LARGEST_DRIFT = 120.0  # Change of the colour, in levels of 255.
BACKGROUND = 60.0  # Its mean in the data, in levels of 255.
_LARGEST_DEVIATION = 50.0  # From the background.
LEAST_RADIUS = 1.1  # Of objects that the check can judge, in pixels.


class Paths(NamedTuple):
  """Circular paths that fit the positions of objects best.

  Attributes:
    error_b: Root mean square distance to the path, in pixels.
    distance_b: Radius of the path, in pixels.
    is_clockwise_b: Whether the object moves clockwise, bool.
  """

  error_b: np.ndarray
  distance_b: np.ndarray
  is_clockwise_b: np.ndarray


def numbers(
  video_bthwc: np.ndarray, label_b: np.ndarray, orbits: orbit_lib.Orbit
) -> longer_clips.Numbers:
  """Returns the measurements of clips of classes, judged by `orbits`."""
  half = video_bthwc.shape[1] // 2
  (first_b, first), (second_b, second), (whole_b, whole) = (
    is_valid(x, orbits)
    for x in (video_bthwc[:, :half], video_bthwc[:, half:], video_bthwc)
  )
  distance_2b = np.stack([first.distance_b, second.distance_b])
  is_class_b = whole.is_clockwise_b == (label_b == 0)
  right_b = first_b & second_b & whole_b & is_class_b
  right_b &= distance_2b.max(0) <= _LARGEST_CHANGE * distance_2b.min(0)
  values = first_b, second_b, whole_b, is_class_b, right_b
  return longer_clips.Numbers(*(float(x.mean()) for x in values))


def is_valid(
  video_bthwc: np.ndarray, orbits: orbit_lib.Orbit
) -> tuple[np.ndarray, Paths]:
  """Returns whether clips are valid, bool, and the paths of their objects.

  Args:
    video_bthwc: Clips, as in `saturation.to_levels`.
    orbits: Dataset that defines the period, and the sizes.
  """
  regions = saturation.locate(video_bthwc)
  paths = fit_circles(regions.center_bt2, orbits.periods[0])
  step_b = 2 * math.pi * paths.distance_b / orbits.periods[0]
  low, high = orbits.distances
  spread_bt = regions.spread_bt / (orbits.radius * orbits.side)
  mass_bt = regions.mass_bt
  saturation_b, deviation_b = _contrast(video_bthwc, regions.center_bt2, orbits)
  valid_b = (
    (paths.error_b <= _LARGEST_ERROR * step_b)
    & (paths.distance_b >= low / _DISTANCE_TOLERANCE)
    & (paths.distance_b <= high * _DISTANCE_TOLERANCE)
    & (spread_bt.min(1) >= _LEAST_SPREAD)
    & (mass_bt.max(1) <= _LARGEST_MASS_RATIO * mass_bt.min(1))
    & (saturation_b >= _LEAST_SATURATION)
    & (deviation_b <= _LARGEST_DEVIATION)
    & (_color_drift(video_bthwc) <= _LARGEST_DRIFT)
  )
  return valid_b, paths


def fit_circles(center_bt2: np.ndarray, period: int) -> Paths:
  """Returns the best circular paths, of either direction.

  Args:
    center_bt2: Positions (x, y), in pixels; y points down.
    period: Period, in frames.
  """
  t = center_bt2.shape[1]
  angle_t = 2 * math.pi * np.arange(t) / period
  one_t, zero_t = np.ones(t), np.zeros(t)
  xy_bk = np.concatenate([center_bt2[..., 0], center_bt2[..., 1]], axis=1)
  fits = []
  for sign in (1, -1):  # As y points down, 1 is clockwise.
    cos_t, sin_t = np.cos(angle_t), sign * np.sin(angle_t)
    # Unknowns are the middle of the circle, and the first position from there.
    matrix_k4 = np.concatenate(
      [
        np.stack([one_t, zero_t, cos_t, -sin_t], axis=1),
        np.stack([zero_t, one_t, sin_t, cos_t], axis=1),
      ]
    )
    unknown_b4 = xy_bk @ np.linalg.pinv(matrix_k4).T
    gap_bk = xy_bk - unknown_b4 @ matrix_k4.T
    error_b = np.sqrt(np.square(gap_bk).sum(1) / t)
    fits.append((error_b, np.hypot(unknown_b4[:, 2], unknown_b4[:, 3])))
  (one_b, distance_b), (other_b, other_distance_b) = fits
  is_clockwise_b = one_b <= other_b
  return Paths(
    np.minimum(one_b, other_b),
    np.where(is_clockwise_b, distance_b, other_distance_b),
    is_clockwise_b,
  )


def _contrast(
  video_bthwc: np.ndarray, center_bt2: np.ndarray, orbits: orbit_lib.Orbit
) -> tuple[np.ndarray, np.ndarray]:
  """Returns measurements of objects and backgrounds, in levels of 255.

  Args:
    video_bthwc: Clips, as in `saturation.to_levels`.
    center_bt2: Positions (x, y) of objects, in pixels.
    orbits: Dataset that defines the size of objects.

  Returns:
    saturation_b: Least saturation of the middle of an object, over frames.
    deviation_b: Largest deviation of a pixel outside of the object, and not
      near it, from the mean background.
  """
  levels = saturation.to_levels(video_bthwc)
  saturation_bthw = levels.max(-1) - levels.min(-1)
  y_hw, x_hw = np.indices(levels.shape[2:4])
  x_bt11, y_bt11 = np.moveaxis(center_bt2, -1, 0)[..., None, None]
  distance_bthw = np.hypot(x_hw - x_bt11, y_hw - y_bt11)
  middle_bthw = distance_bthw <= 1
  sum_bt = (saturation_bthw * middle_bthw).sum((2, 3))
  mean_bt = sum_bt / middle_bthw.sum((2, 3))
  is_far_bthw = distance_bthw > 1.25 * orbits.radius * orbits.side + 1.5
  deviation_bthw = np.abs(levels - BACKGROUND).max(-1) * is_far_bthw
  return mean_bt.min(1), deviation_bthw.max((1, 2, 3))


def _color_drift(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns the largest change of the object's colour, in levels of 255."""
  weight_bthw1 = saturation.saturation(video_bthwc)[..., None]
  total_bt1 = np.maximum(weight_bthw1.sum((2, 3)), 1)
  levels = saturation.to_levels(video_bthwc)
  color_btc = (levels * weight_bthw1).sum((2, 3)) / total_bt1
  change_bttc = color_btc[:, :, None] - color_btc[:, None]
  return np.linalg.norm(change_bttc, axis=-1).max((1, 2))

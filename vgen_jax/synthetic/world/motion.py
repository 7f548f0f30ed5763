"""Motion of an object, fitted to its position in each frame."""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.synthetic import bounces
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tracking


class Motion(NamedTuple):
  """Uniform motion between elastic walls that fits a track best.

  A step is the displacement of the object between two successive frames.

  Attributes:
    velocity_b2: (x, y) in the first frames, in pixels per frame.
    direction_b: Index of the nearest direction in `world.factors_kept`; -1 for
      clips at rest, which are slower than 0.3 of the slowest speed.
    speed_b: Index of the nearest speed in `world.factors_kept`; -1 at rest.
    path_error_b: Root mean square distance to the fitted path, in pixels.
    step_error_b: Largest difference between a step and that of the fitted path,
      in pixels.
    speed_error_b: Relative difference from the nearest speed; 1 at rest.
    speed_drift_b: Relative difference between the speed of either half of the
      clip and the fitted speed; 1 at rest, else 0 if the clip has fewer than 6
      frames.
    angle_error_b: Angle to the nearest direction, in degrees; 180 at rest.
    stalled_fraction_b: Fraction of steps in which the object stands still,
      except where it bounces off a wall.
    stutter_fraction_b: Fraction of steps shorter than 0.3 of the object's own
      speed, except at walls; 1 at rest.
  """

  velocity_b2: np.ndarray
  direction_b: np.ndarray
  speed_b: np.ndarray
  path_error_b: np.ndarray
  step_error_b: np.ndarray
  speed_error_b: np.ndarray
  speed_drift_b: np.ndarray
  angle_error_b: np.ndarray
  stalled_fraction_b: np.ndarray
  stutter_fraction_b: np.ndarray


def fit(
  track: tracking.Track, visible_bt: np.ndarray, world: world_lib.World
) -> Motion:
  """Returns the motion of each clip.

  Args:
    track: Position and appearance of the object in each frame.
    visible_bt: Frames in which the object is visible, bool; only these are
      fitted.
    world: Dataset that defines speeds, directions and walls.
  """
  speed_s = np.array([world.speed(s) for s in world.factors_kept['speed']])
  _, h, w, _ = world.clip_shape
  axes = [
    bounces.fit_bounces(
      track.center_bt2[..., axis],
      visible_bt,
      track.usual_radius_b,
      length - 1 - track.usual_radius_b,
      1.5 * speed_s.max(),
    )
    for axis, length in enumerate((w, h))
  ]
  velocity_b2, path_bt2, path_velocity_bt2 = (
    np.stack(one, -1) for one in zip(*axes, strict=True)
  )
  length_b = np.linalg.norm(velocity_b2, axis=1)
  moves_b = length_b > 0.3 * speed_s.min()
  speed_b = np.abs(length_b[:, None] - speed_s).argmin(1)

  angle_b = np.arctan2(velocity_b2[:, 1], velocity_b2[:, 0])
  turn_bk = angle_b[:, None] - _angles(world)
  turn_bk = np.abs(np.arctan2(np.sin(turn_bk), np.cos(turn_bk)))
  gap_bt2 = (track.center_bt2 - path_bt2) * visible_bt[..., None]
  lead_bt = (gap_bt2 * path_velocity_bt2).sum(-1) / np.maximum(length_b, 1e-3)[
    :, None
  ]
  drift_b = _largest_slope(lead_bt) / np.maximum(length_b, 1e-3)
  return Motion(
    velocity_b2=velocity_b2,
    direction_b=np.where(moves_b, turn_bk.argmin(1), -1),
    speed_b=np.where(moves_b, speed_b, -1),
    path_error_b=np.sqrt(
      np.square(gap_bt2).sum((1, 2)) / np.maximum(visible_bt.sum(1), 1)
    ),
    step_error_b=np.linalg.norm(np.diff(gap_bt2, axis=1), axis=-1).max(1),
    speed_error_b=np.where(moves_b, np.abs(length_b / speed_s[speed_b] - 1), 1),
    speed_drift_b=np.where(moves_b, drift_b, 1),
    angle_error_b=np.where(moves_b, np.degrees(turn_bk.min(1)), 180),
    stalled_fraction_b=_short_step_fraction(
      track.center_bt2,
      path_bt2,
      np.full_like(length_b, 0.15 * speed_s.min()),
      np.full_like(length_b, 0.6 * speed_s.min()),
    ),
    stutter_fraction_b=np.where(
      moves_b,
      _short_step_fraction(
        track.center_bt2, path_bt2, 0.3 * length_b, 0.6 * length_b
      ),
      1,
    ),
  )


def _angles(world: world_lib.World) -> np.ndarray:
  """Returns the angle of each direction that occurs, in radians."""
  all_directions = world_lib.FACTORS['direction']
  kept = world.factors_kept['direction']
  return np.array([all_directions.index(x) for x in kept]) * math.pi / 4


def _largest_slope(lead_bt: np.ndarray) -> np.ndarray:
  """Returns the larger slope of both halves of each clip, per frame, `[b]`."""
  half = lead_bt.shape[1] // 2
  if half < 3:  # The slope between two points only shows their own errors.
    return np.zeros(len(lead_bt))
  time_k = np.arange(half) - (half - 1) / 2
  halves = np.stack([lead_bt[:, :half], lead_bt[:, -half:]])
  return np.abs(halves @ time_k / np.square(time_k).sum()).max(0)


def _short_step_fraction(
  center_bt2: np.ndarray,
  path_bt2: np.ndarray,
  min_step_b: np.ndarray,
  bounce_step_b: np.ndarray,
) -> np.ndarray:
  """Returns the fraction of steps below `min_step_b`, except at walls.

  A step at a wall may end where it began. Such steps are those in which the
  fitted path moves by less than `bounce_step_b`, while it moves more elsewhere.
  """
  step_bt = np.linalg.norm(np.diff(center_bt2, axis=1), axis=-1)
  fitted_bt = np.linalg.norm(np.diff(path_bt2, axis=1), axis=-1)
  moves_b1 = fitted_bt.max(1, keepdims=True) > bounce_step_b[:, None]
  bounces_bt = (fitted_bt < bounce_step_b[:, None]) & moves_b1
  return ((step_bt < min_step_b[:, None]) & ~bounces_bt).mean(1)

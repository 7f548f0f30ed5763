"""The law of an object's motion, found from where it is in each frame."""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tracking


class Motion(NamedTuple):
  """Uniform motion between elastic walls that explains a track best.

  Attributes:
    velocity_b2: (x, y) in the first frames, in pixels per frame.
    direction_b: Place of the nearest one in `world.factors_kept`; -1 if at
      rest, as are all clips slower than 0.3 of the slowest speed.
    speed_b: Same of the speed.
    path_error_b: Root mean square distance to the fitted path, in pixels.
    step_error_b: Largest difference of a step to that of the path, in pixels.
    speed_error_b: Distance to the nearest speed, relative; 1 at rest.
    speed_drift_b: By how much more or less than the fitted speed it gets on in
      either half of the clip, relative; 1 at rest.
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
  track: tracking.Track, seen_bt: np.ndarray, world: world_lib.World
) -> Motion:
  """Returns the motion of each clip, by the frames in which it is seen."""
  speed_s = np.array([world.speed(s) for s in world.factors_kept['speed']])
  _, h, w, _ = world.clip_shape
  axes = [
    fit_bounces(
      track.center_bt2[..., axis],
      seen_bt,
      track.usual_radius_b,
      length - 1 - track.usual_radius_b,
      1.5 * speed_s.max(),
    )
    for axis, length in enumerate((w, h))
  ]
  velocity_b2, path_bt2, way_bt2 = (
    np.stack(one, -1) for one in zip(*axes, strict=True)
  )
  length_b = np.linalg.norm(velocity_b2, axis=1)
  moves_b = length_b > 0.3 * speed_s.min()
  speed_b = np.abs(length_b[:, None] - speed_s).argmin(1)

  angle_b = np.arctan2(velocity_b2[:, 1], velocity_b2[:, 0])
  turn_bk = angle_b[:, None] - _angles(world)
  turn_bk = np.abs(np.arctan2(np.sin(turn_bk), np.cos(turn_bk)))
  gap_bt2 = (track.center_bt2 - path_bt2) * seen_bt[..., None]
  ahead_bt = (gap_bt2 * way_bt2).sum(-1) / np.maximum(length_b, 1e-3)[:, None]
  drift_b = _drift(ahead_bt) / np.maximum(length_b, 1e-3)
  return Motion(
    velocity_b2=velocity_b2,
    direction_b=np.where(moves_b, turn_bk.argmin(1), -1),
    speed_b=np.where(moves_b, speed_b, -1),
    path_error_b=np.sqrt(
      np.square(gap_bt2).sum((1, 2)) / np.maximum(seen_bt.sum(1), 1)
    ),
    step_error_b=np.linalg.norm(np.diff(gap_bt2, axis=1), axis=-1).max(1),
    speed_error_b=np.where(moves_b, np.abs(length_b / speed_s[speed_b] - 1), 1),
    speed_drift_b=np.where(moves_b, drift_b, 1),
    angle_error_b=np.where(moves_b, np.degrees(turn_bk.min(1)), 180),
    stalled_fraction_b=_still(
      track.center_bt2,
      path_bt2,
      np.full_like(length_b, 0.15 * speed_s.min()),
      np.full_like(length_b, 0.6 * speed_s.min()),
    ),
    stutter_fraction_b=np.where(
      moves_b,
      _still(track.center_bt2, path_bt2, 0.3 * length_b, 0.6 * length_b),
      1,
    ),
  )


def fit_bounces(
  position_bt: np.ndarray,
  seen_bt: np.ndarray,
  low_b: np.ndarray,
  high_b: np.ndarray,
  max_speed: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Fits uniform motion between elastic walls, along one axis.

  Tries speeds on a grid, then solves the linear least squares of the unfolded
  path a few times, on the branch that the best one has found.

  Args:
    position_bt: Measured positions.
    seen_bt: Which of them count; if fewer than 3, all do.
    low_b: Where the lower wall turns the object's centre round.
    high_b: Same of the upper wall.
    max_speed: Largest speed to think of, per frame.

  Returns:
    The velocity in the first frames, `[b]`, the fitted path, `[b, t]`, and the
    velocity along it, `[b, t]`.
  """
  weight_bt = np.where(seen_bt.sum(1, keepdims=True) >= 3, seen_bt, True)
  low_b1, high_b1 = low_b[:, None], high_b[:, None]
  first_b = weight_bt.argmax(1)
  time_bt = np.arange(position_bt.shape[1]) - first_b[:, None]

  def path(start_b, velocity_b):
    straight_bt = start_b[:, None] + velocity_b[:, None] * time_bt
    return world_lib.fold(straight_bt, low_b1, high_b1)

  def better(best, start_b, velocity_b):
    error_bt = np.square(path(start_b, velocity_b) - position_bt) * weight_bt
    error_b = error_bt.sum(1)
    wins_b = error_b < best[0]
    return tuple(
      np.where(wins_b, new, old)
      for new, old in zip((error_b, start_b, velocity_b), best, strict=True)
    )

  seen_first_b = np.take_along_axis(position_bt, first_b[:, None], 1)[:, 0]
  best = (np.full(len(low_b), np.inf), seen_first_b, np.zeros(len(low_b)))
  for velocity in np.linspace(-max_speed, max_speed, 91):
    for shift in (-0.25, 0.0, 0.25):  # In strides of the grid over a clip.
      shift *= max_speed / 45 * position_bt.shape[1] / 2
      velocity_b = np.full(len(low_b), velocity)
      best = better(best, seen_first_b + shift, velocity_b)
  for _ in range(4):
    unfolded_bt = _unfold(position_bt, best, time_bt, low_b1, high_b1)
    best = better(best, *_line(unfolded_bt, time_bt, weight_bt))

  _, start_b, velocity_b = best
  # An odd number of turns says that it moves the other way. It is counted a
  # little after frame 0, where an object may touch a wall, and before the next.
  moment_b = min(1, position_bt.shape[1] / 8) - first_b
  early_b1 = (start_b + velocity_b * moment_b)[:, None]
  straight_bt = start_b[:, None] + velocity_b[:, None] * time_bt
  way_bt = velocity_b[:, None] * _way(straight_bt, low_b1, high_b1)
  first_velocity_b = velocity_b * _way(early_b1, low_b1, high_b1)[:, 0]
  return first_velocity_b, path(start_b, velocity_b), way_bt


def _angles(world: world_lib.World) -> np.ndarray:
  """Returns the angle of each direction that occurs."""
  every = world_lib.FACTORS['direction']
  kept = world.factors_kept['direction']
  return np.array([every.index(name) for name in kept]) * math.pi / 4


def _way(
  straight_bt: np.ndarray, low_b1: np.ndarray, high_b1: np.ndarray
) -> np.ndarray:
  """Returns -1 where walls have turned a straight path round, else 1."""
  turns_bt = np.floor((straight_bt - low_b1) / (high_b1 - low_b1))
  return np.where(turns_bt % 2 != 0, -1, 1)


def _drift(ahead_bt: np.ndarray) -> np.ndarray:
  """Returns how fast it gets ahead or behind, in the worse half of a clip."""
  half = ahead_bt.shape[1] // 2
  if half < 3:  # Two points of a half tell their own errors alone.
    return np.zeros(len(ahead_bt))
  time_k = np.arange(half) - (half - 1) / 2
  halves = np.stack([ahead_bt[:, :half], ahead_bt[:, -half:]])
  return np.abs(halves @ time_k / np.square(time_k).sum()).max(0)


def _still(
  center_bt2: np.ndarray,
  path_bt2: np.ndarray,
  least_b: np.ndarray,
  turn_b: np.ndarray,
) -> np.ndarray:
  """Returns the share of steps below the least, but for those at a wall.

  At a wall a step may well end where it began: there the path, which moves
  elsewhere, has steps below `turn_b`.
  """
  step_bt = np.linalg.norm(np.diff(center_bt2, axis=1), axis=-1)
  fitted_bt = np.linalg.norm(np.diff(path_bt2, axis=1), axis=-1)
  moves_b1 = fitted_bt.max(1, keepdims=True) > turn_b[:, None]
  turns_bt = (fitted_bt < turn_b[:, None]) & moves_b1
  return ((step_bt < least_b[:, None]) & ~turns_bt).mean(1)


def _unfold(
  position_bt: np.ndarray,
  best: tuple[np.ndarray, np.ndarray, np.ndarray],
  time_bt: np.ndarray,
  low_b1: np.ndarray,
  high_b1: np.ndarray,
) -> np.ndarray:
  """Returns positions as they would be without walls, by the fit so far."""
  _, start_b, velocity_b = best
  width_b1 = high_b1 - low_b1
  straight_bt = start_b[:, None] + velocity_b[:, None] * time_bt
  turns_bt = np.floor((straight_bt - low_b1) / width_b1)
  inner_bt = position_bt - low_b1
  inner_bt = np.where(turns_bt % 2 != 0, width_b1 - inner_bt, inner_bt)
  return low_b1 + inner_bt + turns_bt * width_b1


def _line(
  value_bt: np.ndarray, time_bt: np.ndarray, weight_bt: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns start and slope of the weighted least squares line."""
  total_b1 = weight_bt.sum(1, keepdims=True)
  time_bt = time_bt * weight_bt
  middle_b1 = time_bt.sum(1, keepdims=True) / total_b1
  mean_b1 = (value_bt * weight_bt).sum(1, keepdims=True) / total_b1
  lag_bt = (time_bt - middle_b1) * weight_bt
  slope_b = (lag_bt * (value_bt - mean_b1)).sum(1) / np.square(lag_bt).sum(1)
  return mean_b1[:, 0] - slope_b * middle_b1[:, 0], slope_b

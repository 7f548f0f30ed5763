"""Generation and fitting of uniform motion between elastic walls."""

import numpy as np


def wall_limits(
  radius: float, frame: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the least and the largest centre (x, y) of an object in a frame.

  Args:
    radius: Half of the object's width, in pixels.
    frame: (h, w).
  """
  h, w = frame
  # Pixel centres are at 0, 1, ...; an object stays between the outermost ones.
  low_2 = np.full(2, radius)
  return low_2, np.array([w - 1, h - 1]) - low_2


def sample_start(
  draws_2: np.ndarray,
  low_2: np.ndarray,
  high_2: np.ndarray,
  displacement_2: np.ndarray,
) -> np.ndarray:
  """Returns a start from which an object can move without meeting a wall.

  Args:
    draws_2: Uniform numbers in [0, 1).
    low_2: Least centre (x, y).
    high_2: Largest centre.
    displacement_2: Motion that must fit between the walls.
  """
  first_2 = np.maximum(low_2, low_2 - displacement_2)
  last_2 = np.minimum(high_2, high_2 - displacement_2)
  return first_2 + draws_2 * (last_2 - first_2)


def fold(
  position: np.ndarray,
  low: np.ndarray | float,
  high: np.ndarray | float,
) -> np.ndarray:
  """Returns the positions of free motion after reflections at elastic walls.

  Args:
    position: Positions without walls.
    low: Position of the lower wall; it broadcasts against `position`.
    high: Position of the upper wall.
  """
  width = high - low
  # The period is positive also where there is no room to move.
  phase = np.mod(position - low, np.maximum(2 * width, 1e-9))
  return low + width - np.abs(phase - width)


def fit_bounces(
  position_bt: np.ndarray,
  visible_bt: np.ndarray,
  low_b: np.ndarray,
  high_b: np.ndarray,
  max_speed: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Fits uniform motion between elastic walls, along one axis.

  The fit starts from the best speed on a grid. Then it alternates, a few times,
  between unfolding the path at the walls and linear least squares.

  Args:
    position_bt: Measured positions, in pixels.
    visible_bt: Which positions to fit, bool; in a clip with fewer than 3 of
      them, all positions are fitted.
    low_b: Position of the object's centre at the lower wall.
    high_b: Position of the object's centre at the upper wall.
    max_speed: Largest speed on the grid, in pixels per frame.

  Returns:
    The velocity in the first frames, `[b]`, the fitted path, `[b, t]`, and the
    velocity along it, `[b, t]`.
  """
  weight_bt = np.where(visible_bt.sum(1, keepdims=True) >= 3, visible_bt, True)
  low_b1, high_b1 = low_b[:, None], high_b[:, None]
  first_b = weight_bt.argmax(1)
  time_bt = np.arange(position_bt.shape[1]) - first_b[:, None]

  def path(start_b, velocity_b):
    straight_bt = start_b[:, None] + velocity_b[:, None] * time_bt
    return fold(straight_bt, low_b1, high_b1)

  def better(best, start_b, velocity_b):
    error_bt = np.square(path(start_b, velocity_b) - position_bt) * weight_bt
    error_b = error_bt.sum(1)
    improves_b = error_b < best[0]
    return tuple(
      np.where(improves_b, new, old)
      for new, old in zip((error_b, start_b, velocity_b), best, strict=True)
    )

  start_b = np.take_along_axis(position_bt, first_b[:, None], 1)[:, 0]
  best = (np.full(len(low_b), np.inf), start_b, np.zeros(len(low_b)))
  for velocity in np.linspace(-max_speed, max_speed, 91):
    for shift in (-0.25, 0.0, 0.25):  # In steps of the grid over a clip.
      shift *= max_speed / 45 * position_bt.shape[1] / 2
      velocity_b = np.full(len(low_b), velocity)
      best = better(best, start_b + shift, velocity_b)
  for _ in range(4):
    unfolded_bt = _unfold(position_bt, best, time_bt, low_b1, high_b1)
    best = better(best, *_fit_line(unfolded_bt, time_bt, weight_bt))

  _, start_b, velocity_b = best
  # After an odd number of reflections the object moves the other way. The first
  # velocity is taken shortly after frame 0, where an object may touch a wall,
  # and before the next frame.
  moment_b = min(1, position_bt.shape[1] / 8) - first_b
  early_b1 = (start_b + velocity_b * moment_b)[:, None]
  straight_bt = start_b[:, None] + velocity_b[:, None] * time_bt
  path_velocity_bt = velocity_b[:, None] * _sign(straight_bt, low_b1, high_b1)
  first_velocity_b = velocity_b * _sign(early_b1, low_b1, high_b1)[:, 0]
  return first_velocity_b, path(start_b, velocity_b), path_velocity_bt


def _sign(
  straight_bt: np.ndarray, low_b1: np.ndarray, high_b1: np.ndarray
) -> np.ndarray:
  """Returns -1 where walls have reversed a straight path, else 1."""
  count_bt = np.floor((straight_bt - low_b1) / (high_b1 - low_b1))
  return np.where(count_bt % 2 != 0, -1, 1)


def _unfold(
  position_bt: np.ndarray,
  best: tuple[np.ndarray, np.ndarray, np.ndarray],
  time_bt: np.ndarray,
  low_b1: np.ndarray,
  high_b1: np.ndarray,
) -> np.ndarray:
  """Returns positions as they would be without walls, by the current fit."""
  _, start_b, velocity_b = best
  width_b1 = high_b1 - low_b1
  straight_bt = start_b[:, None] + velocity_b[:, None] * time_bt
  count_bt = np.floor((straight_bt - low_b1) / width_b1)
  inner_bt = position_bt - low_b1
  inner_bt = np.where(count_bt % 2 != 0, width_b1 - inner_bt, inner_bt)
  return low_b1 + inner_bt + count_bt * width_b1


def _fit_line(
  value_bt: np.ndarray, time_bt: np.ndarray, weight_bt: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the value at time 0 and the slope of the least squares line, `[b]`.

  Args:
    value_bt: Values to fit.
    time_bt: Times of the values.
    weight_bt: Whether a value counts, bool.
  """
  total_b1 = weight_bt.sum(1, keepdims=True)
  time_bt = time_bt * weight_bt
  mean_time_b1 = time_bt.sum(1, keepdims=True) / total_b1
  mean_b1 = (value_bt * weight_bt).sum(1, keepdims=True) / total_b1
  centered_bt = (time_bt - mean_time_b1) * weight_bt
  slope_b = (centered_bt * (value_bt - mean_b1)).sum(1) / np.square(
    centered_bt
  ).sum(1)
  return mean_b1[:, 0] - slope_b * mean_time_b1[:, 0], slope_b

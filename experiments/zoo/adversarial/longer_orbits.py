"""Checks that a MoCoGAN continues orbits for twice the length of its clips.

  vgen train --config=mocogan_world:small --workdir=runs/mocogan_orbits \
      --config.num_steps=6000 --config.clip_shape='(8, 16, 16, 3)' \
      --config.data='{"name": "synthetic.orbit.source.Orbit",
                      "periods": (12, 12), "radius": 0.15,
                      "has_labels": True}' \
      --config.optim.schedule.name=wsd \
      --config.optim.schedule.decay_fraction=0.3
  python -m experiments.zoo.adversarial.longer_orbits \
      --workdir=runs/mocogan_orbits --num=256

All orbits of the training data must have the same period, which is longer than
a clip and shorter than two clips, so that generated clips have to continue a
revolution and begin another one.

A clip is valid if one blob of roughly constant colour and size moves on a
circle, with the period of the data and a radius of the data, in every frame.
The script prints the proportions of clips that are valid as a whole, and of
their first and second halves, the proportion of clips that move in the
requested direction, and that of clips that are valid and do. MoCoGAN passes if
the last one is 50 %. Shapes do not matter, and clips may be all the same. For
comparison, the script also prints the numbers of real clips, and of wrong clips
that must not pass: those of `longer_clips.py` and `rough_clips.py`, orbits with
another period, and orbits in the other direction.
"""

import math
from typing import NamedTuple

import numpy as np

from experiments.zoo import arguments
from experiments.zoo.adversarial import longer_clips
from experiments.zoo.adversarial import rough_clips
from vgen_jax.core.types import ClipShape
from vgen_jax.inference import runs
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.orbit import source as orbit_lib

_LARGEST_ERROR = 0.05  # Of the path, in sides of a frame.
_DISTANCES = (0.2, 0.38)  # Radii of orbits, in sides of a frame.
_SPREADS = (0.42, 1.1)  # Of an object, relative to half of its width.
# Summed over an object whose half width is a pixel, in levels of 255.
_LEAST_SATURATION = 110.0
_LARGEST_MASS_RATIO = 2.0  # Of two frames of a clip.
_LARGEST_DRIFT = 120.0  # Change of the colour, in levels of 255.


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


def main() -> None:
  args = arguments.parser(__doc__, num=256, least=16).parse_args()
  run = runs.load(args.workdir)
  longer_clips.check_network(run)
  check_data(run.source)
  orbits = longer_orbits(run.source)
  video, label = longer_clips.real_clips(orbits, args.num)
  requested = np.asarray(run.condition(args.num)['label'])
  arms = {
    'generated': (longer_clips.generate(run, args.num), requested),
    'real': (video, label),
    **cheats(orbits, args.num),
  }
  found = {name: numbers(*x, orbits) for name, x in arms.items()}
  longer_clips.print_table(found)


def check_data(orbits: object) -> None:
  """Raises ValueError if a run has other data, or unsuitable periods."""
  if not isinstance(orbits, orbit_lib.Orbit):
    raise ValueError(
      f'The run was trained on {type(orbits).__name__}; this check needs Orbit'
      ' (synthetic.orbit.source.Orbit).'
    )
  t = orbits.clip_shape[0]
  if not orbits.class_names:
    raise ValueError(
      'config.data.has_labels of the run is False; this check needs True.'
    )
  low, high = orbits.periods
  if low != high or not t < low < 2 * t:
    raise ValueError(
      f'config.data.periods of the run is {orbits.periods}; this check needs'
      f' one period, twice, from {t + 1} to {2 * t - 1} frames.'
    )


def longer_orbits(orbits: orbit_lib.Orbit) -> orbit_lib.Orbit:
  """Returns a dataset of clips of twice the length, for validation."""
  t, *rest = orbits.clip_shape
  return _with_period(orbits, (2 * t, *rest), orbits.periods[0])


def _with_period(
  orbits: orbit_lib.Orbit, clip_shape: ClipShape, period: int
) -> orbit_lib.Orbit:
  return orbit_lib.Orbit(
    clip_shape,
    'validation',
    periods=(period, period),
    radius=orbits.radius,
    has_labels=True,
  )


def numbers(
  video_bthwc: np.ndarray, label_b: np.ndarray, orbits: orbit_lib.Orbit
) -> longer_clips.Numbers:
  """Returns the measurements of clips of classes, judged by `orbits`."""
  half = video_bthwc.shape[1] // 2
  first_b, second_b = (
    is_valid(x, orbits)[0]
    for x in (video_bthwc[:, :half], video_bthwc[:, half:])
  )
  is_valid_b, is_clockwise_b = is_valid(video_bthwc, orbits)
  is_class_b = is_clockwise_b == (label_b == 0)
  values = first_b, second_b, is_valid_b, is_class_b, is_valid_b & is_class_b
  return longer_clips.Numbers(*(float(x.mean()) for x in values))


def is_valid(
  video_bthwc: np.ndarray, orbits: orbit_lib.Orbit
) -> tuple[np.ndarray, np.ndarray]:
  """Returns whether clips are valid, and whether they move clockwise.

  Args:
    video_bthwc: Clips with square frames, as in `saturation.to_levels`.
    orbits: Dataset that defines the period, and the size of objects.
  """
  side = video_bthwc.shape[2]
  regions = saturation.locate(video_bthwc)
  paths = fit_circles(regions.center_bt2, orbits.periods[0])
  low, high = np.array(_DISTANCES) * side
  radius = orbits.radius * side
  mass_bt = regions.mass_bt
  is_valid_b = (
    (paths.error_b <= _LARGEST_ERROR * side)
    & (paths.distance_b >= low)
    & (paths.distance_b <= high)
    & (regions.spread_bt.min(1) >= _SPREADS[0] * radius)
    & (regions.spread_bt.max(1) <= _SPREADS[1] * radius)
    & (mass_bt.min(1) >= _LEAST_SATURATION * radius**2)
    & (mass_bt.max(1) <= _LARGEST_MASS_RATIO * mass_bt.min(1))
    & (_color_drift(video_bthwc) <= _LARGEST_DRIFT)
  )
  return is_valid_b, paths.is_clockwise_b


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


def _color_drift(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns the largest change of the object's colour, in levels of 255."""
  weight_bthw1 = saturation.saturation(video_bthwc)[..., None]
  total_bt1 = np.maximum(weight_bthw1.sum((2, 3)), 1)
  levels = saturation.to_levels(video_bthwc)
  color_btc = (levels * weight_bthw1).sum((2, 3)) / total_bt1
  change_bttc = color_btc[:, :, None] - color_btc[:, None]
  return np.linalg.norm(change_bttc, axis=-1).max((1, 2))


def cheats(
  orbits: orbit_lib.Orbit, num: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Returns clips that must not pass, and their classes, by name.

  Args:
    orbits: Dataset of longer clips to make them from.
    num: Number of clips of each kind.
  """
  video_bthwc, label_b = longer_clips.real_clips(orbits, num)
  wrong = longer_clips.cheats(video_bthwc, label_b)
  wrong |= rough_clips.cheats(video_bthwc)
  period = round(4 / 3 * orbits.periods[0])
  slow = _with_period(orbits, orbits.clip_shape, period)
  return {name: (x, label_b) for name, x in wrong.items()} | {
    'longer period': longer_clips.real_clips(slow, num),
    'other direction': (video_bthwc, 1 - label_b),
  }


if __name__ == '__main__':
  main()

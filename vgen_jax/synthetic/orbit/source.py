"""Long clips of an object on a circle, with a period of whole frames.

Frame i + period equals frame i exactly, so any drift of the period, the colour
or the object in a long generated video is visible.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base
from vgen_jax.synthetic import drawing

_DISTANCES = (0.25, 0.33)  # Radii of orbits, in sides of a frame.


class Truth(NamedTuple):
  """Ground truth of a clip.

  Attributes:
    period: Number of frames of a revolution.
    is_clockwise: Whether the object moves clockwise.
    middle_2: Centre of the orbit, (x, y), in pixels.
    distance: Radius of the orbit, in pixels.
    center_t2: The object's centre in each frame, (x, y), in pixels.
    radius: Half of the object's width, in pixels.
    shape: Name of its shape.
    color: Name of its colour.
    alpha_thw: Fraction of each pixel that the object covers, in [0, 1].
  """

  period: int
  is_clockwise: bool
  middle_2: np.ndarray
  distance: float
  center_t2: np.ndarray
  radius: float
  shape: str
  color: str
  alpha_thw: np.ndarray


class Orbit(base.SyntheticDataset):
  """An object on a circle, at constant speed, in clips of any length.

  Attributes:
    periods: Smallest and largest period, in frames.
    radius: Half of the object's width, in sides of a frame.
    class_names: ('clockwise', 'anticlockwise'), or () without labels.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    periods: tuple[int, int] = (16, 32),
    radius: float = 0.095,
    has_labels: bool = False,
  ):
    """Creates the dataset.

    Args:
      clip_shape: (t, h, w, 3).
      split: One of `base.SPLITS`.
      num_clips: Number of distinct clips.
      seed: Seed of the dataset, below 2**32.
      periods: Smallest and largest period, in frames.
      radius: Half of the object's width, in sides of a frame, from 0.05 to
        0.16. Orbits of large objects are smaller.
      has_labels: Whether clips have a label, the direction of revolution: 0 for
        clockwise, 1 for anticlockwise.

    Raises:
      ValueError: If a period is below 4, or the first is above the second, or
        the radius is out of range.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    checks.in_range('config.data.periods[0]', periods[0], 4, periods[1])
    checks.in_range('config.data.radius', radius, 0.05, 0.16)
    self.periods = tuple(periods)
    self.radius = radius
    if has_labels:
      self.class_names = ('clockwise', 'anticlockwise')

  @property
  def distances(self) -> tuple[float, float]:
    """Smallest and largest radius of an orbit, in pixels."""
    low, high = _DISTANCES
    room = (self.side - 1) / 2 - self.radius * self.side
    return low * self.side, min(high * self.side, room)

  def __getitem__(self, index: int) -> Clip:
    draws = self.rng(index).random(12)
    t, h, w, c = self.clip_shape
    period, center_p2 = self._revolution(draws)
    video_phwc = drawing.gray_background(draws[:4], (period, h, w, c))
    color_c = drawing.COLORS[base.choose(draws[5], drawing.COLOR_NAMES)]
    shape = base.choose(draws[4], drawing.SHAPES)
    drawing.paint(
      video_phwc, shape, self.radius * self.side, center_p2, color_c
    )
    clip = {'video': drawing.to_uint8(video_phwc)[np.arange(t) % period]}
    if self.class_names:
      clip['label'] = np.int32(not _is_clockwise(draws))
    return clip

  def truth(self, index: int) -> Truth:
    """Returns the orbit of clip `index`."""
    draws = self.rng(index).random(12)
    t = self.clip_shape[0]
    period, center_p2 = self._revolution(draws)
    center_t2 = center_p2[np.arange(t) % period]
    radius, shape = (
      self.radius * self.side,
      base.choose(draws[4], drawing.SHAPES),
    )
    middle_2, distance = self._circle(draws)
    return Truth(
      period=period,
      is_clockwise=_is_clockwise(draws),
      middle_2=middle_2,
      distance=distance,
      center_t2=center_t2,
      radius=radius,
      shape=shape,
      color=base.choose(draws[5], drawing.COLOR_NAMES),
      alpha_thw=drawing.coverage(
        shape, radius, center_t2, self.clip_shape[1:3]
      ),
    )

  def _revolution(self, draws: np.ndarray) -> tuple[int, np.ndarray]:
    """Returns the period, and the centres `[period, 2]` of a revolution."""
    low, high = self.periods
    period = low + int(draws[6] * (high - low + 1))
    # As y points down, angles increase clockwise.
    sign = 1 if _is_clockwise(draws) else -1
    phase_p = draws[8] + sign * np.arange(period) / period
    angle_p = 2 * math.pi * phase_p
    middle_2, distance = self._circle(draws)
    unit_p2 = np.stack([np.cos(angle_p), np.sin(angle_p)], axis=1)
    return period, middle_2 + distance * unit_p2

  def _circle(self, draws: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns centre (x, y) and radius of the orbit."""
    _, h, w, _ = self.clip_shape
    distance = base.interpolate(draws[9], *self.distances)
    margin = distance + self.radius * self.side
    free_2 = np.array([w - 1, h - 1]) - 2 * margin
    return margin + draws[10:] * free_2, distance


def _is_clockwise(draws: np.ndarray) -> bool:
  return bool(draws[7] < 0.5)

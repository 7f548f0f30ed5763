"""Long orbits: hundreds of frames of which a period tells all.

Whatever drifts in a long video shows here: the period, the colour, the object
itself. Frame i + period is frame i, bit for bit.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source
from vgen_jax.synthetic.world import variant

_RADIUS = 0.095  # Of the object, in sides of a frame.


class Truth(NamedTuple):
  """What no pixel says outright about a clip.

  Attributes:
    period: Frames in a turn, a whole number.
    is_clockwise: Whether it turns as clocks do.
    middle_2: Of the orbit, (x, y).
    distance: Of the object from the middle, in pixels.
    center_t2: The object's centre in each frame, (x, y).
    radius: Half of the object's width.
    shape: Its name.
    color: Its name.
    alpha_thw: Share of each pixel that the object covers, in [0, 1].
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


class Orbit(variant.SyntheticDataset):
  """An object on a circle, at constant speed, for as long as you like.

  Attributes:
    periods: The least and the most frames in a turn.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    periods: tuple[int, int] = (16, 32),
  ):
    """Describes the world; `periods` are the least and the most frames a turn.

    Raises:
      ValueError: If a turn has less than 4 frames, or `periods` fall.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    variant.check_range('periods[0]', periods[0], 4, periods[1])
    self.periods = tuple(periods)

  def __getitem__(self, index: int) -> Clip:
    draws = self.rng(index).random(12)
    t, h, w, c = self.clip_shape
    period, center_p2 = self._turn(draws)
    video_phwc = variant.grey_ground(draws[:4], (period, h, w, c))
    color_c = source.COLORS[variant.pick(draws[5], variant.COLORS)]
    shape = variant.pick(draws[4], variant.SHAPES)
    variant.paint(video_phwc, shape, _RADIUS * self.side, center_p2, color_c)
    return {'video': variant.finish(video_phwc)[np.arange(t) % period]}

  def truth(self, index: int) -> Truth:
    """Returns the orbit of clip `index`."""
    draws = self.rng(index).random(12)
    t = self.clip_shape[0]
    period, center_p2 = self._turn(draws)
    center_t2 = center_p2[np.arange(t) % period]
    radius, shape = _RADIUS * self.side, variant.pick(draws[4], variant.SHAPES)
    middle_2, distance = self._circle(draws)
    return Truth(
      period=period,
      is_clockwise=bool(draws[7] < 0.5),
      middle_2=middle_2,
      distance=distance,
      center_t2=center_t2,
      radius=radius,
      shape=shape,
      color=variant.pick(draws[5], variant.COLORS),
      alpha_thw=drawing.coverage(
        shape, radius, center_t2, self.clip_shape[1:3]
      ),
    )

  def _turn(self, draws: np.ndarray) -> tuple[int, np.ndarray]:
    """Returns the period, and the centres `[period, 2]` of one turn."""
    low, high = self.periods
    period = low + int(draws[6] * (high - low + 1))
    sense = 1 if draws[7] < 0.5 else -1  # As y goes down, 1 is clockwise.
    turn_p = draws[8] + sense * np.arange(period) / period
    angle_p = 2 * math.pi * turn_p
    middle_2, distance = self._circle(draws)
    unit_p2 = np.stack([np.cos(angle_p), np.sin(angle_p)], axis=1)
    return period, middle_2 + distance * unit_p2

  def _circle(self, draws: np.ndarray) -> tuple[np.ndarray, float]:
    _, h, w, _ = self.clip_shape
    distance = variant.between(draws[9], 0.25, 0.33) * self.side
    margin = distance + _RADIUS * self.side
    room_2 = np.array([w - 1, h - 1]) - 2 * margin
    return margin + draws[10:] * room_2, distance

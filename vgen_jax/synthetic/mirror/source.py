"""Two far objects in opposite phase: only who looks across the frame gets it.

Two discs at opposite edges move along them, and what one does, the other does
the other way round. A network whose field of view is narrower than the frame
cannot learn it.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source
from vgen_jax.synthetic.world import variant

_RADIUS = 0.08  # In sides of a frame.


class Truth(NamedTuple):
  """What no pixel says outright about a clip.

  Attributes:
    center_2t2: The centres in each frame, (x, y), of the object at the left or
      upper edge, and of the other.
    radius: Half of an object's width.
    colors: Their names.
    alpha_2thw: Share of each pixel that each object covers, in [0, 1].
  """

  center_2t2: np.ndarray
  radius: float
  colors: tuple[str, str]
  alpha_2thw: np.ndarray


class Mirror(variant.SyntheticDataset):
  """Two discs swing along opposite edges, one against the other.

  Labels tell the edges: 'upright' are the left and the right one.
  """

  class_names = ('upright', 'level')

  def __getitem__(self, index: int) -> Clip:
    draws, level, centers, colors = self._draw(index)
    video_thwc = variant.grey_ground(draws[:4], self.clip_shape)
    for center_t2, color in zip(centers, colors, strict=True):
      color_c = source.COLORS[color]
      radius = _RADIUS * self.side
      variant.paint(video_thwc, 'circle', radius, center_t2, color_c)
    return {'video': variant.finish(video_thwc), 'label': np.int32(level)}

  def truth(self, index: int) -> Truth:
    """Returns where the two discs of clip `index` are."""
    _, _, centers, colors = self._draw(index)
    radius, frame = _RADIUS * self.side, self.clip_shape[1:3]
    alpha_2thw = np.stack(
      [drawing.coverage('circle', radius, c_t2, frame) for c_t2 in centers]
    )
    return Truth(np.stack(centers), radius, colors, alpha_2thw)

  def _draw(
    self, index: int
  ) -> tuple[np.ndarray, bool, list[np.ndarray], tuple[str, str]]:
    t, h, w, _ = self.clip_shape
    draws = self.rng(index).random(12)
    first = int(draws[4] * 6)
    second = (first + 1 + int(draws[5] * 5)) % 6  # Another one.
    level = bool(draws[6] < 0.5)
    along, across = (w, h) if level else (h, w)
    low = _RADIUS * self.side + 0.5
    swing = variant.between(draws[7], 0.25, 0.34) * self.side
    turns = variant.between(draws[8], 0.75, 1.5)  # Of the swing, in a clip.
    phase = draws[9] + turns * np.arange(t) / t
    swing_t = swing * np.sin(2 * math.pi * phase)
    centers = []
    for sign, draw in ((1, draws[10]), (-1, draws[11])):
      middle = variant.between(draw, low + swing, along - 1 - low - swing)
      along_t = middle + sign * swing_t
      across_t = np.full(t, low if sign > 0 else across - 1 - low)
      pair = (along_t, across_t) if level else (across_t, along_t)
      centers.append(np.stack(pair, axis=1))
    return (
      draws,
      level,
      centers,
      (variant.COLORS[first], variant.COLORS[second]),
    )

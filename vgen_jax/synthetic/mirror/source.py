"""Two distant discs in opposite phase, a test of long-range dependence.

The discs move along opposite edges of the frame, always in opposite directions.
A network whose receptive field is narrower than the frame cannot learn this.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.synthetic import base
from vgen_jax.synthetic import drawing

_RADIUS = 0.08  # In sides of a frame.


class Truth(NamedTuple):
  """Ground truth of a clip.

  Attributes:
    center_2t2: Centres (x, y) in each frame, in pixels, first of the disc at
      the left or upper edge, then of the disc at the opposite edge.
    radius: Half of a disc's width, in pixels.
    colors: Name of each disc's colour, in the same order.
    alpha_2thw: Fraction of each pixel that each disc covers, in [0, 1].
  """

  center_2t2: np.ndarray
  radius: float
  colors: tuple[str, str]
  alpha_2thw: np.ndarray


class Mirror(base.SyntheticDataset):
  """Two discs that oscillate along opposite edges, in opposite phase.

  The label states the edges: 'upright' for left and right, 'level' for upper
  and lower.
  """

  class_names = ('upright', 'level')

  def __getitem__(self, index: int) -> Clip:
    draws, is_level, centers, colors = self._sample(index)
    video_thwc = drawing.gray_background(draws[:4], self.clip_shape)
    for center_t2, color in zip(centers, colors, strict=True):
      color_c = drawing.COLORS[color]
      radius = _RADIUS * self.side
      drawing.paint(video_thwc, 'circle', radius, center_t2, color_c)
    return {'video': drawing.to_uint8(video_thwc), 'label': np.int32(is_level)}

  def truth(self, index: int) -> Truth:
    """Returns the motion of the two discs of clip `index`."""
    _, _, centers, colors = self._sample(index)
    radius, frame = _RADIUS * self.side, self.clip_shape[1:3]
    alpha_2thw = np.stack(
      [drawing.coverage('circle', radius, c_t2, frame) for c_t2 in centers]
    )
    return Truth(np.stack(centers), radius, colors, alpha_2thw)

  def _sample(
    self, index: int
  ) -> tuple[np.ndarray, bool, list[np.ndarray], tuple[str, str]]:
    """Returns uniform numbers, the label, centres, and colours."""
    t, h, w, _ = self.clip_shape
    draws = self.rng(index).random(12)
    first = int(draws[4] * 6)
    second = (first + 1 + int(draws[5] * 5)) % 6
    is_level = bool(draws[6] < 0.5)
    along, across = (w, h) if is_level else (h, w)
    low = _RADIUS * self.side + 0.5
    amplitude = base.interpolate(draws[7], 0.25, 0.34) * self.side
    num_periods = base.interpolate(draws[8], 0.75, 1.5)  # In a clip.
    phase_t = draws[9] + num_periods * np.arange(t) / t
    offset_t = amplitude * np.sin(2 * math.pi * phase_t)
    centers = []
    for sign, draw in ((1, draws[10]), (-1, draws[11])):
      middle = base.interpolate(
        draw, low + amplitude, along - 1 - low - amplitude
      )
      along_t = middle + sign * offset_t
      across_t = np.full(t, low if sign > 0 else across - 1 - low)
      pair = (along_t, across_t) if is_level else (across_t, along_t)
      centers.append(np.stack(pair, axis=1))
    return (
      draws,
      is_level,
      centers,
      (drawing.COLOR_NAMES[first], drawing.COLOR_NAMES[second]),
    )

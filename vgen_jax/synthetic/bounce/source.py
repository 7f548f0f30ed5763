"""Objects that bounce off walls in a random direction, at known times.

The rule is that of stochastic Moving MNIST (Denton and Fergus, "Stochastic
Video Generation with a Learned Prior", 2018, https://arxiv.org/abs/1802.07687):
an object moves straight until it meets a wall and stops there. Then both
components of its velocity are sampled again, such that it leaves the wall.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base
from vgen_jax.synthetic import drawing

_RADIUS = 0.085  # In sides of a frame.
_MAX_SPEED = 1.5  # In sides of a frame per clip and axis.


class Truth(NamedTuple):
  """Ground truth of a clip; n counts its objects.

  Attributes:
    center_nt2: Each object's centre in each frame, (x, y), in pixels.
    velocity_nt2: Its velocity (x, y) after each frame, in pixels per frame.
    contact_nt: Whether it meets a wall in this frame, so that its velocity is
      sampled again, bool.
    radius: Half of an object's width, in pixels.
    colors: Name of each object's colour; a later object hides an earlier one.
    alpha_nthw: Fraction of each pixel that each object covers, in [0, 1].
  """

  center_nt2: np.ndarray
  velocity_nt2: np.ndarray
  contact_nt: np.ndarray
  radius: float
  colors: tuple[str, ...]
  alpha_nthw: np.ndarray


class Bounce(base.SyntheticDataset):
  """Discs of different colours that bounce randomly off the walls.

  Attributes:
    num_objects: Number of discs in a clip.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    num_objects: int = 1,
  ):
    """Creates the dataset.

    Args:
      clip_shape: (t, h, w, 3).
      split: One of `base.SPLITS`.
      num_clips: Number of distinct clips.
      seed: Seed of the dataset, below 2**32.
      num_objects: Number of discs in a clip, from 1 to 6.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    checks.in_range(
      'config.data.num_objects', num_objects, 1, len(drawing.COLOR_NAMES)
    )
    self.num_objects = num_objects

  def __getitem__(self, index: int) -> Clip:
    background_4, colors, motions = self._sample(index)
    video_thwc = drawing.gray_background(background_4, self.clip_shape)
    for color, (center_t2, _, _) in zip(colors, motions, strict=True):
      color_c = drawing.COLORS[color]
      radius = _RADIUS * self.side
      drawing.paint(video_thwc, 'circle', radius, center_t2, color_c)
    return {'video': drawing.to_uint8(video_thwc)}

  def truth(self, index: int) -> Truth:
    """Returns the motion of the discs of clip `index`, and their contacts."""
    _, colors, motions = self._sample(index)
    center_nt2, velocity_nt2, contact_nt = map(
      np.array, zip(*motions, strict=True)
    )
    radius, frame = _RADIUS * self.side, self.clip_shape[1:3]
    alpha_nthw = np.stack(
      [drawing.coverage('circle', radius, c_t2, frame) for c_t2 in center_nt2]
    )
    return Truth(
      center_nt2, velocity_nt2, contact_nt, radius, colors, alpha_nthw
    )

  def _sample(self, index: int) -> tuple[np.ndarray, tuple[str, ...], list]:
    """Returns numbers for the background, names of colours, and motions.

    The numbers are uniform in [0, 1). The motion of an object is what `_motion`
    returns.
    """
    rng = self.rng(index)
    background_4 = rng.random(4)
    order = np.argsort(rng.random(len(drawing.COLOR_NAMES)))[: self.num_objects]
    colors = tuple(drawing.COLOR_NAMES[i] for i in order)
    draws_nk = rng.random((self.num_objects, 4 + 2 * self.clip_shape[0]))
    return background_4, colors, [self._motion(d) for d in draws_nk.tolist()]

  def _motion(
    self, draws: list[float]
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns centres `[t, 2]`, velocities `[t, 2]` and contacts `[t]`."""
    t, h, w, _ = self.clip_shape
    low = _RADIUS * self.side
    highs = (w - 1 - low, h - 1 - low)
    max_speed = _MAX_SPEED * self.side / t
    position = [base.interpolate(draws[i], low, highs[i]) for i in (0, 1)]
    angle, speed = 2 * math.pi * draws[2], base.interpolate(draws[3], 0.6, 1)
    velocity = [max_speed * speed * math.cos(angle), 0]
    velocity[1] = max_speed * speed * math.sin(angle)
    positions, velocities, contacts = (
      [tuple(position)],
      [tuple(velocity)],
      [False],
    )
    for i in range(1, t):
      straight = [p + v for p, v in zip(position, velocity, strict=True)]
      position = [min(max(straight[k], low), highs[k]) for k in (0, 1)]
      contact = position != straight
      if contact:
        for k in (0, 1):
          draw = draws[4 + 2 * i + k]
          if position[k] == straight[k]:  # No wall along this axis.
            velocity[k] = max_speed * base.interpolate(draw, -1, 1)
          else:
            inwards = 1 if position[k] == low else -1
            velocity[k] = max_speed * base.interpolate(draw, 0.5, 1) * inwards
      positions.append(tuple(position))
      velocities.append(tuple(velocity))
      contacts.append(contact)
    return np.array(positions), np.array(velocities), np.array(contacts)

"""Objects that leave a wall in a random direction: chance at a time known.

The rule is that of stochastic Moving MNIST (Denton and Fergus, "Stochastic
Video Generation with a Learned Prior", 2018, https://arxiv.org/abs/1802.07687):
motion is straight until a wall is met, where an object stops, and both
components of its velocity are drawn anew, the one across the wall inwards.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source
from vgen_jax.synthetic.world import variant

_RADIUS = 0.085  # In sides of a frame.
_SPEED = 1.5  # The fastest, in sides of a frame per clip and axis.


class Truth(NamedTuple):
  """What no pixel says outright about a clip; n counts its objects.

  Attributes:
    center_nt2: Each object's centre in each frame, (x, y).
    velocity_nt2: With which it leaves each frame, in pixels per frame.
    contact_nt: Whether it stands at a wall that it met in this frame, so that
      its velocity was drawn anew.
    radius: Half of an object's width.
    colors: Their names; a later object hides an earlier one.
    alpha_nthw: Share of each pixel that each object covers, in [0, 1].
  """

  center_nt2: np.ndarray
  velocity_nt2: np.ndarray
  contact_nt: np.ndarray
  radius: float
  colors: tuple[str, ...]
  alpha_nthw: np.ndarray


class Bounce(variant.SyntheticDataset):
  """Discs of different colours that bounce at random off the walls.

  Attributes:
    num_objects: Discs in a clip.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    num_objects: int = 1,
  ):
    """Describes the world; `num_objects` is from 1 to 6."""
    super().__init__(clip_shape, split, num_clips, seed)
    variant.check_range('num_objects', num_objects, 1, len(variant.COLORS))
    self.num_objects = num_objects

  def __getitem__(self, index: int) -> Clip:
    ground_4, colors, motions = self._draw(index)
    video_thwc = variant.grey_ground(ground_4, self.clip_shape)
    for color, (center_t2, _, _) in zip(colors, motions, strict=True):
      color_c = source.COLORS[color]
      radius = _RADIUS * self.side
      variant.paint(video_thwc, 'circle', radius, center_t2, color_c)
    return {'video': variant.finish(video_thwc)}

  def truth(self, index: int) -> Truth:
    """Returns where the discs of clip `index` go, and when they meet walls."""
    _, colors, motions = self._draw(index)
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

  def _draw(self, index: int) -> tuple[np.ndarray, tuple[str, ...], list]:
    rng = self.rng(index)
    ground_4 = rng.random(4)
    order = np.argsort(rng.random(len(variant.COLORS)))[: self.num_objects]
    colors = tuple(variant.COLORS[i] for i in order)
    draws_nk = rng.random((self.num_objects, 4 + 2 * self.clip_shape[0]))
    return ground_4, colors, [self._motion(d) for d in draws_nk.tolist()]

  def _motion(
    self, draws: list[float]
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns centres `[t, 2]`, velocities `[t, 2]` and contacts `[t]`."""
    t, h, w, _ = self.clip_shape
    low = _RADIUS * self.side
    highs = (w - 1 - low, h - 1 - low)
    fastest = _SPEED * self.side / t
    place = [variant.between(draws[i], low, highs[i]) for i in (0, 1)]
    angle, speed = 2 * math.pi * draws[2], variant.between(draws[3], 0.6, 1)
    velocity = [fastest * speed * math.cos(angle), 0]
    velocity[1] = fastest * speed * math.sin(angle)
    places, velocities, contacts = [tuple(place)], [tuple(velocity)], [False]
    for i in range(1, t):
      straight = [p + v for p, v in zip(place, velocity, strict=True)]
      place = [min(max(straight[k], low), highs[k]) for k in (0, 1)]
      contact = place != straight
      if contact:
        for k in (0, 1):
          draw = draws[4 + 2 * i + k]
          if place[k] == straight[k]:  # Along this axis it may go anywhere.
            velocity[k] = fastest * variant.between(draw, -1, 1)
          else:
            inwards = 1 if place[k] == low else -1
            velocity[k] = fastest * variant.between(draw, 0.5, 1) * inwards
      places.append(tuple(place))
      velocities.append(tuple(velocity))
      contacts.append(contact)
    return np.array(places), np.array(velocities), np.array(contacts)

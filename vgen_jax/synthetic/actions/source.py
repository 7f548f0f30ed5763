"""A world to act in: the action of a frame moves the object to the next.

`action` is float32 `[t, 2]`: action i, (right, down) in [-1, 1], leads from
frame i to frame i + 1; the last one leads out of the clip. Walls stop the
object.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source
from vgen_jax.synthetic.world import variant

_RADIUS = 0.08  # In sides of a frame.
_WAY = 1.0  # Of as many actions of 1 as there are frames, in sides of a frame.
_TRIES = 100  # At a walk that leads somewhere; two are enough, mostly.
_STAY = 0.6  # How often an action is that of the frame before.
MOVES = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1))  # (right, down).


class Truth(NamedTuple):
  """What no pixel says outright about a clip.

  Attributes:
    center_t2: The object's centre in each frame, (x, y).
    action_t2: As in the clip.
    stopped_t: Whether a wall cut short the way from this frame to the next.
    step: How far an action of 1 leads, in pixels.
    radius: Half of the object's width.
    shape: Its name.
    color: Its name.
    alpha_thw: Share of each pixel that the object covers, in [0, 1].
  """

  center_t2: np.ndarray
  action_t2: np.ndarray
  stopped_t: np.ndarray
  step: float
  radius: float
  shape: str
  color: str
  alpha_thw: np.ndarray


class Actions(variant.SyntheticDataset):
  """An object that does as it is told: it rests, or goes one step a frame.

  Actions often last for some frames. A walk that leads no further than two
  widths of the object, along x or y, is drawn again: it would hardly be motion.

  Attributes:
    continuous: Whether actions are velocities of any direction, as long as 1 at
      most; if not, they are among `MOVES`.
    step: How far an action of 1 leads, in pixels.
  """

  action_width = 2

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    continuous: bool = False,
  ):
    """Describes the world."""
    super().__init__(clip_shape, split, num_clips, seed)
    self.continuous = continuous
    self.step = _WAY * self.side / clip_shape[0]

  def __getitem__(self, index: int) -> Clip:
    draws, action_t2, center_t2 = self._draw(index)
    video_thwc = variant.grey_ground(draws[:4], self.clip_shape)
    shape, color = _look(draws)
    color_c = source.COLORS[color]
    variant.paint(video_thwc, shape, _RADIUS * self.side, center_t2, color_c)
    return {'video': variant.finish(video_thwc), 'action': action_t2}

  def truth(self, index: int) -> Truth:
    """Returns where the object of clip `index` goes, and what it was told."""
    draws, action_t2, center_t2 = self._draw(index)
    shape, color = _look(draws)
    radius = _RADIUS * self.side
    alpha_thw = drawing.coverage(shape, radius, center_t2, self.clip_shape[1:3])
    return Truth(
      center_t2=center_t2,
      action_t2=action_t2,
      stopped_t=self._stopped(center_t2, action_t2 * self.step),
      step=self.step,
      radius=radius,
      shape=shape,
      color=color,
      alpha_thw=alpha_thw,
    )

  def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns draws, actions `[t, 2]` and centres `[t, 2]`."""
    rng = self.rng(index)
    draws = rng.random(6)
    for _ in range(_TRIES):
      action_t2 = self._actions(rng)
      center_t2 = self._walk(rng.random(2), action_t2)
      if np.ptp(center_t2, axis=0).max() > 4 * _RADIUS * self.side:
        break
    return draws, action_t2, center_t2

  def _actions(self, rng: np.random.Generator) -> np.ndarray:
    t = self.clip_shape[0]
    draws_t3 = rng.random((t, 3))
    # An action lasts: each frame has that of the last frame which chose one.
    chose_t = np.where(draws_t3[:, 0] >= _STAY, np.arange(t), 0)
    draws_t3 = draws_t3[np.maximum.accumulate(chose_t)]
    if self.continuous:
      angle_t = 2 * math.pi * draws_t3[:, 1]
      unit_t2 = np.stack([np.cos(angle_t), np.sin(angle_t)], axis=1)
      action_t2 = np.sqrt(draws_t3[:, 2:]) * unit_t2
    else:
      action_t2 = np.array(MOVES)[(draws_t3[:, 1] * len(MOVES)).astype(int)]
    return action_t2.astype(np.float32)

  def _walk(self, start_2: np.ndarray, action_t2: np.ndarray) -> np.ndarray:
    low_2, high_2 = self._walls()
    place = (low_2 + start_2 * (high_2 - low_2)).tolist()
    moves = (action_t2.astype(float) * self.step).tolist()
    low, high = low_2.tolist(), high_2.tolist()
    center = [place]
    for move in moves[:-1]:
      place = [min(max(place[k] + move[k], low[k]), high[k]) for k in (0, 1)]
      center.append(place)
    return np.array(center)

  def _stopped(self, center_t2: np.ndarray, move_t2: np.ndarray) -> np.ndarray:
    low_2, high_2 = self._walls()
    free_t2 = center_t2 + move_t2
    return ((free_t2 < low_2 - 1e-9) | (free_t2 > high_2 + 1e-9)).any(1)

  def _walls(self) -> tuple[np.ndarray, np.ndarray]:
    _, h, w, _ = self.clip_shape
    low_2 = np.full(2, _RADIUS * self.side)
    return low_2, np.array([w - 1, h - 1]) - low_2


def _look(draws: np.ndarray) -> tuple[str, str]:
  return variant.pick(draws[4], variant.SHAPES), variant.pick(
    draws[5], variant.COLORS
  )

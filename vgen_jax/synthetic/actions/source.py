"""An object controlled by actions: each action moves it to the next frame.

`action` is float32 `[t, 2]`: action i, (right, down) in [-1, 1], moves the
object from frame i to frame i + 1. The motion of the last action is not shown,
because the clip ends before. Walls stop the object.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base
from vgen_jax.synthetic import bounces
from vgen_jax.synthetic import drawing

_RADIUS = 0.08  # In sides of a frame.
_DISTANCE = 1.0  # Sides of a frame covered by t actions of length 1.
_MAX_TRIES = 100  # Random walks to try; two are usually enough.
_PERSISTENCE = 0.6  # Probability that an action repeats the previous one.
MOVES = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1))  # (right, down).


class Truth(NamedTuple):
  """Ground truth of a clip.

  Attributes:
    center_t2: The object's centre in each frame, (x, y), in pixels.
    action_t2: Actions (right, down), as in the clip.
    stopped_t: Whether a wall stops the object between this frame and the next,
      bool.
    step: Distance that an action of length 1 moves the object, in pixels.
    radius: Half of the object's width, in pixels.
    shape: Name of its shape.
    color: Name of its colour.
    alpha_thw: Fraction of each pixel that the object covers, in [0, 1].
  """

  center_t2: np.ndarray
  action_t2: np.ndarray
  stopped_t: np.ndarray
  step: float
  radius: float
  shape: str
  color: str
  alpha_thw: np.ndarray


class Actions(base.SyntheticDataset):
  """An object that each action moves by at most `step` pixels, or not at all.

  Actions often persist for some frames. A walk that stays within two widths of
  the object along both axes is rejected, because it hardly moves.

  Attributes:
    continuous: Whether actions are velocities of any direction, of length 1 at
      most; if not, they are among `MOVES`.
    step: Distance that an action of length 1 moves the object, in pixels.
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
    """Creates the dataset.

    Args:
      clip_shape: (t, h, w, 3).
      split: One of `base.SPLITS`.
      num_clips: Number of distinct clips.
      seed: Seed of the dataset, below 2**32.
      continuous: Whether actions are velocities of any direction.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    self.continuous = continuous
    self.step = _DISTANCE * self.side / clip_shape[0]

  @property
  def radius(self) -> float:
    """Half of the object's width, in pixels."""
    return _RADIUS * self.side

  def __getitem__(self, index: int) -> Clip:
    draws, action_t2, center_t2 = self._sample(index)
    video_thwc = drawing.gray_background(draws[:4], self.clip_shape)
    shape, color = _appearance(draws)
    color_c = drawing.COLORS[color]
    drawing.paint(video_thwc, shape, self.radius, center_t2, color_c)
    return {'video': drawing.to_uint8(video_thwc), 'action': action_t2}

  def truth(self, index: int) -> Truth:
    """Returns the motion of the object in clip `index`, and its actions."""
    draws, action_t2, center_t2 = self._sample(index)
    shape, color = _appearance(draws)
    frame = self.clip_shape[1:3]
    return Truth(
      center_t2=center_t2,
      action_t2=action_t2,
      stopped_t=self._stopped(center_t2, action_t2 * self.step),
      step=self.step,
      radius=self.radius,
      shape=shape,
      color=color,
      alpha_thw=drawing.coverage(shape, self.radius, center_t2, frame),
    )

  def _sample(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns uniform numbers, actions `[t, 2]` and centres `[t, 2]`."""
    rng = self.rng(index)
    draws = rng.random(6)
    for _ in range(_MAX_TRIES):
      action_t2 = self._sample_actions(rng)
      center_t2 = self._walk(rng.random(2), action_t2)
      if np.ptp(center_t2, axis=0).max() > 4 * self.radius:
        break
    return draws, action_t2, center_t2

  def _sample_actions(self, rng: np.random.Generator) -> np.ndarray:
    t = self.clip_shape[0]
    draws_t3 = rng.random((t, 3))
    # Each frame has the action of the last frame that chose a new one.
    chosen_t = np.where(draws_t3[:, 0] >= _PERSISTENCE, np.arange(t), 0)
    draws_t3 = draws_t3[np.maximum.accumulate(chosen_t)]
    if self.continuous:
      angle_t = 2 * math.pi * draws_t3[:, 1]
      unit_t2 = np.stack([np.cos(angle_t), np.sin(angle_t)], axis=1)
      action_t2 = np.sqrt(draws_t3[:, 2:]) * unit_t2
    else:
      action_t2 = np.array(MOVES)[(draws_t3[:, 1] * len(MOVES)).astype(int)]
    return action_t2.astype(np.float32)

  def _walk(self, draws_2: np.ndarray, action_t2: np.ndarray) -> np.ndarray:
    """Returns centres `[t, 2]`; walls stop the object."""
    low_2, high_2 = self._wall_limits()
    position = (low_2 + draws_2 * (high_2 - low_2)).tolist()
    moves = (action_t2.astype(float) * self.step).tolist()
    low, high = low_2.tolist(), high_2.tolist()
    centers = [position]
    for move in moves[:-1]:
      position = [
        min(max(position[k] + move[k], low[k]), high[k]) for k in (0, 1)
      ]
      centers.append(position)
    return np.array(centers)

  def _stopped(self, center_t2: np.ndarray, move_t2: np.ndarray) -> np.ndarray:
    low_2, high_2 = self._wall_limits()
    free_t2 = center_t2 + move_t2
    return ((free_t2 < low_2 - 1e-9) | (free_t2 > high_2 + 1e-9)).any(1)

  def _wall_limits(self) -> tuple[np.ndarray, np.ndarray]:
    return bounces.wall_limits(self.radius, self.clip_shape[1:3])


def _appearance(draws: np.ndarray) -> tuple[str, str]:
  """Returns the object's shape and colour."""
  shape = base.choose(draws[4], drawing.SHAPES)
  return shape, base.choose(draws[5], drawing.COLOR_NAMES)

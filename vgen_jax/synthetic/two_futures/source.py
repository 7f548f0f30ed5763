"""Worlds whose past has several futures: a model must draw all, not a mean.

Up to the fork the frames say nothing of what comes; from it on, they do. So the
past of a clip can be continued with each of its futures, by `future`.
"""

import abc
import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source
from vgen_jax.synthetic.world import variant

_RADIUS = 0.08  # In sides of a frame.


class Truth(NamedTuple):
  """What no pixel says outright about a clip.

  Attributes:
    branch: Which future it is, from 0.
    fork: The first frame in which the futures differ.
    center_t2: The object's centre in each frame, (x, y).
    radius: Half of the object's width.
    color: Its name.
    alpha_thw: Share of each pixel that the object covers, in [0, 1].
  """

  branch: int
  fork: int
  center_t2: np.ndarray
  radius: float
  color: str
  alpha_thw: np.ndarray


class _Fork(variant.SyntheticDataset):
  """A disc over a still, grey ground; where it goes is drawn at the fork."""

  weights: tuple[float, ...]

  def __getitem__(self, index: int) -> Clip:
    return {'video': self.future(index, self.branch(index))}

  def branch(self, index: int) -> int:
    """Returns which future clip `index` shows."""
    edges = np.cumsum(self.weights)[:-1]
    # A stream of its own: nothing else in the clip can tell of it.
    return int(np.searchsorted(edges, self.rng(index, 1).random(), 'right'))

  def future(self, index: int, branch: int) -> np.ndarray:
    """Returns the video of clip `index`, had its future been `branch`."""
    draws, center_t2, _ = self._draw(index, branch)
    video_thwc = variant.grey_ground(draws[:4], self.clip_shape)
    color_c = source.COLORS[variant.pick(draws[4], variant.COLORS)]
    variant.paint(video_thwc, 'circle', _RADIUS * self.side, center_t2, color_c)
    return variant.finish(video_thwc)

  def truth(self, index: int) -> Truth:
    """Returns the branch of clip `index`, and where the object goes."""
    branch = self.branch(index)
    draws, center_t2, fork = self._draw(index, branch)
    radius = _RADIUS * self.side
    alpha_thw = drawing.coverage(
      'circle', radius, center_t2, self.clip_shape[1:3]
    )
    color = variant.pick(draws[4], variant.COLORS)
    return Truth(branch, fork, center_t2, radius, color, alpha_thw)

  def _draw(
    self, index: int, branch: int
  ) -> tuple[np.ndarray, np.ndarray, int]:
    if not 0 <= branch < len(self.weights):
      raise ValueError(
        f'branch is {branch}; it must be from 0 to {len(self.weights) - 1}.'
      )
    draws = self.rng(index).random(8)
    return draws, *self._path(draws[5:], branch)

  @abc.abstractmethod
  def _path(self, draws_3: np.ndarray, branch: int) -> tuple[np.ndarray, int]:
    """Returns centres `[t, 2]`, and the first frame that tells the branch."""


class TwoFutures(_Fork):
  """A disc goes up, and from a planted frame on to the left or to the right.

  Attributes:
    fork: The first frame in which the futures differ.
    weights: How often it goes (left, right).
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    fork: int | None = None,
    weights: tuple[float, float] = (0.5, 0.5),
  ):
    """Describes the world.

    Args: as those of `base.SyntheticDataset`, and
      fork: The first frame in which the futures differ; None takes 3/8 of t.
      weights: How often the disc goes (left, right).

    Raises:
      ValueError: If the fork is no frame with a past, or weights do not add up.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    self.fork = clip_shape[0] * 3 // 8 if fork is None else fork
    variant.check_range('fork', self.fork, 1, clip_shape[0] - 1)
    self.weights = _checked(weights, 2)

  def _path(self, draws_3: np.ndarray, branch: int) -> tuple[np.ndarray, int]:
    t, h, w, _ = self.clip_shape
    frame_t = np.arange(t)
    start_x = variant.between(draws_3[0], 0.45, 0.55) * (w - 1)
    start_y = variant.between(draws_3[1], 0.72, 0.82) * (h - 1)
    up = 0.4 * self.side / self.fork
    aside = 0.3 * self.side / (t - self.fork) * (-1, 1)[branch]
    x_t = start_x + aside * np.maximum(frame_t - self.fork + 1, 0)
    y_t = start_y - up * np.minimum(frame_t, self.fork - 1)
    return np.stack([x_t, y_t], axis=1), self.fork


class ThreeFutures(_Fork):
  """A disc goes right, and leaves the wall in one of three directions.

  The wall is met after about 3/8 of the frames; the speed stays the same.

  Attributes:
    weights: How often the disc goes back (straight, downwards, upwards).
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    weights: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3),
  ):
    """Describes the world.

    Args: as those of `base.SyntheticDataset`, and
      weights: How often the disc goes back (straight, downwards, upwards).

    Raises:
      ValueError: If the weights do not add up.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    self.weights = _checked(weights, 3)

  def _path(self, draws_3: np.ndarray, branch: int) -> tuple[np.ndarray, int]:
    t, h, w, _ = self.clip_shape
    radius = _RADIUS * self.side
    hit = t * 3 // 8 + int(draws_3[0] * 2)  # At this frame it is at the wall.
    y = variant.between(draws_3[1], 0.31, 0.69) * (h - 1)
    speed = 0.75 * self.side / t
    angle = (0.0, math.pi / 4, -math.pi / 4)[branch]
    before_t = np.minimum(np.arange(t) - hit, 0) * speed
    after_t = np.maximum(np.arange(t) - hit, 0) * speed
    x_t = w - 1 - radius + before_t - math.cos(angle) * after_t
    y_t = y + math.sin(angle) * after_t
    center_t2 = np.stack([x_t, y_t], axis=1)
    high_2 = np.array([w - 1 - radius, h - 1 - radius])
    return source.fold(center_t2, np.full(2, radius), high_2), hit + 1


def _checked(weights: tuple[float, ...], number: int) -> tuple[float, ...]:
  weights = tuple(weights)
  sound = len(weights) == number and min(weights) >= 0
  if not sound or not math.isclose(sum(weights), 1):
    raise ValueError(
      f'config.data.weights is {weights}; it must be {number} numbers, 0 or'
      ' more, that add up to 1.'
    )
  return weights

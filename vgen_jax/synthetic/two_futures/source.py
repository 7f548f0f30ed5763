"""Clips whose past has several futures: a model must generate all of them.

The frames before the fork do not depend on the future; those from the fork on
do. The past of a clip can be continued with each of its futures, by `future`.
"""

import abc
import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base
from vgen_jax.synthetic import bounces
from vgen_jax.synthetic import drawing

_RADIUS = 0.08  # In sides of a frame.


class Truth(NamedTuple):
  """Ground truth of a clip.

  Attributes:
    branch: Index of the future that the clip shows.
    fork: First frame in which the futures differ.
    center_t2: The object's centre in each frame, (x, y), in pixels.
    radius: Half of the object's width, in pixels.
    color: Name of its colour.
    alpha_thw: Fraction of each pixel that the object covers, in [0, 1].
  """

  branch: int
  fork: int
  center_t2: np.ndarray
  radius: float
  color: str
  alpha_thw: np.ndarray


class _Fork(base.SyntheticDataset):
  """A disc on a static background, whose path is random from the fork on.

  Attributes:
    weights: Probability of each future.
  """

  weights: tuple[float, ...]

  @property
  def radius(self) -> float:
    """Half of the object's width, in pixels."""
    return _RADIUS * self.side

  def __getitem__(self, index: int) -> Clip:
    return {'video': self.future(index, self.branch(index))}

  def branch(self, index: int) -> int:
    """Returns the index of the future that clip `index` shows."""
    edges = np.cumsum(self.weights)[:-1]
    # A separate stream, so that nothing else in the clip depends on it.
    return int(np.searchsorted(edges, self.rng(index, 1).random(), 'right'))

  def future(self, index: int, branch: int) -> np.ndarray:
    """Returns the video of clip `index` with future number `branch`, uint8."""
    draws, center_t2, _ = self._sample(index, branch)
    video_thwc = drawing.gray_background(draws[:4], self.clip_shape)
    color_c = drawing.COLORS[_color(draws)]
    drawing.paint(video_thwc, 'circle', self.radius, center_t2, color_c)
    return drawing.to_uint8(video_thwc)

  def truth(self, index: int) -> Truth:
    """Returns the future of clip `index`, and the motion of the object."""
    branch = self.branch(index)
    draws, center_t2, fork = self._sample(index, branch)
    alpha_thw = drawing.coverage(
      'circle', self.radius, center_t2, self.clip_shape[1:3]
    )
    return Truth(branch, fork, center_t2, self.radius, _color(draws), alpha_thw)

  def _sample(
    self, index: int, branch: int
  ) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns uniform numbers, centres `[t, 2]`, and the fork."""
    checks.in_range('branch', branch, 0, len(self.weights) - 1)
    draws = self.rng(index).random(8)
    return draws, *self._path(draws[5:], branch)

  @abc.abstractmethod
  def _path(self, draws_3: np.ndarray, branch: int) -> tuple[np.ndarray, int]:
    """Returns centres `[t, 2]`, and the first frame that shows the branch."""


class TwoFutures(_Fork):
  """A disc moves up, and from a known frame on to the left or to the right.

  Attributes:
    fork: First frame in which the futures differ.
    weights: Probabilities of (left, right).
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
    """Creates the dataset.

    Args:
      clip_shape: (t, h, w, 3).
      split: One of `base.SPLITS`.
      num_clips: Number of distinct clips.
      seed: Seed of the dataset, below 2**32.
      fork: First frame in which the futures differ; None for 3/8 of t.
      weights: Probabilities of (left, right).

    Raises:
      ValueError: If the fork is out of range, or weights do not add up to 1.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    self.fork = clip_shape[0] * 3 // 8 if fork is None else fork
    checks.in_range('config.data.fork', self.fork, 1, clip_shape[0] - 1)
    self.weights = _probabilities(weights, 2)

  def _path(self, draws_3: np.ndarray, branch: int) -> tuple[np.ndarray, int]:
    t, h, w, _ = self.clip_shape
    frame_t = np.arange(t)
    start_x = base.interpolate(draws_3[0], 0.45, 0.55) * (w - 1)
    start_y = base.interpolate(draws_3[1], 0.72, 0.82) * (h - 1)
    up = 0.4 * self.side / self.fork
    sideways = 0.3 * self.side / (t - self.fork) * (-1, 1)[branch]
    x_t = start_x + sideways * np.maximum(frame_t - self.fork + 1, 0)
    y_t = start_y - up * np.minimum(frame_t, self.fork - 1)
    return np.stack([x_t, y_t], axis=1), self.fork


class ThreeFutures(_Fork):
  """A disc moves to a wall, and returns from it in one of three directions.

  The disc meets the right wall after about 3/8 of the frames; its speed is
  constant.

  Attributes:
    weights: Probabilities of returning (straight, downwards, upwards).
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    weights: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3),
  ):
    """Creates the dataset.

    Args:
      clip_shape: (t, h, w, 3).
      split: One of `base.SPLITS`.
      num_clips: Number of distinct clips.
      seed: Seed of the dataset, below 2**32.
      weights: Probabilities of returning (straight, downwards, upwards).

    Raises:
      ValueError: If the weights do not add up to 1.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    self.weights = _probabilities(weights, 3)

  def _path(self, draws_3: np.ndarray, branch: int) -> tuple[np.ndarray, int]:
    t, h, w, _ = self.clip_shape
    # The object is at the wall in this frame.
    hit = t * 3 // 8 + int(draws_3[0] * 2)
    y = base.interpolate(draws_3[1], 0.31, 0.69) * (h - 1)
    speed = 0.75 * self.side / t
    angle = (0.0, math.pi / 4, -math.pi / 4)[branch]
    before_t = np.minimum(np.arange(t) - hit, 0) * speed
    after_t = np.maximum(np.arange(t) - hit, 0) * speed
    x_t = w - 1 - self.radius + before_t - math.cos(angle) * after_t
    y_t = y + math.sin(angle) * after_t
    center_t2 = np.stack([x_t, y_t], axis=1)
    limits = bounces.wall_limits(self.radius, (h, w))
    return bounces.fold(center_t2, *limits), hit + 1


def _color(draws: np.ndarray) -> str:
  return base.choose(draws[4], drawing.COLOR_NAMES)


def _probabilities(weights: tuple[float, ...], num: int) -> tuple[float, ...]:
  weights = tuple(weights)
  is_valid = len(weights) == num and min(weights) >= 0
  if not is_valid or not math.isclose(sum(weights), 1):
    raise ValueError(
      f'config.data.weights is {weights}; it must be {num} numbers, each at'
      ' least 0, that add up to 1.'
    )
  return weights

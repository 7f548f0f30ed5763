"""Baseline predictors without training; a useful model is better than these."""

from typing import NamedTuple

import numpy as np


def copy_last(context_bthwc: np.ndarray, num_frames: int) -> np.ndarray:
  """Returns the last known frame, repeated `num_frames` times."""
  return np.repeat(context_bthwc[:, -1:], num_frames, axis=1)


class DynamicTexture(NamedTuple):
  """A linear dynamical system that generates a video.

  Frames are `mean + observation @ state`; the next state is
  `transition @ state` plus noise. It is fitted in closed form, by a singular
  value decomposition.

  Attributes:
    mean_p: Mean frame, of p values.
    observation_pd: Matrix that maps a state, a vector of d numbers, to a frame
      minus the mean; its columns are orthonormal.
    transition_dd: Matrix that maps a state to the next one.
    noise_dd: Square root of the covariance of the noise.
    last_d: State of the last frame.
    frame_shape: Shape of a frame, (h, w, c).

  Source: Doretto, Chiuso, Wu, Soatto, "Dynamic Textures", 2003, International
  Journal of Computer Vision 51.
  """

  mean_p: np.ndarray
  observation_pd: np.ndarray
  transition_dd: np.ndarray
  noise_dd: np.ndarray
  last_d: np.ndarray
  frame_shape: tuple[int, int, int]

  @classmethod
  def fit(cls, video_thwc: np.ndarray, num_states: int) -> 'DynamicTexture':
    """Returns the system that fits one video.

    Args:
      video_thwc: Float frames.
      num_states: Width of a state, d, from 1 to t - 2.

    Raises:
      ValueError: If `num_states` is not from 1 to t - 2.
    """
    t = len(video_thwc)
    if not 1 <= num_states <= t - 2:
      raise ValueError(
        f'num_states is {num_states}; for {t} frames it must be from 1 to'
        f' {t - 2}.'
      )
    frames_tp = video_thwc.reshape(t, -1).astype(np.float64)
    mean_p = frames_tp.mean(0)
    left, size, right = np.linalg.svd(frames_tp - mean_p, full_matrices=False)
    states_td = left[:, :num_states] * size[:num_states]
    transition_dd = np.linalg.lstsq(states_td[:-1], states_td[1:], rcond=None)[
      0
    ].T
    residual_td = states_td[1:] - states_td[:-1] @ transition_dd.T
    values, vectors = np.linalg.eigh(
      residual_td.T @ residual_td / len(residual_td)
    )
    return cls(
      mean_p=mean_p,
      observation_pd=right[:num_states].T,
      transition_dd=transition_dd,
      noise_dd=vectors * np.sqrt(np.maximum(values, 0)),
      last_d=states_td[-1],
      frame_shape=video_thwc.shape[1:],
    )

  def extrapolate(
    self, num_frames: int, rng: np.random.Generator | None = None
  ) -> np.ndarray:
    """Returns the next frames, float64 `[num_frames, h, w, c]`.

    Args:
      num_frames: Number of frames.
      rng: Generator of the noise of the states; None for no noise.
    """
    state_d, frames = self.last_d, []
    for _ in range(num_frames):
      state_d = self.transition_dd @ state_d
      if rng is not None:
        state_d = state_d + self.noise_dd @ rng.standard_normal(len(state_d))
      frames.append(self.mean_p + self.observation_pd @ state_d)
    return np.stack(frames).reshape(num_frames, *self.frame_shape)


def linear(
  context_bthwc: np.ndarray, num_frames: int, num_states: int
) -> np.ndarray:
  """Returns the frames that a `DynamicTexture` of each context predicts.

  Args:
    context_bthwc: Known frames, uint8.
    num_frames: Number of frames to predict after them.
    num_states: Width of a state of the linear system, from 1 to t - 2.

  Returns:
    Frames, float64 `[b, num_frames, h, w, c]`; they may be outside of [0, 255].
  """
  return np.stack(
    [
      DynamicTexture.fit(video, num_states).extrapolate(num_frames)
      for video in context_bthwc
    ]
  )


class VideoTexture:
  """An endless video, composed of the frames of a finite one.

  Any frame j may follow frame i. The cost is the squared distance of frame j to
  frame i + 1, averaged over the frames around both, so that motion matches too.
  The cheapest paths are found by dynamic programming: the costs of the best
  paths of n steps are a product of n matrices in which sums are minima and
  products are sums.

  Source: Schödl, Szeliski, Salesin, Essa, "Video Textures", 2000, SIGGRAPH.

  Attributes:
    cost_ij: Cost of frame j after frame i, `[t - 1, t - 1]`; the last frame has
      no successor and is never used.
  """

  def __init__(self, video_thwc: np.ndarray, radius: int = 1):
    """Computes the costs of the transitions of a video.

    Args:
      video_thwc: Float frames, 3 or more.
      radius: Number of frames before and after each frame that are compared,
        too.

    Raises:
      ValueError: If there are fewer than 3 frames.
    """
    t = len(video_thwc)
    if t < 3:
      raise ValueError(f'The video has {t} frames; it needs 3 or more.')
    frames_tp = video_thwc.reshape(t, -1).astype(np.float64)
    square_t = np.square(frames_tp).sum(1)
    differ_ij = square_t[:, None] + square_t - 2 * frames_tp @ frames_tp.T
    differ_ij = np.maximum(differ_ij, 0)  # Rounding can make it negative.
    np.fill_diagonal(differ_ij, 0)
    near_ij, count_ij = np.zeros((t, t)), np.zeros((t, t))
    for k in range(-radius, radius + 1):
      low, high = max(0, -k), min(t, t - k)
      inner = slice(low, high), slice(low, high)
      outer = slice(low + k, high + k), slice(low + k, high + k)
      near_ij[inner] += differ_ij[outer]
      count_ij[inner] += 1
    self.cost_ij = (near_ij / count_ij)[1:, :-1]

  def loop(self, num_frames: int) -> tuple[list[int], float]:
    """Returns the frame indices of the cheapest loop, and its cost.

    After the last frame of the list, the video continues with the first one.
    The list starts at its smallest index. The cost is that of all transitions.

    Args:
      num_frames: Length of the loop, in frames.
    """
    paths = self._paths(num_frames)
    start = int(paths[-1].diagonal().argmin())
    path = self._trace(paths, start, start)[:-1]
    first = path.index(min(path))
    return path[first:] + path[:first], float(paths[-1][start, start])

  def extrapolate(self, start: int, num_frames: int) -> tuple[list[int], float]:
    """Returns the indices of the cheapest next frames, and their cost.

    Args:
      start: Index of the frame before them, from 0 to t - 2.
      num_frames: Number of frames.
    """
    paths = self._paths(num_frames)
    end = int(paths[-1][start].argmin())
    return self._trace(paths, start, end)[1:], float(paths[-1][start, end])

  def _paths(self, num_steps: int) -> list[np.ndarray]:
    """Returns costs of the best paths of 1, 2, ... steps."""
    paths = [self.cost_ij]
    for _ in range(num_steps - 1):
      paths.append((paths[-1][:, :, None] + self.cost_ij).min(1))
    return paths

  def _trace(self, paths: list[np.ndarray], start: int, end: int) -> list[int]:
    """Returns the frames of the best path, both ends included."""
    path = [end]
    for cost_ij in reversed(paths[:-1]):
      path.append(int((cost_ij[start] + self.cost_ij[:, path[-1]]).argmin()))
    return [start, *reversed(path)]

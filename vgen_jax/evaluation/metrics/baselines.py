"""Predictions that nobody had to train: what a model must at least beat."""

from typing import NamedTuple

import numpy as np


def copy_last(context_bthwc: np.ndarray, num_frames: int) -> np.ndarray:
  """Returns the last frame, `num_frames` times."""
  return np.repeat(context_bthwc[:, -1:], num_frames, axis=1)


class DynamicTexture(NamedTuple):
  """A video as what a linear dynamical system shows.

  Frames are `mean + shows @ state`; the next state is `moves @ state`, and
  noise. It is found in closed form, by a singular value decomposition.

  Attributes:
    mean_p: Mean frame, of p values.
    shows_pd: What each of d states shows; columns are orthonormal.
    moves_dd: How states move on.
    noise_dd: A square root of the covariance of what `moves` cannot say.
    last_d: State of the last frame.
    frame_shape: (h, w, c).

  Source: Doretto, Chiuso, Wu, Soatto, "Dynamic Textures", 2003, International
  Journal of Computer Vision 51.
  """

  mean_p: np.ndarray
  shows_pd: np.ndarray
  moves_dd: np.ndarray
  noise_dd: np.ndarray
  last_d: np.ndarray
  frame_shape: tuple[int, int, int]

  @classmethod
  def fit(cls, video_thwc: np.ndarray, num_states: int) -> 'DynamicTexture':
    """Returns the system behind one video, float `[t, h, w, c]`.

    Raises:
      ValueError: If states are fewer than 1, or frames fewer than states + 2.
    """
    t = len(video_thwc)
    if not 1 <= num_states <= t - 2:
      raise ValueError(
        f'num_states is {num_states} for {t} frames; it must be 1 to {t - 2}.'
      )
    frames_tp = video_thwc.reshape(t, -1).astype(np.float64)
    mean_p = frames_tp.mean(0)
    left, size, shows = np.linalg.svd(frames_tp - mean_p, full_matrices=False)
    states_td = left[:, :num_states] * size[:num_states]
    moves_dd = np.linalg.lstsq(states_td[:-1], states_td[1:], rcond=None)[0].T
    rest_td = states_td[1:] - states_td[:-1] @ moves_dd.T
    values, vectors = np.linalg.eigh(rest_td.T @ rest_td / len(rest_td))
    return cls(
      mean_p=mean_p,
      shows_pd=shows[:num_states].T,
      moves_dd=moves_dd,
      noise_dd=vectors * np.sqrt(np.maximum(values, 0)),
      last_d=states_td[-1],
      frame_shape=video_thwc.shape[1:],
    )

  def go_on(
    self, num_frames: int, rng: np.random.Generator | None = None
  ) -> np.ndarray:
    """Returns what follows the video; without `rng` there is no noise."""
    state_d, frames = self.last_d, []
    for _ in range(num_frames):
      state_d = self.moves_dd @ state_d
      if rng is not None:
        state_d = state_d + self.noise_dd @ rng.standard_normal(len(state_d))
      frames.append(self.mean_p + self.shows_pd @ state_d)
    return np.stack(frames).reshape(num_frames, *self.frame_shape)


def linear(
  context_bthwc: np.ndarray, num_frames: int, num_states: int
) -> np.ndarray:
  """Returns what a `DynamicTexture` of each context says comes next."""
  return np.stack(
    [
      DynamicTexture.fit(video, num_states).go_on(num_frames)
      for video in context_bthwc
    ]
  )


class VideoTexture:
  """A video that never ends, put together from frames of one that does.

  After frame i may come any frame j; that costs how much j differs from frame
  i + 1, averaged with the frames around both, so that also the motion fits.
  The cheapest ways are found by dynamic programming: the cost of the best way
  of n steps from i to j is a product of n matrices, in which sums are minima
  and products are sums.

  Source: Schödl, Szeliski, Salesin, Essa, "Video Textures", 2000, SIGGRAPH.

  Attributes:
    cost_ij: Of showing frame j after frame i, `[t - 1, t - 1]`; the last frame
      has no successor and so is never shown.
  """

  def __init__(self, video_thwc: np.ndarray, reach: int = 1):
    """Measures the transitions of a video, float `[t, h, w, c]`.

    Args:
      video_thwc: At least 3 frames.
      reach: Frames before and after that must fit, too.

    Raises:
      ValueError: If there are fewer than 3 frames.
    """
    t = len(video_thwc)
    if t < 3:
      raise ValueError(f'The video has {t} frames; a texture needs 3 or more.')
    frames_tp = video_thwc.reshape(t, -1).astype(np.float64)
    square_t = np.square(frames_tp).sum(1)
    differ_ij = square_t[:, None] + square_t - 2 * frames_tp @ frames_tp.T
    differ_ij = np.maximum(differ_ij, 0)  # By rounding it can be below.
    np.fill_diagonal(differ_ij, 0)
    near_ij, count_ij = np.zeros((t, t)), np.zeros((t, t))
    for k in range(-reach, reach + 1):
      low, high = max(0, -k), min(t, t - k)
      inner = slice(low, high), slice(low, high)
      outer = slice(low + k, high + k), slice(low + k, high + k)
      near_ij[inner] += differ_ij[outer]
      count_ij[inner] += 1
    self.cost_ij = (near_ij / count_ij)[1:, :-1]

  def loop(self, num_frames: int) -> tuple[list[int], float]:
    """Returns the cheapest loop of frames, and its cost.

    After its last frame comes its first. It begins with its lowest frame.
    """
    ways = self._ways(num_frames)
    start = int(ways[-1].diagonal().argmin())
    path = self._trace(ways, start, start)[:-1]
    turn = path.index(min(path))
    return path[turn:] + path[:turn], float(ways[-1][start, start])

  def go_on(self, start: int, num_frames: int) -> tuple[list[int], float]:
    """Returns the frames that best follow frame `start`, and their cost."""
    ways = self._ways(num_frames)
    end = int(ways[-1][start].argmin())
    return self._trace(ways, start, end)[1:], float(ways[-1][start, end])

  def _ways(self, num_steps: int) -> list[np.ndarray]:
    """Returns costs of the best ways of 1, 2, ... steps."""
    ways = [self.cost_ij]
    for _ in range(num_steps - 1):
      ways.append((ways[-1][:, :, None] + self.cost_ij).min(1))
    return ways

  def _trace(self, ways: list[np.ndarray], start: int, end: int) -> list[int]:
    """Returns the frames of the best way, both ends included."""
    path = [end]
    for way in reversed(ways[:-1]):
      path.append(int((way[start] + self.cost_ij[:, path[-1]]).argmin()))
    return [start, *reversed(path)]

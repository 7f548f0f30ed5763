"""Masks of codes: schedules (how many are masked), tasks (which are known)."""

from collections.abc import Callable
import math

import jax.numpy as jnp
import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Array

Grid = tuple[int, int, int]


def _exponential(done: Array) -> Array:
  """Returns 1 - 2^(8 (done - 1)), scaled to start at exactly 1."""
  return (1 - 2.0 ** (8 * (done - 1))) / (1 - 2.0**-8)


# The fraction of codes that are masked, as a function of the fraction of
# decoding that is done. All decrease from 1 to 0. Chang et al., "MaskGIT:
# Masked Generative Image Transformer", 2022, https://arxiv.org/abs/2202.04200,
# section 3.3, compare such schedules: concave ones, which reveal few codes at
# first, are best.
SCHEDULES: dict[str, Callable[[Array], Array]] = {
  'linear': lambda done: 1 - done,
  'cosine': lambda done: jnp.cos(math.pi / 2 * done),
  'square': lambda done: 1 - done**2,
  'cubic': lambda done: 1 - done**3,
  'root': lambda done: 1 - jnp.sqrt(done),
  'exponential': _exponential,
}


def _first(grid: Grid) -> np.ndarray:
  """The first frame is known."""
  known = np.zeros(grid, bool)
  known[:1] = True
  return known


def _start(grid: Grid) -> np.ndarray:
  """The first half of the frames is known."""
  known = np.zeros(grid, bool)
  known[: max(grid[0] // 2, 1)] = True
  return known


def _ends(grid: Grid) -> np.ndarray:
  """The first frame and the last are known."""
  known = _first(grid)
  known[-1:] = True
  return known


def _middle(grid: Grid) -> np.ndarray:
  """A centred box of half the height and width is known in all frames."""
  known = np.zeros(grid, bool)
  top, left = grid[1] // 4, grid[2] // 4
  known[:, top : grid[1] - top, left : grid[2] - left] = True
  return known


def _left(grid: Grid) -> np.ndarray:
  """The left half of all frames is known."""
  known = np.zeros(grid, bool)
  known[:, :, : (grid[2] + 1) // 2] = True
  return known


# {task: function that returns which codes of a grid are known}. The tasks are
# similar to those of Yu et al., "MAGVIT: Masked Generative Video Transformer",
# 2022, https://arxiv.org/abs/2212.05199. With 'free', no code is known;
# 'sideways' is outpainting to the right.
TASKS: dict[str, Callable[[Grid], np.ndarray]] = {
  'free': lambda grid: np.zeros(grid, bool),
  'first_frame': _first,
  'prediction': _start,
  'interpolation': _ends,
  'outpainting': _middle,
  'inpainting': lambda grid: ~_middle(grid),
  'sideways': _left,
}


def known(task: str, grid: Grid) -> np.ndarray:
  """Returns which codes of a clip are known in a task, bool `[t, h, w]`.

  Raises:
    ValueError: If there is no such task, or it leaves no code to predict.
  """
  checks.one_of('task', task, TASKS)
  known_thw = TASKS[task](grid)
  if known_thw.all():
    raise ValueError(
      f'Task {task!r} masks no code of a grid of {grid} codes; leave it out, or'
      ' make clips larger.'
    )
  return known_thw


def rank(score_bn: Array) -> Array:
  """Returns the rank of each entry in its row, 0 for the smallest."""
  return jnp.argsort(jnp.argsort(score_bn, axis=-1), axis=-1)

"""Which codes are hidden: schedules of how many, tasks of where."""

from collections.abc import Callable
import math

import jax.numpy as jnp
import numpy as np

from vgen_jax.core.types import Array

Grid = tuple[int, int, int]


def _exponential(done: Array) -> Array:
  """Falls slowly at first, as 1 - 2^(8 (x - 1)) does, to exactly 0."""
  return (1 - 2.0 ** (8 * (done - 1))) / (1 - 2.0**-8)


# Of the share of decoding that is done: the share of codes that are hidden.
# All fall from 1 to 0. Chang et al., "MaskGIT: Masked Generative Image
# Transformer", 2022, https://arxiv.org/abs/2202.04200, section 3.3, compare
# such: concave ones, which reveal few codes at first, do best.
SCHEDULES: dict[str, Callable[[Array], Array]] = {
  'linear': lambda done: 1 - done,
  'cosine': lambda done: jnp.cos(math.pi / 2 * done),
  'square': lambda done: 1 - done**2,
  'cubic': lambda done: 1 - done**3,
  'root': lambda done: 1 - jnp.sqrt(done),
  'exponential': _exponential,
}


def _first(grid: Grid) -> np.ndarray:
  """The first frame."""
  known = np.zeros(grid, bool)
  known[:1] = True
  return known


def _start(grid: Grid) -> np.ndarray:
  """The first half of the frames."""
  known = np.zeros(grid, bool)
  known[: max(grid[0] // 2, 1)] = True
  return known


def _ends(grid: Grid) -> np.ndarray:
  """The first frame and the last."""
  known = _first(grid)
  known[-1:] = True
  return known


def _middle(grid: Grid) -> np.ndarray:
  """A box of half the height and width in the middle of all frames."""
  known = np.zeros(grid, bool)
  top, left = grid[1] // 4, grid[2] // 4
  known[:, top : grid[1] - top, left : grid[2] - left] = True
  return known


def _left(grid: Grid) -> np.ndarray:
  """The left half of all frames."""
  known = np.zeros(grid, bool)
  known[:, :, : (grid[2] + 1) // 2] = True
  return known


# Of a grid of codes: which are known from the start. After the tasks of Yu et
# al., "MAGVIT: Masked Generative Video Transformer", 2022,
# https://arxiv.org/abs/2212.05199.
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
  """Returns what a task knows of a clip's codes, bool `[t, h, w]`.

  Raises:
    ValueError: If there is no such task, or nothing is left for it to do.
  """
  if task not in TASKS:
    raise ValueError(f'{task!r} is no task; tasks are {tuple(TASKS)}.')
  known_thw = TASKS[task](grid)
  if known_thw.all():
    raise ValueError(
      f'Task {task!r} leaves nothing unknown of a grid of {grid} codes; leave'
      ' it out, or make clips larger.'
    )
  return known_thw


def rank(score_bn: Array) -> Array:
  """Returns the place of each entry in its sorted row, 0 for the least."""
  return jnp.argsort(jnp.argsort(score_bn, axis=-1), axis=-1)

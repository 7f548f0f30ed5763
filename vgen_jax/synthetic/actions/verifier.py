"""Whether the object of a clip does as it is told.

Each step is judged by itself, from where the object is: what it did is compared
with where its action would have led it, a wall stopping it or not. So one slip
is one fault, however long the clip goes on.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import shapes
from vgen_jax.synthetic.actions import source as actions_lib
from vgen_jax.synthetic.world import spots

# Of a full disc's mass in the palest and the strongest colour: a triangle has
# less than half of a disc's area.
_MASS = (0.25 * 160, 1.25 * 190)


class Followed(NamedTuple):
  """What each step did and should have done; s counts steps, t - 1.

  Attributes:
    told_bs2: Where the action leads from here (right, down), in pixels.
    moved_bs2: Where the object went.
    error_bs: Distance of the two; a full step if the object is not seen.
    right_bs: Whether the error is below half a step, and the object is seen.
    seen_bt: Whether there is one object, of the size it has in other frames.
  """

  told_bs2: np.ndarray
  moved_bs2: np.ndarray
  error_bs: np.ndarray
  right_bs: np.ndarray
  seen_bt: np.ndarray


def measure(
  world: actions_lib.Actions, video_bthwc: np.ndarray, action_bt2: np.ndarray
) -> Followed:
  """Returns what the object does at each step.

  Args:
    world: Whose steps and walls.
    video_bthwc: uint8, or floats in [-1, 1].
    action_bt2: What it was told; the last frame's leads out of the clip.

  Raises:
    ValueError: If shapes differ.
  """
  if video_bthwc.shape[2:] != world.clip_shape[1:]:
    raise ValueError(
      f'Frames are {video_bthwc.shape[2:]}; the world has'
      f' {world.clip_shape[1:]}: judge by a world of their shape.'
    )
  shapes.sizes('', video_bthwc=video_bthwc, action_btx=action_bt2[..., :2])
  spot = spots.track(video_bthwc)
  radius = world.truth(0).radius
  usual_b = np.percentile(spot.mass_bt, 75, axis=1)
  disc = math.pi * radius**2
  object_b = (usual_b > _MASS[0] * disc) & (usual_b < _MASS[1] * disc)
  ratio_bt = spot.mass_bt / np.maximum(usual_b, 1)[:, None]
  seen_bt = (ratio_bt > 0.5) & (ratio_bt < 1.6) & object_b[:, None]
  seen_bt &= spot.spread_bt < radius + 1  # One object, and no noise beside it.
  both_bs = seen_bt[:, 1:] & seen_bt[:, :-1]

  h, w = world.clip_shape[1:3]
  from_bs2 = spot.center_bt2[:, :-1]
  to_bs2 = from_bs2 + action_bt2[:, :-1] * world.step
  told_bs2 = to_bs2.clip(radius, np.array([w, h]) - 1 - radius) - from_bs2
  moved_bs2 = np.diff(spot.center_bt2, axis=1)
  error_bs = np.linalg.norm(moved_bs2 - told_bs2, axis=-1)
  right_bs = both_bs & (error_bs < world.step / 2)
  error_bs = np.where(both_bs, error_bs, world.step)
  return Followed(told_bs2, moved_bs2, error_bs, right_bs, seen_bt)


def report(
  world: actions_lib.Actions, video_bthwc: np.ndarray, action_bt2: np.ndarray
) -> dict[str, float]:
  """Returns numbers about how actions are followed.

  * `accuracy`: share of steps that end within half a step of where they should.
  * `accuracy_moving`: the same of those steps that should lead at least half
    a step away: what stands still gets none of them.
  * `error`: mean distance to where a step should end, in pixels.
  * `correlation`: of motion told and motion shown, over steps and axes.
  * `object_presence`: share of frames in which the object is seen.

  Args: as those of `measure`.
  """
  found = measure(world, video_bthwc, action_bt2)
  moves_bs = np.linalg.norm(found.told_bs2, axis=-1) >= world.step / 2
  numbers = {
    'accuracy': found.right_bs.mean(),
    'accuracy_moving': found.right_bs[moves_bs].mean() if moves_bs.any() else 0,
    'error': found.error_bs.mean(),
    'correlation': _correlation(found.told_bs2, found.moved_bs2),
    'object_presence': found.seen_bt.mean(),
  }
  return {name: float(number) for name, number in numbers.items()}


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
  one, other = one.ravel() - one.mean(), other.ravel() - other.mean()
  size = np.linalg.norm(one) * np.linalg.norm(other)
  return one @ other / size if size > 1e-6 else 0.0

"""Verification that the object of a clip follows its actions.

Each step is verified separately, from the object's actual position: its motion
is compared with the motion that its action requests, including walls. So one
wrong step is one error, however long the clip is.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import shapes
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.actions import source as actions_lib

# Least and largest saturation of an object, for a full disc's area: a triangle
# in the least saturated colour, a disc in the most saturated one. A triangle
# has less than half of a disc's area.
_MASS_LIMITS = (0.25 * 160, 1.25 * 190)


class Steps(NamedTuple):
  """Actual and requested motion between successive frames; s is t - 1.

  Attributes:
    requested_bs2: Motion (right, down) that the action requests, in pixels.
    moved_bs2: Actual motion (right, down) of the object, in pixels.
    error_bs: Distance of the two, in pixels; `Actions.step`, the length of an
      action's motion, if the object is not visible in both frames.
    correct_bs: Whether the object is visible in both frames and the error is
      below half of `Actions.step`, bool.
    visible_bt: Whether exactly one object is visible, of about the size that it
      has in most frames of the clip, bool.
  """

  requested_bs2: np.ndarray
  moved_bs2: np.ndarray
  error_bs: np.ndarray
  correct_bs: np.ndarray
  visible_bt: np.ndarray


def compute_features(
  world: actions_lib.Actions, video_bthwc: np.ndarray, action_bt2: np.ndarray
) -> Steps:
  """Returns the motion of each step.

  Args:
    world: Dataset that defines steps and walls.
    video_bthwc: Clips, uint8, or floats in [-1, 1].
    action_bt2: Actions (right, down) in [-1, 1]; that of the last frame is not
      used.

  Raises:
    ValueError: If frames do not have the shape of the dataset's, or there is
      not one action for each frame of each clip.
  """
  if video_bthwc.shape[2:] != world.clip_shape[1:]:
    raise ValueError(
      f'Frames have shape {video_bthwc.shape[2:]}; the dataset needs'
      f' {world.clip_shape[1:]}. Verify with a dataset of their shape.'
    )
  shapes.sizes('', video_bthwc=video_bthwc, action_btx=action_bt2[..., :2])
  region = saturation.locate(video_bthwc)
  usual_mass_b = np.percentile(region.mass_bt, 75, axis=1)
  disc = math.pi * world.radius**2
  least, largest = (limit * disc for limit in _MASS_LIMITS)
  object_b = (usual_mass_b > least) & (usual_mass_b < largest)
  ratio_bt = region.mass_bt / np.maximum(usual_mass_b, 1)[:, None]
  visible_bt = (ratio_bt > 0.5) & (ratio_bt < 1.6) & object_b[:, None]
  # The region of one object is compact; that of two or of noise is not.
  visible_bt &= region.spread_bt < world.radius + 1
  both_bs = visible_bt[:, 1:] & visible_bt[:, :-1]

  h, w = world.clip_shape[1:3]
  from_bs2 = region.center_bt2[:, :-1]
  to_bs2 = from_bs2 + action_bt2[:, :-1] * world.step
  high_2 = np.array([w, h]) - 1 - world.radius
  requested_bs2 = to_bs2.clip(world.radius, high_2) - from_bs2
  moved_bs2 = np.diff(region.center_bt2, axis=1)
  error_bs = np.linalg.norm(moved_bs2 - requested_bs2, axis=-1)
  correct_bs = both_bs & (error_bs < world.step / 2)
  error_bs = np.where(both_bs, error_bs, world.step)
  return Steps(requested_bs2, moved_bs2, error_bs, correct_bs, visible_bt)


def report(
  world: actions_lib.Actions, video_bthwc: np.ndarray, action_bt2: np.ndarray
) -> dict[str, float]:
  """Returns numbers that describe how a set of clips follows its actions.

  * `accuracy`: fraction of correct steps, as defined by `Steps.correct_bs`.
  * `accuracy_moving`: the same among the steps that should move the object by
    at least half of `Actions.step`; 0 for a static clip, or if there are none.
  * `error`: mean of `Steps.error_bs`, in pixels.
  * `correlation`: correlation of requested and actual motion, over steps and
    axes; 0 if one of them is constant.
  * `object_presence`: fraction of frames in which the object is visible.

  The arguments are those of `compute_features`.
  """
  steps = compute_features(world, video_bthwc, action_bt2)
  moves_bs = np.linalg.norm(steps.requested_bs2, axis=-1) >= world.step / 2
  correct_moving = steps.correct_bs[moves_bs]
  numbers = {
    'accuracy': steps.correct_bs.mean(),
    'accuracy_moving': correct_moving.mean() if moves_bs.any() else 0,
    'error': steps.error_bs.mean(),
    'correlation': _correlation(steps.requested_bs2, steps.moved_bs2),
    'object_presence': steps.visible_bt.mean(),
  }
  return {name: float(number) for name, number in numbers.items()}


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
  a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
  size = np.linalg.norm(a) * np.linalg.norm(b)
  return a @ b / size if size > 1e-6 else 0.0

"""Known frames and actions of clips to continue."""

import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition


def split(condition: Condition, num_context: int) -> tuple[Array, Array]:
  """Returns clips `[b, t, h, w, c]`, and which of their frames are known.

  Args:
    condition: Condition with `known_video`. If it has `known`, the known frames
      are the first one and those in which it is True everywhere.
    num_context: Number of known first frames if there is no `known`.

  Returns:
    The clips, and a bool array `[b, t]`.

  Raises:
    ValueError: If there is no `known_video`, or it has fewer than 2 frames.
  """
  if 'known_video' not in condition:
    raise ValueError(
      "condition has no 'known_video'; a predictor needs the first frames of"
      ' each clip: give clips whose first frames are known.'
    )
  video_bthwc = condition['known_video']
  if (num_frames := video_bthwc.shape[1]) < 2:
    raise ValueError(
      f'known_video has {num_frames} frame; a prediction needs 2 or more: the'
      ' known frames, and placeholders with any values for the others.'
    )
  known_bt = jnp.broadcast_to(
    jnp.arange(video_bthwc.shape[1]) < num_context, video_bthwc.shape[:2]
  )
  if 'known' in condition:
    known_bt = jnp.all(condition['known'], (2, 3, 4)).at[:, 0].set(True)
  return video_bthwc, known_bt


def keep(condition: Condition, known_bt: Array, frames_buhwc: Array) -> Array:
  """Returns clips `[b, t, h, w, c]` with known pixels unchanged.

  Args:
    condition: As in `split`.
    known_bt: Which frames are known, bool, from `split`.
    frames_buhwc: Predictions of all frames but the first: u is t - 1.
  """
  video_bthwc = condition['known_video']
  known = known_bt[:, :, None, None, None]
  if 'known' in condition:
    known |= condition['known']
  return jnp.where(
    known,
    video_bthwc,
    jnp.concatenate([video_bthwc[:, :1], frames_buhwc], axis=1),
  )


def actions(
  batch: Batch | Condition, video_bthwc: Array, action_width: int
) -> Array | None:
  """Returns the actions `[b, t, a]` of clips; None if the model uses none.

  Args:
    batch: Batch with `action` if `action_width` is not 0.
    video_bthwc: The clips.
    action_width: Size of an action, a.

  Raises:
    ValueError: If there is no action, or its shape is not `[b, t, a]`.
  """
  if not action_width:
    return None
  if 'action' not in batch:
    raise ValueError(
      f"The batch or condition has no 'action', but model.action_width is"
      f' {action_width}; give actions, or build the model with action_width 0.'
    )
  required = (*video_bthwc.shape[:2], action_width)
  if (shape := batch['action'].shape) != required:
    raise ValueError(
      f"'action' has shape {shape}; clips of shape {video_bthwc.shape} and"
      f' model.action_width {action_width} need {required}. Give actions of'
      ' this shape.'
    )
  return batch['action']

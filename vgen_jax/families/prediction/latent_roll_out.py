"""Rollouts of predictors with latents, on real or on generated frames."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.families.prediction import known_frames
from vgen_jax.nn import latent_prediction
from vgen_jax.nn.convolution import recurrent


class Masks(NamedTuple):
  """Masks that select the inputs of predictions, bool `[b, t - 1]` each.

  Attributes:
    is_given_bt: Whether the input is a frame of the clip; it must be True at
      the first time. Elsewhere it is the frame that was predicted before.
    uses_posterior_bt: Whether the latent is from the posterior, which depends
      on the frame to predict; elsewhere it is from the prior.
    is_context_bt: Whether the input is one of the known first frames.
  """

  is_given_bt: Array
  uses_posterior_bt: Array
  is_context_bt: Array


def known_only(known_bt: Array) -> Masks:
  """Returns masks with which predictions depend on known frames only.

  The posterior is used within the known first frames, and the prior after
  them. Frames that are known later are inputs.

  Args:
    known_bt: Which of the t frames are known, bool; the first is known.
  """
  context_bt = jnp.cumprod(known_bt, axis=1).astype(bool)
  return Masks(known_bt[:, :-1], context_bt[:, 1:], context_bt[:, :-1])


def roll_out(
  predictor: latent_prediction.LatentPredictor,
  video_bthwc: Array,
  masks: Masks,
  noise_btd: Array,
  condition_btk: Array,
  *,
  standard_prior: bool = False,
  train: bool = False,
) -> latent_prediction.Prediction:
  """Returns predictions of all frames but the first, `[b, t - 1, ...]`.

  Args:
    predictor: Network, bound.
    video_bthwc: Clips in [-1, 1].
    masks: Masks that select the inputs of each prediction.
    noise_btd: Noise of the latents from N(0, 1), `[b, t - 1, d]`.
    condition_btk: Actions and one-hot labels, `[b, t - 1, k]`.
    standard_prior: Whether latents are from N(0, 1) instead of the prior.
    train: Whether dropout is on.
  """

  def cell(network, carry, frame_bhwc, inputs):
    carry, prediction = network(
      carry, frame_bhwc, inputs, standard_prior=standard_prior, train=train
    )
    shapes.check_output(
      'predictor', network, prediction.frame_bhwc, frame_bhwc.shape
    )
    return carry, prediction.frame_bhwc, prediction

  b, _, h, w, _ = video_bthwc.shape
  inputs = latent_prediction.Inputs(
    predictor.encode_targets(video_bthwc, train=train),
    noise_btd,
    masks.uses_posterior_bt,
    masks.is_context_bt,
    condition_btk,
  )
  _, prediction = recurrent.scan_rollout(
    cell,
    predictor,
    predictor.initial_carry((b, h, w)),
    video_bthwc[:, :-1],
    masks.is_given_bt,
    inputs,
  )
  return prediction


def noise(
  predictor: latent_prediction.LatentPredictor, key_b: Array, num_frames: int
) -> Array:
  """Returns noise from N(0, 1) for the latents, `[b, num_frames - 1, d]`.

  The noise of the first frames does not depend on the number of frames.

  Args:
    predictor: Network that has the latents.
    key_b: Keys, one for each clip.
    num_frames: Number of frames of a clip.
  """
  shape = (predictor.latent_width,)
  of_frame = lambda i: random.normal(random.fold_in(key_b, i), shape)
  return jax.vmap(of_frame, out_axes=1)(jnp.arange(num_frames - 1))


def conditions(
  predictor: latent_prediction.LatentPredictor,
  condition: Batch | Condition,
  video_bthwc: Array,
) -> Array:
  """Returns actions and one-hot labels, `[b, t - 1, k]`.

  Args:
    predictor: Network that uses them.
    condition: Condition with the keys that the network uses.
    video_bthwc: Clips.

  Raises:
    ValueError: If a key that the network uses is missing, or 'action' has the
      wrong shape.
  """
  b, t = video_bthwc.shape[:2]
  keys, found = predictor.condition_keys, [jnp.zeros((b, t - 1, 0))]
  if 'action' in keys:
    action_bta = known_frames.actions(
      condition, video_bthwc, predictor.action_width
    )
    if action_bta is not None:
      found.append(action_bta[:, :-1])
  if 'label' in keys:
    if 'label' not in condition:
      raise ValueError(
        "The batch or condition has no 'label', but"
        f' {type(predictor).__name__} uses it; give the label of each clip.'
      )
    one_hot_bk = jax.nn.one_hot(condition['label'], predictor.num_classes)
    found.append(jnp.repeat(one_hot_bk[:, None], t - 1, axis=1))
  return jnp.concatenate(found, axis=-1)

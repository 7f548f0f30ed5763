"""Rollouts of predictors with latents, on real or on generated frames."""

from typing import NamedTuple

import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import latent_prediction
from vgen_jax.nn.convolution import recurrent


class Masks(NamedTuple):
  """What each prediction of a rollout depends on, bool `[b, t - 1]` each.

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
    known_bt: Which of the t frames are known; the first is known.
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
    masks: What each prediction depends on.
    noise_btd: Noise of latents, `[b, t - 1, d]`.
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

"""The interface of networks that predict the next frame from a latent.

Such a network is a sequential VAE: the latent of a frame is sampled from a
posterior, which depends on the frame, or from a prior, which does not.

Axis suffixes of this file, in addition to those of core/shapes.py: `d` width of
a latent; `k` numbers that describe the condition of a frame.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Count
from vgen_jax.nn import distributions

Carry = Any  # A tree of arrays `[b, ...]`.


class Inputs(NamedTuple):
  """Inputs of the prediction of one frame, in addition to the past.

  Attributes:
    target: Features of the frame to predict, from `encode_targets`; only the
      posterior depends on them. A tree of arrays `[b, ...]`.
    noise_bd: Noise of the latent, from N(0, 1).
    uses_posterior_b: Whether the latent is sampled from the posterior, instead
      of the prior; bool.
    is_context_b: Whether the current frame is one of the first frames that are
      known; bool.
    condition_bk: Action taken at the current frame, then the one-hot label.
  """

  target: Any
  noise_bd: Array
  uses_posterior_b: Array
  is_context_b: Array
  condition_bk: Array


class Prediction(NamedTuple):
  """The prediction of one frame, or of several with an axis of time after b.

  Attributes:
    frame_bhwc: Predicted frame, float32; values may be outside of [-1, 1].
    posterior: Distributions of the latent given the frame, `[b, d]`.
    prior: Distributions of the latent given the past, `[b, d]`.
  """

  frame_bhwc: Array
  posterior: distributions.Gaussian
  prior: distributions.Gaussian


class LatentPredictor(nn.Module):
  """The base class of networks that predict the next frame from a latent.

  A subclass defines `initial_carry`, `encode_targets` and `__call__`. If it
  also defines `predict_all`, it sets `has_predict_all`.

  Attributes:
    clip_shape: (t, h, w, c) of a clip of the data.
    latent_width: Size of a latent, d; 0 for a deterministic network.
    action_width: Size of an action; 0 for a network without actions.
    num_classes: Number of labels; 0 without labels.
  """

  # Whether `predict_all` is defined; a class attribute, not a field.
  has_predict_all = False

  clip_shape: ClipShape
  latent_width: Count = 10
  action_width: int = 0
  num_classes: int = 0

  @property
  def condition_keys(self) -> tuple[str, ...]:
    """Keys of the conditions that the network uses: 'action', 'label'."""
    return ('action',) if self.action_width else ()

  @abc.abstractmethod
  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns the carry before the first frame.

    Args:
      shape_bhw: Number of clips, and height and width of frames in pixels.
    """
    raise NotImplementedError

  @abc.abstractmethod
  def encode_targets(self, video_bthwc: Array, *, train: bool = False) -> Any:
    """Returns the features of each next frame that the posterior depends on.

    Args:
      video_bthwc: Clips in [-1, 1].
      train: Whether dropout is on.

    Returns:
      A tree of arrays `[b, t - 1, ...]`; entry i is for frame i + 1.
    """
    raise NotImplementedError

  @abc.abstractmethod
  def __call__(
    self,
    carry: Carry,
    frame_bhwc: Array,
    inputs: Inputs,
    *,
    standard_prior: bool = False,
    train: bool = False,
  ) -> tuple[Carry, Prediction]:
    """Returns the new carry, and the prediction of the next frame.

    Args:
      carry: Carry from `initial_carry` or from the previous call.
      frame_bhwc: Current frame, in [-1, 1].
      inputs: Other inputs.
      standard_prior: Whether latents that are not from the posterior are
        sampled from N(0, 1), instead of the network's prior.
      train: Whether dropout is on.
    """
    raise NotImplementedError

  def predict_all(
    self,
    video_bthwc: Array,
    noise_btd: Array,
    condition_btk: Array,
    *,
    num_context: int,
    train: bool = False,
  ) -> Prediction:
    """Returns the predictions of all frames but the first, in one pass.

    Each depends on the real frames before it, and on a latent from the
    posterior. The results equal those of `__call__`, with an axis of time.

    Args:
      video_bthwc: Clips in [-1, 1].
      noise_btd: Noise of the latents, `[b, t - 1, d]`.
      condition_btk: Conditions, `[b, t - 1, k]`.
      num_context: Number of first frames for which `is_context_b` is True.
      train: Whether dropout is on.
    """
    raise NotImplementedError


def over_real_frames(
  network: LatentPredictor,
  step: Callable[..., tuple[Carry, Any]],
  carry: Carry,
  code_btg: Array,
  noise_btd: Array,
  condition_btk: Array,
) -> Any:
  """Runs a step over real frames, with latents of the posterior.

  Args:
    network: Network whose parameters the step uses, bound.
    step: `(network, carry, (code_bg, inputs)) -> (carry, output)`, where
      `code_bg` is the code of the current frame, and `inputs.target` that of
      the next frame.
    carry: Carry before the first frame.
    code_btg: Codes of all frames; g is their width.
    noise_btd: Noise of the latents, `[b, t - 1, d]`.
    condition_btk: Conditions, `[b, t - 1, k]`.

  Returns:
    The outputs, with an axis of time of size t - 1.
  """
  yes_bt = jnp.ones(noise_btd.shape[:2], bool)
  inputs = Inputs(code_btg[:, 1:], noise_btd, yes_bt, yes_bt, condition_btk)
  scan = nn.scan(
    step,
    variable_broadcast='params',
    split_rngs={'params': False},
    in_axes=1,
    out_axes=1,
  )
  return scan(network, carry, (code_btg[:, :-1], inputs))[1]

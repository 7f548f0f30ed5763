"""Convolutional recurrent cells, and their rollout over time."""

import abc
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.nn.convolution import conv

Carry = Any  # A tree of arrays `[b, ...]`.


class Predictor(nn.Module):
  """The base class of networks that predict the next frame.

  A subclass defines `initial_carry`, and `__call__` as `(carry, frame_bhwc,
  action_ba, *, num_outputs, train) -> (carry, output_bhwp)`. It may also define
  `predict_all`, and then sets `has_predict_all`.
  """

  # Whether `predict_all` is defined; a class attribute, not a field.
  has_predict_all = False

  @abc.abstractmethod
  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns the carry before the first frame.

    Args:
      shape_bhw: Number of clips, and height and width of frames in pixels.
    """
    raise NotImplementedError

  def predict_all(
    self,
    video_bthwc: Array,
    action_bta: Array | None = None,
    *,
    num_outputs: int,
    train: bool = False,
  ) -> Array:
    """Returns the outputs of `__call__` after each frame, in one pass.

    Args:
      video_bthwc: Clips, in [-1, 1].
      action_bta: Action taken at each frame; None for no actions.
      num_outputs: Channels of the result.
      train: Whether dropout is on.
    """
    raise NotImplementedError


def scan_rollout(
  cell: Callable[..., tuple[Carry, Array, Any]],
  module: nn.Module,
  carry: Carry,
  inputs: Array,
  teacher_mask_bt: Array,
  extras: Any = None,
) -> tuple[tuple[Carry, Array], Any]:
  """Runs a cell over time, on given inputs or on its own predictions.

  With a mask that is True everywhere, this is teacher forcing; with one that is
  False after the context, free-running prediction; with a random mask,
  scheduled sampling.

  Args:
    cell: `(module, carry, input_b, extra_b) -> (carry, next_input_b, output)`.
    module: Module whose parameters the cell uses, the same at all times.
    carry: Initial carry.
    inputs: Given inputs, `[b, t, ...]`; values under a False mask are ignored.
    teacher_mask_bt: Bool, True at times whose input is the given one; at other
      times, the input is the `next_input` of the time before. The mask must be
      True at the first time.
    extras: Tree of other inputs `[b, t, ...]` of the cell, such as actions,
      random keys and latents.

  Returns:
    The final carry and `next_input`, and the outputs, whose second axis is
    time.
  """

  def step(module: nn.Module, state: tuple[Carry, Array], now: tuple):
    carry, predicted = state
    given, is_given_b, extra = now
    is_given = is_given_b.reshape(-1, *(1,) * (given.ndim - 1))
    carry, predicted, output = cell(
      module, carry, jnp.where(is_given, given, predicted), extra
    )
    return (carry, predicted), output

  scan = nn.scan(
    step,
    variable_broadcast='params',
    split_rngs={'params': False, 'dropout': True},
    in_axes=1,
    out_axes=1,
  )
  first = (carry, jnp.zeros_like(inputs[:, 0]))
  return scan(module, first, (inputs, teacher_mask_bt, extras))


class ConvLSTM(nn.Module):
  """A long short-term memory (LSTM) whose states are images.

  Gates are computed from the input and the state by one convolution. The bias
  of the forget gate is 1 before training. There are no peephole connections
  from the memory to the gates.

  Attributes:
    features: Channels of the state.
    kernel_size: Side of the kernel.
    norm: Whether gates are layer-normalized over their channels.

  Reference: Shi et al., "Convolutional LSTM Network: A Machine Learning
  Approach for Precipitation Nowcasting", 2015,
  https://arxiv.org/abs/1506.04214, equation 3 without its peepholes.
  """

  features: int
  kernel_size: int = 5
  norm: bool = False

  @nn.compact
  def __call__(self, carry: Carry, x_bhwc: Array) -> tuple[Carry, Array]:
    memory_bhwc, hidden_bhwc = carry
    gates = _gates(
      4, self.features, self.kernel_size, self.norm, x_bhwc, hidden_bhwc
    )
    input_gate, forget_gate, output_gate, new = jnp.split(gates, 4, axis=-1)
    memory_bhwc = memory_bhwc * nn.sigmoid(forget_gate + 1)
    memory_bhwc += nn.sigmoid(input_gate) * jnp.tanh(new)
    hidden_bhwc = nn.sigmoid(output_gate) * jnp.tanh(memory_bhwc)
    return (memory_bhwc, hidden_bhwc), hidden_bhwc

  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns the carry before the first frame, zeros.

    Args:
      shape_bhw: Number of clips, and height and width of the state.
    """
    zeros_bhwc = jnp.zeros((*shape_bhw, self.features))
    return zeros_bhwc, zeros_bhwc


class ConvGRU(nn.Module):
  """A gated recurrent unit (GRU) whose state is an image.

  Attributes:
    features: Channels of the state.
    kernel_size: Side of the kernel.
    norm: Whether gates are layer-normalized over their channels.

  Reference: Ballas et al., "Delving Deeper into Convolutional Networks for
  Learning Video Representations", 2015, https://arxiv.org/abs/1511.06432
  """

  features: int
  kernel_size: int = 5
  norm: bool = False

  @nn.compact
  def __call__(self, carry: Carry, x_bhwc: Array) -> tuple[Carry, Array]:
    (hidden_bhwc,) = carry
    size, norm = self.kernel_size, self.norm
    gates = _gates(2, self.features, size, norm, x_bhwc, hidden_bhwc)
    reset, update = jnp.split(nn.sigmoid(gates), 2, axis=-1)
    new_bhwc = jnp.tanh(
      _gates(1, self.features, size, norm, x_bhwc, reset * hidden_bhwc)
    )
    hidden_bhwc = update * hidden_bhwc + (1 - update) * new_bhwc
    return (hidden_bhwc,), hidden_bhwc

  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns the carry before the first frame, zeros.

    Args:
      shape_bhw: Number of clips, and height and width of the state.
    """
    return (jnp.zeros((*shape_bhw, self.features)),)


def _gates(
  count: int, features: int, size: int, norm: bool, x: Array, hidden: Array
) -> Array:
  """Returns `count` gates before their nonlinearity, as channels.

  Call it in a compact method.

  With a norm, each gate is normalized separately, with its own scale and bias.

  Raises:
    ValueError: If there is only one feature to normalize.
  """
  if norm and features == 1:
    raise ValueError(
      'features is 1, with norm: layer norm of one feature is always 0; set'
      ' norm to False, or use more features.'
    )
  gates = conv.Conv2D(count * features, (size, size))(
    jnp.concatenate([x, hidden], axis=-1)
  )
  if not norm:
    return gates
  shape = (*gates.shape[:-1], count, features)
  layer = nn.LayerNorm(reduction_axes=-1, feature_axes=(-2, -1))
  return layer(gates.reshape(shape)).reshape(gates.shape)


def inverse_sigmoid(step: Array, k: float) -> Array:
  """Returns the probability of given inputs in scheduled sampling.

  The probability decreases from about 1 to 0.

  Source: Bengio et al., "Scheduled Sampling for Sequence Prediction with
  Recurrent Neural Networks", 2015, https://arxiv.org/abs/1506.03099,
  section 2.4.

  Args:
    step: Number of completed steps.
    k: Time scale of the decay, in steps; the probability is 0.5 at step k ln k.
      Probabilities below 0.001 are set to 0.
  """
  fraction = jax.nn.sigmoid(jnp.log(k) - step / k)
  return jnp.where(fraction < 1e-3, 0.0, fraction)


def teacher_mask(
  key_b: Array, step_b: Array, num_inputs: int, num_context: int, k: float
) -> Array:
  """Returns which inputs are given ones in scheduled sampling, bool `[b, t]`.

  Args:
    key_b: Keys, one for each clip.
    step_b: Number of completed steps, int32, the same for each clip.
    num_inputs: Number of inputs, t.
    num_context: Number of first inputs that are always given.
    k: Time scale, as in `inverse_sigmoid`.
  """
  context_t = jnp.arange(num_inputs) < num_context
  probability_b = inverse_sigmoid(step_b, k)
  return context_t[None] | (
    random.uniform(key_b, (num_inputs,)) < probability_b[:, None]
  )

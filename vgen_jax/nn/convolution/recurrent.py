"""Cells that remember, and how they are rolled out over time."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn.convolution import conv

Carry = Any  # A tree of arrays `[b, ...]`.


def scan_rollout(
  cell: Callable[..., tuple[Carry, Array, Any]],
  module: nn.Module,
  carry: Carry,
  inputs: Array,
  teacher_mask_bt: Array,
  extras: Any = None,
) -> tuple[tuple[Carry, Array], Any]:
  """Feeds a cell with the truth, or with what it has said itself.

  Teacher forcing is a mask of True, a free run one that is False after the
  context, scheduled sampling one in between.

  Args:
    cell: `(module, carry, input_b, extra_b) -> (carry, next_input_b, output)`.
    module: Whose parameters it uses, the same at all times.
    carry: What it remembers at first.
    inputs: `[b, t, ...]`, the truth; what the mask hides may be anything.
    teacher_mask_bt: Whether the input at a time is the truth, else it is the
      `next_input` of the time before. The first one must be the truth.
    extras: Tree of arrays `[b, t, ...]` that the cell sees as well: actions,
      keys, latents.

  Returns:
    The carry and `next_input` that go on from here, and the outputs, whose
    second axis is time.
  """

  def step(module: nn.Module, state: tuple[Carry, Array], now: tuple):
    carry, own = state
    given, is_given_b, extra = now
    is_given = is_given_b.reshape(-1, *(1,) * (given.ndim - 1))
    carry, own, output = cell(
      module, carry, jnp.where(is_given, given, own), extra
    )
    return (carry, own), output

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
  """A long short-term memory whose states are images.

  Gates see the input and the state through one convolution; the forget gate is
  open at first. There are no peepholes from the memory to the gates.

  Attributes:
    features: Channels of the state.
    kernel_size: Side of the kernel.
    norm: Whether gates are layer-normalized over their channels.

  Reference: Shi et al., "Convolutional LSTM Network: A Machine Learning
  Approach for Precipitation Nowcasting", 2015,
  https://arxiv.org/abs/1506.04214, equation 3 less its peepholes.
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
    enter, forget, leave, new = jnp.split(gates, 4, axis=-1)
    memory_bhwc = memory_bhwc * nn.sigmoid(forget + 1)
    memory_bhwc += nn.sigmoid(enter) * jnp.tanh(new)
    hidden_bhwc = nn.sigmoid(leave) * jnp.tanh(memory_bhwc)
    return (memory_bhwc, hidden_bhwc), hidden_bhwc

  def start(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns what it remembers of nothing."""
    zeros_bhwc = jnp.zeros((*shape_bhw, self.features))
    return zeros_bhwc, zeros_bhwc


class ConvGRU(nn.Module):
  """A gated recurrent unit whose state is an image.

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

  def start(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns what it remembers of nothing."""
    return (jnp.zeros((*shape_bhw, self.features)),)


def _gates(
  count: int, features: int, size: int, norm: bool, x: Array, hidden: Array
) -> Array:
  """Returns `count` gates before their nonlinearity; for use in compact.

  Each is normalized by itself, and has a scale and a bias of its own: some must
  stay open, others shut.

  Raises:
    ValueError: If there is but one feature to normalize, which leaves nothing.
  """
  if norm and features == 1:
    raise ValueError(
      'features is 1, with norm: of one feature a layer norm leaves 0 alone;'
      ' set norm to False, or take more.'
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
  """Returns the share of truth in scheduled sampling, 1 at first, 0 at last.

  Source: Bengio et al., "Scheduled Sampling for Sequence Prediction with
  Recurrent Neural Networks", 2015, https://arxiv.org/abs/1506.03099,
  section 2.4.

  Args:
    step: Updates made before.
    k: How slowly it falls; it is at one half in step k ln k. From there on
      fewer than one in a thousand counts as none.
  """
  share = jax.nn.sigmoid(jnp.log(k) - step / k)
  return jnp.where(share < 1e-3, 0.0, share)

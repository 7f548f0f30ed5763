"""Convolutional recurrent networks that say the next frame, one at a time."""

from collections.abc import Sequence

from einops import rearrange
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import recurrent

_CELLS = {'lstm': recurrent.ConvLSTM, 'gru': recurrent.ConvGRU}


class ConvLSTM(nn.Module):
  """A stack of convolutional cells over patches of the frame.

  As in the paper a frame is cut into patches, whose pixels become channels. One
  stack serves as encoder and forecaster, where the paper has two that hand
  their states over: so it also learns from every frame of the context.

  Attributes:
    features: Channels of each cell in the stack.
    kernel_size: Side of their kernels, in patches.
    patch: Side of a patch in pixels; it must divide the frame.
    cell: 'lstm' or 'gru'.
    norm: Whether gates are layer-normalized.

  Reference: Shi et al., "Convolutional LSTM Network: A Machine Learning
  Approach for Precipitation Nowcasting", 2015, https://arxiv.org/abs/1506.04214
  """

  features: Sequence[int] = (64, 64)
  kernel_size: int = 5
  patch: int = 2
  cell: str = 'lstm'
  norm: bool = True

  def setup(self):
    if self.cell not in _CELLS:
      raise ValueError(
        f'cell is {self.cell!r}; it must be one of {sorted(_CELLS)}.'
      )
    make = _CELLS[self.cell]
    self.cells = [
      make(features, self.kernel_size, self.norm) for features in self.features
    ]

  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> recurrent.Carry:
    """Returns what it remembers of nothing, for frames of a shape.

    Raises:
      ValueError: If patches do not fill the frame.
    """
    b, *sides = shape_bhw
    shape = (b, *shapes.patches(sides, self.patch))
    return tuple(cell.initial_carry(shape) for cell in self.cells)

  @nn.compact
  def __call__(
    self,
    carry: recurrent.Carry,
    frame_bhwc: Array,
    action_ba: Array | None = None,
    *,
    num_outputs: int,
    train: bool = False,
  ) -> tuple[recurrent.Carry, Array]:
    """Returns the new carry, and `num_outputs` numbers for each pixel.

    Args:
      carry: Of `initial_carry`, or of the call before.
      frame_bhwc: The frame that is there, in [-1, 1].
      action_ba: What is done at it, seen at every place; None is nothing.
      num_outputs: Channels of the result.
      train: Not used: it has no dropout.
    """
    del train
    p = self.patch
    x = rearrange(frame_bhwc, 'b (h p) (w q) c -> b h w (p q c)', p=p, q=p)
    if action_ba is not None:
      action = jnp.broadcast_to(
        action_ba[:, None, None], (*x.shape[:3], action_ba.shape[-1])
      )
      x = jnp.concatenate([x, action], axis=-1)
    hiddens, carries = [], []
    for cell, state in zip(self.cells, carry, strict=True):
      state, x = cell(state, x)
      carries.append(state)
      hiddens.append(x)
    # As in the paper, all layers speak, through a 1 x 1 convolution.
    out = conv.Conv2D(p * p * num_outputs, (1, 1), name='head')(
      jnp.concatenate(hiddens, axis=-1)
    )
    out_bhwp = rearrange(out, 'b h w (p q c) -> b (h p) (w q) c', p=p, q=p)
    return tuple(carries), out_bhwp

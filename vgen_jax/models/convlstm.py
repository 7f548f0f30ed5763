"""Convolutional recurrent networks that predict the next frame of a clip."""

from einops import rearrange
import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Size
from vgen_jax.core.types import Sizes
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import recurrent

_CELLS = {'lstm': recurrent.ConvLSTM, 'gru': recurrent.ConvGRU}


class ConvLSTM(recurrent.Predictor):
  """A stack of convolutional recurrent cells over patches of frames.

  As in the paper, a frame is split into patches, whose pixels become channels.
  Here one stack is both encoder and forecaster; the paper has two stacks, and
  the second starts from the states of the first. So this network is also
  trained to predict the frames of the context.

  Attributes:
    features: Channels of each cell of the stack.
    kernel_size: Side of the kernels of cells, in patches.
    patch: Side of a patch in pixels; it must divide the frame.
    cell: 'lstm' or 'gru'.
    norm: Whether gates are layer-normalized over their channels.

  Reference: Shi et al., "Convolutional LSTM Network: A Machine Learning
  Approach for Precipitation Nowcasting", 2015, https://arxiv.org/abs/1506.04214
  """

  features: Sizes = (64, 64)
  kernel_size: Size = 5
  patch: Size = 2
  cell: str = 'lstm'
  norm: bool = True

  def setup(self):
    checks.one_of('cell', self.cell, sorted(_CELLS))
    make = _CELLS[self.cell]
    self.cells = [
      make(features, self.kernel_size, self.norm) for features in self.features
    ]

  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> recurrent.Carry:
    """Returns the carry before the first frame, zeros.

    Args:
      shape_bhw: Number of clips, and height and width of frames in pixels.

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
      carry: Carry from `initial_carry` or from the previous call.
      frame_bhwc: Current frame, in [-1, 1].
      action_ba: Action taken at the current frame, which is an input at every
        patch; None for no action.
      num_outputs: Channels of the result.
      train: Not used, because the network has no dropout.
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
      state, x = jax.tree.map(batch_sharding.constrain, cell(state, x))
      carries.append(state)
      hiddens.append(x)
    # As in the paper, the outputs of all cells go through a 1 x 1 convolution.
    out = conv.Conv2D(p * p * num_outputs, (1, 1), name='head')(
      jnp.concatenate(hiddens, axis=-1)
    )
    out_bhwp = rearrange(out, 'b h w (p q c) -> b (h p) (w q) c', p=p, q=p)
    return tuple(carries), out_bhwp

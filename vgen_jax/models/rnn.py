"""A frame encoder, recurrent cells over its output, and a frame decoder."""

from einops import rearrange
import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import recurrent

_CELLS = {'lstm': nn.OptimizedLSTMCell, 'gru': nn.GRUCell}


class RNN(recurrent.Predictor):
  """A simple network that predicts the next frame from a state vector.

  Attributes:
    width: Size of the state of each recurrent layer.
    num_layers: Number of recurrent layers.
    cell: 'lstm' or 'gru'.
    patch: Side of a patch in pixels. The pixels of a patch are channels of the
      encoder and the decoder; twice this side must divide the frame.
    features: Channels of the encoder and of the decoder.
  """

  width: Size = 128
  num_layers: Count = 1
  cell: str = 'lstm'
  patch: Size = 2
  features: Size = 32

  def setup(self):
    checks.one_of('cell', self.cell, sorted(_CELLS))
    self.cells = [_CELLS[self.cell](self.width) for _ in range(self.num_layers)]

  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> recurrent.Carry:
    """Returns the carry before the first frame, zeros.

    Args:
      shape_bhw: Number of clips, and height and width of frames in pixels.

    Raises:
      ValueError: If patches do not fill the frame.
    """
    b, *sides = shape_bhw
    shapes.patches(sides, 2 * self.patch)  # The encoder has a stride of 2.
    zeros = jnp.zeros((b, self.width))
    carry = (zeros, zeros) if self.cell == 'lstm' else zeros
    return (carry,) * self.num_layers

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
      action_ba: Action taken at the current frame; None for no action.
      num_outputs: Channels of the result.
      train: Not used, because the network has no dropout.
    """
    del train
    p, c = self.patch, self.features
    x = rearrange(frame_bhwc, 'b (h p) (w q) c -> b h w (p q c)', p=p, q=p)
    x = jax.nn.silu(conv.Conv2D(c, (3, 3))(x))
    x = jax.nn.silu(conv.Conv2D(2 * c, (4, 4), strides=(2, 2))(x))
    _, h, w, _ = x.shape
    code = batch_sharding.constrain(nn.Dense(self.width)(x.reshape(len(x), -1)))
    if action_ba is not None:
      code = jnp.concatenate([code, action_ba], axis=-1)
    carries = []
    for cell, state in zip(self.cells, carry, strict=True):
      state, code = jax.tree.map(batch_sharding.constrain, cell(state, code))
      carries.append(state)
    x = batch_sharding.constrain(nn.Dense(h * w * 2 * c)(code)).reshape(
      -1, h, w, 2 * c
    )
    x = jax.nn.silu(conv.ConvTranspose2D(c, (4, 4), strides=(2, 2))(x))
    out = conv.Conv2D(p * p * num_outputs, (3, 3), name='head')(x)
    out_bhwp = rearrange(out, 'b h w (p q c) -> b (h p) (w q) c', p=p, q=p)
    return tuple(carries), out_bhwp

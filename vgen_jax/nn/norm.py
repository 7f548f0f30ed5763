"""Normalization of frames by themselves."""

import flax.linen as nn
from jax import lax
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array


class FrameGroupNorm(nn.Module):
  """Group norm of each frame by its own statistics.

  The usual group norm of a clip averages over time, too, and so lets every
  frame see every other. This one does not: a frame is treated alike in a clip
  and as an image. Statistics are float32.

  Attributes:
    num_groups: Groups of channels that share a mean and a variance; if they do
      not divide the channels, the greatest number below that does is taken.
    min_channels: Channels that a group has at least, if there are as many: a
      group of one channel could no longer say how bright a frame is.
    epsilon: Added to the variance.

  Reference: Wu and He, "Group Normalization", 2018,
  https://arxiv.org/abs/1803.08494
  """

  num_groups: int = 32
  min_channels: int = 1
  epsilon: float = 1e-6

  @nn.compact
  def __call__(
    self,
    x_bthwc: Array,
    scale_bc: Array | None = None,
    shift_bc: Array | None = None,
  ) -> Array:
    """Returns the normalized clips, times 1 + scale, plus shift.

    Args:
      x_bthwc: Clips.
      scale_bc: What a condition says; None is 0.
      shift_bc: The same, added; None is 0.
    """
    b, t, c = shapes.sizes('btc', x_bthwc=x_bthwc)
    gain_c = self.param('scale', nn.initializers.ones_init(), (c,))
    bias_c = self.param('bias', nn.initializers.zeros_init(), (c,))
    most = min(self.num_groups, max(c // self.min_channels, 1))
    groups = max(n for n in range(1, most + 1) if c % n == 0)

    # Pixels first, then groups: sums run along memory, in one pass for both.
    x32 = x_bthwc.astype(jnp.float32)
    first_btc = x32.mean((2, 3))
    second_btc = lax.square(x32).mean((2, 3))
    mean_btg = first_btc.reshape(b, t, groups, -1).mean(-1)
    square_btg = second_btc.reshape(b, t, groups, -1).mean(-1)
    variance_btg = jnp.maximum(square_btg - lax.square(mean_btg), 0)
    inverse_btg = lax.rsqrt(variance_btg + self.epsilon)

    # All that follows is one product and one sum for each number.
    scale_btc = jnp.repeat(inverse_btg, c // groups, -1) * gain_c[None, None]
    shift_btc = bias_c[None, None]
    shift_btc -= jnp.repeat(mean_btg, c // groups, -1) * scale_btc
    if scale_bc is not None:
      scale_btc *= 1 + scale_bc.astype(jnp.float32)[:, None]
      shift_btc *= 1 + scale_bc.astype(jnp.float32)[:, None]
    if shift_bc is not None:
      shift_btc += shift_bc.astype(jnp.float32)[:, None]
    y = x32 * scale_btc[:, :, None, None] + shift_btc[:, :, None, None]
    return y.astype(x_bthwc.dtype)

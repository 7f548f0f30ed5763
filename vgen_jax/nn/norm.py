"""Normalization of single frames."""

import flax.linen as nn
from jax import lax
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding


class FrameGroupNorm(nn.Module):
  """Group norm of each frame with its own statistics.

  The usual group norm of a clip averages also over time, so that each frame
  depends on all others. Here, the result for a frame does not depend on other
  frames of the clip. Statistics are float32.

  Attributes:
    num_groups: Largest number of groups of channels; channels of a group share
      a mean and a variance. If the number of channels is not a multiple of it,
      the largest smaller number that divides the channels is used.
    min_channels: Smallest number of channels in a group, unless there are fewer
      channels in all. With one channel in a group, the brightness of a frame
      would be lost.
    epsilon: Number that is added to the variance.

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
    """Returns the normalized clips, times 1 + scale_bc, plus shift_bc.

    Args:
      x_bthwc: Clips, or features of clips.
      scale_bc: Scale from a condition; None for 0.
      shift_bc: Shift from a condition; None for 0.
    """
    b, t, c = shapes.sizes('btc', x_bthwc=x_bthwc)
    x_bthwc = batch_sharding.constrain(x_bthwc)
    gain_c = self.param('scale', nn.initializers.ones_init(), (c,))
    bias_c = self.param('bias', nn.initializers.zeros_init(), (c,))
    max_groups = min(self.num_groups, max(c // self.min_channels, 1))
    groups = max(n for n in range(1, max_groups + 1) if c % n == 0)

    # `nn.GroupNorm(reduction_axes=(-3, -2, -1))` agrees with this, but only up
    # to rounding, and does not take scale_bc and shift_bc. Here pixels are
    # averaged before channels, which reads memory in order, in one pass for
    # both moments.
    x32 = x_bthwc.astype(jnp.float32)
    first_btc = x32.mean((2, 3))
    second_btc = lax.square(x32).mean((2, 3))
    mean_btg = first_btc.reshape(b, t, groups, -1).mean(-1)
    square_btg = second_btc.reshape(b, t, groups, -1).mean(-1)
    variance_btg = jnp.maximum(square_btg - lax.square(mean_btg), 0)
    inverse_btg = lax.rsqrt(variance_btg + self.epsilon)

    # The rest is one multiplication and one addition for each number.
    scale_btc = jnp.repeat(inverse_btg, c // groups, -1) * gain_c[None, None]
    shift_btc = bias_c[None, None]
    shift_btc -= jnp.repeat(mean_btg, c // groups, -1) * scale_btc
    if scale_bc is not None:
      scale_btc *= 1 + scale_bc.astype(jnp.float32)[:, None]
      shift_btc *= 1 + scale_bc.astype(jnp.float32)[:, None]
    if shift_bc is not None:
      shift_btc += shift_bc.astype(jnp.float32)[:, None]
    y = x32 * scale_btc[:, :, None, None] + shift_btc[:, :, None, None]
    return batch_sharding.constrain(y.astype(x_bthwc.dtype))

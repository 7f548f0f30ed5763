"""Normalization of images, with a scale and an offset for each pixel.

Reference: Park et al., "Semantic Image Synthesis with Spatially-Adaptive
Normalization", 2019, https://arxiv.org/abs/1903.07291, equations (1) to (3).
Statistics here are those of each channel of one image, instead of those of a
batch, so that an image does not depend on others. As in the released code, the
scale is 1 plus the result of a convolution.
"""

from collections.abc import Sequence

import flax.linen as nn
from jax import lax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import generated_kernels

_EPSILON = 1e-5  # Added to variances.


def modulate(x_bhwc: Array, scale_bhwc: Array, offset_bhwc: Array) -> Array:
  """Returns normalized images times 1 + scale plus offset, `[b, h, w, c]`.

  Each channel of an image is normalized to mean 0 and variance 1. Statistics
  and result are float32.

  Args:
    x_bhwc: Images, or features of images.
    scale_bhwc: Scale of each pixel minus 1.
    offset_bhwc: Offset of each pixel.

  Raises:
    ValueError: If the shapes do not agree.
  """
  shapes.sizes(
    '', x_bhwc=x_bhwc, scale_bhwc=scale_bhwc, offset_bhwc=offset_bhwc
  )
  x_bhwc = x_bhwc.astype(jnp.float32)
  centred_bhwc = x_bhwc - x_bhwc.mean((1, 2), keepdims=True)
  variance_b11c = lax.square(centred_bhwc).mean((1, 2), keepdims=True)
  normalized_bhwc = centred_bhwc * lax.rsqrt(variance_b11c + _EPSILON)
  return normalized_bhwc * (1 + scale_bhwc) + offset_bhwc


class SPADE(nn.Module):
  """Normalizes images, then modulates them by a map (SPADE layer).

  Attributes:
    hidden: Channels between the map and the learned scale and offset.
    kernel_size: Side of the learned kernels, in pixels; odd.
    dtype: Dtype of the computation; parameters are float32.
  """

  hidden: int = 128
  kernel_size: int = 3
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.at_least('hidden', self.hidden, 1)
    if self.kernel_size % 2 == 0:
      raise ValueError(
        f'kernel_size is {self.kernel_size}; it must be odd, such as 3.'
      )

  @nn.compact
  def __call__(
    self,
    x_bhwc: Array,
    map_bhwd: Array,
    kernels: generated_kernels.Pointwise | None = None,
  ) -> Array:
    """Returns the modulated images, float32.

    Args:
      x_bhwc: Features of images.
      map_bhwd: Map of the same resolution that scale and offset are computed
        from, such as features of a layout.
      kernels: Kernels `[b, d, 2 * c]` of each image, which map `map_bhwd` to
        scale and offset; None for learned kernels, the same for all images.

    Raises:
      ValueError: If the shapes do not agree.
    """
    (c,) = shapes.sizes('c', x_bhwc=x_bhwc, map_bhwd=map_bhwd)
    if kernels is None:
      sides = (self.kernel_size, self.kernel_size)
      hidden = conv.Conv2D(self.hidden, sides, dtype=self.dtype, name='hidden')
      out = conv.Conv2D(2 * c, sides, dtype=self.dtype, name='scale_offset')
      both = out(nn.relu(hidden(map_bhwd)))
    else:
      both = generated_kernels.apply(map_bhwd, kernels)
    scale_bhwc, offset_bhwc = jnp.split(both.astype(jnp.float32), 2, axis=-1)
    return modulate(x_bhwc, scale_bhwc, offset_bhwc)


class ResidualBlock(nn.Module):
  """Two convolutions, each after a SPADE layer, with a skip connection.

  This is the block of the paper, but the skip connection has no SPADE layer.

  Attributes:
    features: Channels of the result.
    hidden: Hidden channels of SPADE layers.
    dtype: Dtype of the computation; parameters are float32.
  """

  features: int
  hidden: int = 128
  dtype: str = 'float32'

  @nn.compact
  def __call__(
    self,
    x_bhwc: Array,
    map_bhwd: Array,
    kernels: Sequence[generated_kernels.Pointwise] | None = None,
  ) -> Array:
    """Returns features of the same size, `[b, h, w, features]`.

    Args:
      x_bhwc: Features of images.
      map_bhwd: Map that scales and offsets are computed from; see `SPADE`.
      kernels: Kernels of the first and of the second SPADE layer, as in
        `SPADE`; None for learned ones.
    """
    y_bhwc = x_bhwc
    for i in range(2):
      norm = SPADE(self.hidden, dtype=self.dtype, name=f'spade_{i}')
      y_bhwc = norm(y_bhwc, map_bhwd, kernels[i] if kernels else None)
      layer = conv.Conv2D(
        self.features, (3, 3), dtype=self.dtype, name=f'conv_{i}'
      )
      y_bhwc = layer(nn.leaky_relu(y_bhwc, 0.2))
    if x_bhwc.shape[-1] != self.features:
      skip = nn.Dense(
        self.features, use_bias=False, dtype=self.dtype, name='skip'
      )
      x_bhwc = skip(x_bhwc)
    return batch_sharding.constrain(x_bhwc + y_bhwc)

"""Encoders and decoders of images with residual blocks between them.

The layers are those of Johnson et al., "Perceptual Losses for Real-Time Style
Transfer and Super-Resolution", 2016, https://arxiv.org/abs/1603.08155, and of
pix2pixHD, with group norm.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import norm as norm_lib
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids


class Conv(nn.Module):
  """A convolution with reflection padding, whose results are float32.

  Attributes:
    features: Channels of the result.
    size: Side of the kernel; odd.
    kernel_init: Initializer of the kernel.
    dtype: Dtype of the computation; parameters are float32.
  """

  features: int
  size: int
  kernel_init: Any = pyramids.initializer('lecun')
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x_bhwc: Array) -> Array:
    half = self.size // 2
    pad = ((0, 0), (half, half), (half, half), (0, 0))
    layer = conv.Conv2D(
      self.features,
      (self.size, self.size),
      padding='VALID',
      kernel_init=self.kernel_init,
      dtype=self.dtype,
    )
    return layer(jnp.pad(x_bhwc, pad, mode='reflect')).astype(jnp.float32)


class Block(nn.Module):
  """A residual block of two convolutions.

  Attributes:
    dtype: Dtype of the computation; parameters are float32.
  """

  dtype: str

  @nn.compact
  def __call__(self, x_bhwc: Array) -> Array:
    width = x_bhwc.shape[-1]
    y = nn.relu(normed(Conv(width, 3, dtype=self.dtype)(x_bhwc)))
    return x_bhwc + normed(Conv(width, 3, dtype=self.dtype)(y))


class Encoder(nn.Module):
  """Convolutions that halve height and width, followed by residual blocks.

  Attributes:
    width: Channels at full resolution; each halving doubles them.
    num_halvings: Number of convolutions that halve height and width.
    num_blocks: Number of residual blocks at the lowest resolution.
    kernel_size: Side of the kernel at full resolution; odd.
    dtype: Dtype of the computation; parameters are float32.
  """

  width: int
  num_halvings: int
  num_blocks: int
  kernel_size: int
  dtype: str

  @nn.compact
  def __call__(self, x_bhwc: Array) -> Array:
    first = Conv(self.width, self.kernel_size, dtype=self.dtype)
    x_bhwc = nn.relu(normed(first(x_bhwc)))
    for i in range(self.num_halvings):
      layer = conv.Conv2D(
        self.width * 2 ** (i + 1),
        (3, 3),
        (2, 2),
        ((1, 1), (1, 1)),
        dtype=self.dtype,
      )
      x_bhwc = nn.relu(normed(layer(x_bhwc)))
    for _ in range(self.num_blocks):
      x_bhwc = Block(self.dtype)(x_bhwc)
    return x_bhwc


class Decoder(nn.Module):
  """Residual blocks, followed by convolutions that double height and width.

  Attributes:
    num_doublings: Number of transposed convolutions, each of which doubles
      height and width, and halves the channels.
    num_blocks: Number of residual blocks at the lowest resolution.
    dtype: Dtype of the computation; parameters are float32.
  """

  num_doublings: int
  num_blocks: int
  dtype: str

  @nn.compact
  def __call__(self, x_bhwc: Array) -> Array:
    for _ in range(self.num_blocks):
      x_bhwc = Block(self.dtype)(x_bhwc)
    for _ in range(self.num_doublings):
      layer = conv.ConvTranspose2D(
        x_bhwc.shape[-1] // 2,
        (3, 3),
        (2, 2),
        kernel_init=pyramids.initializer('lecun', 4),
        dtype=self.dtype,
      )
      x_bhwc = nn.relu(normed(layer(x_bhwc)))
    return x_bhwc


def normed(x_bhwc: Array) -> Array:
  """Returns group-normalized features; call it in a compact method."""
  return norm_lib.FrameGroupNorm(min_channels=8)(x_bhwc[:, None])[:, 0]

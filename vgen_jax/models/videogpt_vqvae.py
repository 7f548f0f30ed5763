"""VideoGPT's tokenizer: a 3-D VQ-VAE with attention along each axis.

Reference: Yan et al., "VideoGPT: Video Generation using VQ-VAE and
Transformers", 2021, https://arxiv.org/abs/2104.10157. Layers are those of the
released code, https://github.com/wilson1yan/VideoGPT. A single level of
downsampling, with which the encoder of the released code fails, works here.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.attention import multi_head
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.convolution import conv

_AXES = {'time': 1, 'height': 2, 'width': 3}


class VideoGPTVQVAE(autoencoder.Autoencoder):
  """Maps clips to a grid of latents by strided convolutions, and back.

  Attributes:
    bottleneck: Module of nn/bottlenecks/; in the paper
      `nn.bottlenecks.quantize.EMAVQ`.
    width: Channels of all hidden layers.
    num_blocks: Residual blocks with attention, in the encoder and in the
      decoder.
    num_heads: Attention heads.
    downsample: Factors of downsampling of t, h and w; powers of 2, not all 1.
    num_channels: Channels of clips.
    dtype: Dtype of the computation; parameters and statistics are float32.
  """

  bottleneck: nn.Module
  width: Size = 240
  num_blocks: Count = 4
  num_heads: Size = 2
  downsample: tuple[int, int, int] = (4, 4, 4)
  num_channels: Size = 3
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    if max(self.downsample) < 2 or any(n & (n - 1) for n in self.downsample):
      raise ValueError(
        f'downsample is {self.downsample}; each number must be a power of 2,'
        ' and at least one more than 1.'
      )
    checks.multiple_of('width', self.width, self.num_heads, 'num_heads')

  def setup(self):
    super().setup()
    blocks = (self.width, self.num_blocks, self.num_heads)
    strides = _strides(self.downsample)
    self.encoder = _Encoder(*blocks, strides, self.dtype)
    self.decoder = _Decoder(*blocks, strides, self.dtype, self.num_channels)

  def latent_shape(self, clip_shape: ClipShape) -> ClipShape:
    sides = clip_shape[:3]
    checks.multiples_of(
      'The size (t, h, w) of the clips', sides, self.downsample, 'downsample'
    )
    t, h, w = (n // d for n, d in zip(sides, self.downsample, strict=True))
    return t, h, w, self.bottleneck.width

  def encode(self, video_bthwc: Array, *, train: bool = False) -> Array:
    self.latent_shape(shapes.sizes('thwc', video_bthwc=video_bthwc))
    return self.encoder(video_bthwc, train)

  def decode(self, latent_bthwd: Array, *, train: bool = False) -> Array:
    return self.decoder(latent_bthwd, train).astype(jnp.float32)


class _Stack(nn.Module):
  """Base class of encoder and decoder."""

  width: int
  num_blocks: int
  num_heads: int
  strides: tuple[tuple[int, int, int], ...]
  dtype: str

  def _blocks(self, x_bthwc: Array, train: bool) -> Array:
    for i in range(self.num_blocks):
      block = _Block(self.width, self.num_heads, self.dtype, name=f'block_{i}')
      x_bthwc = block(x_bthwc, train)
    return nn.relu(_norm(train, self.dtype, 'norm')(x_bthwc))


class _Encoder(_Stack):
  @nn.compact
  def __call__(self, x_bthwc: Array, train: bool) -> Array:
    layer = functools.partial(conv.Conv3D, self.width, dtype=self.dtype)
    for i, stride in enumerate(self.strides):
      x_bthwc = nn.relu(layer((4, 4, 4), stride, name=f'halve_{i}')(x_bthwc))
    x_bthwc = layer((3, 3, 3), name='last')(x_bthwc)
    return self._blocks(x_bthwc, train)


class _Decoder(_Stack):
  num_channels: int

  @nn.compact
  def __call__(self, latent_bthwd: Array, train: bool) -> Array:
    x_bthwc = nn.Dense(self.width, dtype=self.dtype, name='in')(latent_bthwd)
    x_bthwc = self._blocks(x_bthwc, train)
    layer = functools.partial(
      conv.ConvTranspose3D, kernel_size=(4, 4, 4), dtype=self.dtype
    )
    *inner, last = self.strides
    for i, stride in enumerate(inner):
      double = layer(self.width, strides=stride, name=f'double_{i}')
      x_bthwc = nn.relu(double(x_bthwc))
    return layer(self.num_channels, strides=last, name='out')(x_bthwc)


class _Block(nn.Module):
  """A residual block of two convolutions and attention along each axis.

  The results of attention along the axes are added.
  """

  width: int
  num_heads: int
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array, train: bool) -> Array:
    layer = functools.partial(conv.Conv3D, use_bias=False, dtype=self.dtype)
    y = nn.relu(_norm(train, self.dtype, 'norm_0')(x_bthwc))
    y = layer(self.width // 2, (3, 3, 3), name='near')(y)
    y = nn.relu(_norm(train, self.dtype, 'norm_1')(y))
    y = layer(self.width, (1, 1, 1), name='mix')(y)
    y = nn.relu(_norm(train, self.dtype, 'norm_2')(y))
    y = batch_sharding.constrain(y)
    return batch_sharding.constrain(
      x_bthwc
      + sum(self._attention(y, axis, name) for name, axis in _AXES.items())
    )

  def _attention(self, x_bthwc: Array, axis: int, name: str) -> Array:
    """Returns attention over positions that differ only along one axis."""
    layer = multi_head.MultiHeadAttention(
      self.width, self.num_heads, False, dtype=self.dtype, name=name
    )
    # Each line along the axis is a sequence.
    x_ghwnc = jnp.moveaxis(x_bthwc, axis, -2)
    y_bnc = layer(x_ghwnc.reshape(-1, *x_ghwnc.shape[-2:]))
    return jnp.moveaxis(y_bnc.reshape(x_ghwnc.shape), -2, axis)


def _norm(train: bool, dtype: str, name: str) -> nn.Module:
  return nn.BatchNorm(not train, momentum=0.9, dtype=dtype, name=name)


def _strides(
  downsample: tuple[int, int, int],
) -> tuple[tuple[int, int, int], ...]:
  """Returns the strides of each level; the first levels halve an axis."""
  num_levels = max(downsample).bit_length() - 1
  return tuple(
    tuple(2 if n >> level > 1 else 1 for n in downsample)
    for level in range(num_levels)
  )

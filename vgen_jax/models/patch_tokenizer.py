"""A small tokenizer over patches of clips that trains in minutes.

A dense layer maps each patch to the features of a token. A few convolutions
over tokens, before and after the bottleneck, combine neighbouring tokens, so
that one token need not encode where an edge is in its patch.
"""

import functools
import math

import einops
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.convolution import conv

_SPLIT = 'b (t p) (h q) (w r) c -> b t h w (p q r c)'
_JOIN = 'b t h w (p q r c) -> b (t p) (h q) (w r) c'


class PatchTokenizer(autoencoder.Autoencoder):
  """Maps each patch of a clip to one latent, and back.

  Attributes:
    bottleneck: Module of nn/bottlenecks/, such as `quantize.EMAVQ`.
    patch_size: Frames, rows and columns of a patch.
    width: Features of a token.
    encoder_blocks: Convolutions over tokens before the bottleneck.
    decoder_blocks: Convolutions over tokens after the bottleneck.
    num_channels: Channels of clips.
    dtype: Dtype of the computation. Parameters are float32.
  """

  bottleneck: nn.Module
  patch_size: tuple[Size, Size, Size] = (2, 8, 8)
  width: Size = 128
  encoder_blocks: Count = 1
  decoder_blocks: Count = 2
  num_channels: Size = 3
  dtype: str = 'float32'

  def setup(self):
    super().setup()
    self.encoder = _Encoder(self.width, self.encoder_blocks, self.dtype)
    patch = math.prod((*self.patch_size, self.num_channels))
    self.decoder = _Decoder(self.width, self.decoder_blocks, patch, self.dtype)

  def latent_shape(self, clip_shape: ClipShape) -> ClipShape:
    sides = clip_shape[:3]
    checks.multiples_of(
      'The size (t, h, w) of the clips', sides, self.patch_size, 'patch_size'
    )
    t, h, w = (n // p for n, p in zip(sides, self.patch_size, strict=True))
    return t, h, w, self.bottleneck.width

  def encode(self, video_bthwc: Array, *, train: bool = False) -> Array:
    del train  # Training and inference are the same.
    clip_shape = shapes.sizes('thwc', video_bthwc=video_bthwc)
    self.latent_shape(clip_shape)
    return self.encoder(einops.rearrange(video_bthwc, _SPLIT, **self._sides()))

  def decode(self, latent_bthwd: Array, *, train: bool = False) -> Array:
    del train  # Training and inference are the same.
    patches_bthwc = self.decoder(latent_bthwd)
    video_bthwc = einops.rearrange(patches_bthwc, _JOIN, **self._sides())
    return video_bthwc.astype(jnp.float32)

  def _sides(self) -> dict[str, int]:
    return dict(zip('pqr', self.patch_size, strict=True))


class _Encoder(nn.Module):
  """An encoder that ends with a norm, because FSQ needs bounded features."""

  width: int
  num_blocks: int
  dtype: str

  @nn.compact
  def __call__(self, patches_bthwc: Array) -> Array:
    x = nn.gelu(
      nn.Dense(self.width, dtype=self.dtype, name='in')(patches_bthwc)
    )
    x = _blocks(batch_sharding.constrain(x), self.num_blocks, self.dtype)
    return nn.LayerNorm(dtype=self.dtype, name='norm')(x)


class _Decoder(nn.Module):
  width: int
  num_blocks: int
  patch: int
  dtype: str

  @nn.compact
  def __call__(self, latent_bthwd: Array) -> Array:
    dense = nn.Dense(self.width, dtype=self.dtype, name='in')
    x = batch_sharding.constrain(nn.gelu(dense(latent_bthwd)))
    x = _blocks(x, self.num_blocks, self.dtype)
    return batch_sharding.constrain(
      nn.Dense(self.patch, dtype=self.dtype, name='out')(x)
    )


def _blocks(x_bthwd: Array, num_blocks: int, dtype: str) -> Array:
  """Returns tokens after residual convolutions over neighbouring tokens."""
  width = x_bthwd.shape[-1]
  layer = functools.partial(conv.Conv3D, width, (3, 3, 3), dtype=dtype)
  for i in range(num_blocks):
    x_bthwd += nn.gelu(layer(name=f'near_{i}')(x_bthwd))
    x_bthwd = batch_sharding.constrain(x_bthwd)
  return x_bthwd

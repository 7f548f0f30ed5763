"""A small video U-Net over patches that sees the whole clip in its middle.

Made to learn in minutes: convolutions within frames and taps across them at
every level, over patches instead of pixels, and attention only where few places
are left, there over all frames and places at once. Hoogeboom et al., "simple
diffusion: End-to-end diffusion for high resolution images", 2023,
https://arxiv.org/abs/2301.11093, argue for this division of labour in images.

Places are learned: a clip has a first frame and an upper left corner, and where
an object can be when decides where it may go. So a network serves clips of one
shape only.
"""

import functools

import einops
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.nn import embeddings
from vgen_jax.nn.attention import attention
from vgen_jax.nn.convolution import conv

# How to cut parameters over the mesh axis 'tensor': none, the layers are too
# narrow to gain by it.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = ()

_GROUPS = 8  # Of channels that are normalized together.
_SPLIT = 'b t (h p) (w q) c -> b t h w (p q c)'
_JOIN = 'b t h w (p q c) -> b t (h p) (w q) c'
_zeros = nn.initializers.zeros_init()


class PatchUNet(nn.Module):
  """Maps a noisy clip and its time to a field of the clip's shape.

  The output is exactly zero before training.

  Attributes:
    width: Channels of the finest level; a multiple of 8.
    multipliers: Channels of each level, in widths; each level after the first
      halves height and width. Frames are never merged.
    blocks_per_level: Residual blocks of a level on each way, down and up.
    middle_blocks: Residual blocks in the middle; each stands between two
      layers of attention.
    num_heads: Attention heads.
    patch_size: Side of the squares of pixels that the finest level takes as one
      each.
    temporal_kernel: Frames that each block sees at once; odd.
    num_classes: Number of labels; 0 makes a label an error.
    dtype: Of products and activations. Parameters and statistics are float32.
  """

  width: int
  multipliers: tuple[int, ...] = (1, 2)
  blocks_per_level: int = 1
  middle_blocks: int = 1
  num_heads: int = 4
  patch_size: int = 2
  temporal_kernel: int = 3
  num_classes: int = 0
  dtype: str = 'float32'

  @nn.compact
  def __call__(
    self,
    video_bthwc: Array,
    time_b: Array,
    condition: Condition,
    *,
    train: bool,
  ) -> Array:
    del train  # Nothing here differs.
    h, w, c = shapes.sizes('hwc', video_bthwc=video_bthwc)
    shapes.sizes('b', video_bthwc=video_bthwc, time_b=time_b)
    self._check(h, w)
    patch = {'p': self.patch_size, 'q': self.patch_size}
    square = {'p': 2, 'q': 2}
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    cond_bd = nn.silu(
      embeddings.TimeAndLabel(
        4 * self.width,
        self.num_classes,
        self.dtype,
        label_scale=0.3,
        name='condition',
      )(time_b, condition)
    )

    def block(level: int, name: str) -> nn.Module:
      features = self.width * self.multipliers[level]
      return functools.partial(
        _Block(features, self.temporal_kernel, self.dtype, name=name),
        cond_bd=cond_bd,
      )

    patches = einops.rearrange(video_bthwc, _SPLIT, **patch)
    x = _Place(name='place')(dense(self.width, name='in')(patches))
    last = len(self.multipliers) - 1
    skips = []
    for level, multiplier in enumerate(self.multipliers):
      if level:
        x = einops.rearrange(x, _SPLIT, **square)
        x = dense(self.width * multiplier, name=f'half_{level}')(x)
      for i in range(self.blocks_per_level):
        x = block(level, f'down_{level}_{i}')(x)
        skips.append(x)

    look = functools.partial(_Attention, self.num_heads, self.dtype)
    x = _Place(name='middle_place')(x)
    for i in range(self.middle_blocks):
      x = look(name=f'look_{i}')(x)
      x = block(last, f'middle_{i}')(x)
    x = look(name=f'look_{self.middle_blocks}')(x)

    for level in range(last, -1, -1):
      for i in range(self.blocks_per_level):
        x = jnp.concatenate([x, skips.pop()], axis=-1)
        x = block(level, f'up_{level}_{i}')(x)
      if level:
        finer = 4 * self.width * self.multipliers[level - 1]
        x = dense(finer, name=f'double_{level}')(x)
        x = einops.rearrange(x, _JOIN, **square)
    x = block(0, 'last')(x)

    x = nn.silu(_norm(self.dtype, name='out_norm')(x))
    # What is noise is plainest in the input itself.
    x = jnp.concatenate([x, patches.astype(x.dtype)], axis=-1)
    x = dense(c * self.patch_size**2, kernel_init=_zeros, name='out')(x)
    return einops.rearrange(x, _JOIN, **patch).astype(jnp.float32)

  def _check(self, h: int, w: int):
    side = self.patch_size * 2 ** (len(self.multipliers) - 1)
    if h % side or w % side:
      raise ValueError(
        f'Frames are {h} x {w}; {len(self.multipliers)} levels over patches of'
        f' {self.patch_size} need sides that are multiples of {side}. Take'
        ' fewer multipliers, smaller patches or other frames.'
      )
    if self.width % _GROUPS:
      raise ValueError(
        f'width is {self.width}; it must be a multiple of {_GROUPS}, the number'
        ' of groups that are normalized.'
      )
    if self.width * self.multipliers[-1] % self.num_heads:
      raise ValueError(
        f'num_heads is {self.num_heads}; it must divide the'
        f' {self.width * self.multipliers[-1]} channels of the middle.'
      )
    if self.temporal_kernel % 2 == 0:
      raise ValueError(
        f'temporal_kernel is {self.temporal_kernel}; it must be odd, to have a'
        ' frame in its middle.'
      )


class _Place(nn.Module):
  """Adds what is learned of each frame, row and column together."""

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    place_thwc = self.param(
      'table', nn.initializers.normal(0.1), x_bthwc.shape[1:]
    )
    return x_bthwc + place_thwc[None].astype(x_bthwc.dtype)


class _Block(nn.Module):
  """A convolution in space, then, told the condition, one in time."""

  features: int
  temporal_kernel: int
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array, cond_bd: Array) -> Array:
    conv3d = functools.partial(conv.Conv3D, self.features, dtype=self.dtype)
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    scale_bc, shift_bc = jnp.split(
      dense(2 * self.features, name='modulation')(cond_bd), 2, axis=-1
    )
    y = nn.silu(_norm(self.dtype, name='norm_0')(x_bthwc))
    y = conv3d((1, 3, 3), name='space')(y)
    y = _norm(self.dtype, name='norm_1')(y)
    y = y * (1 + scale_bc[:, None, None, None]) + shift_bc[:, None, None, None]
    taps = (self.temporal_kernel, 1, 1)
    y = conv3d(taps, kernel_init=_zeros, name='time')(nn.silu(y))
    if x_bthwc.shape[-1] != self.features:
      x_bthwc = dense(self.features, name='skip')(x_bthwc)
    return x_bthwc + y


class _Attention(nn.Module):
  """Adds what all places of all frames tell each other."""

  num_heads: int
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    b, c = shapes.sizes('bc', x_bthwc=x_bthwc)
    dense = functools.partial(nn.Dense, c, use_bias=False, dtype=self.dtype)
    y_bnc = nn.LayerNorm(dtype=self.dtype, name='norm')(
      x_bthwc.reshape(b, -1, c)
    )
    query, key, value = (
      dense(name=name)(y_bnc).reshape(*y_bnc.shape[:2], self.num_heads, -1)
      for name in ('query', 'key', 'value')
    )
    query = nn.RMSNorm(dtype=self.dtype, name='query_norm')(query)
    key = nn.RMSNorm(dtype=self.dtype, name='key_norm')(key)
    y_bnc = attention.attend(query, key, value).reshape(y_bnc.shape)
    y_bnc = dense(kernel_init=_zeros, name='out')(y_bnc)
    return x_bthwc + y_bnc.reshape(x_bthwc.shape)


def _norm(dtype: str, name: str) -> nn.Module:
  """Normalizes groups of channels over the whole clip."""
  return nn.GroupNorm(_GROUPS, dtype=dtype, name=name)

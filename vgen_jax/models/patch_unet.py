"""A small video U-Net over patches with full attention at its coarsest level.

The network is designed to train in minutes. Every level has convolutions within
frames and across frames, over patches instead of pixels. Only the coarsest
level, which has few positions, has attention, over all frames and positions at
once. Hoogeboom et al., "simple diffusion: End-to-end diffusion for high
resolution images", 2023, https://arxiv.org/abs/2301.11093, argue for this
design for images.

Position embeddings are learned for each frame, row and column, so a network is
built for clips of one shape.
"""

import functools

import einops
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.core.types import Sizes
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings
from vgen_jax.nn.attention import multi_head
from vgen_jax.nn.convolution import conv

# No parameters are sharded over the mesh axis 'tensor': the layers are too
# narrow to benefit.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = ()

_GROUPS = 8  # Groups of channels of a group norm.
_SPLIT = 'b t (h p) (w q) c -> b t h w (p q c)'
_JOIN = 'b t h w (p q c) -> b t (h p) (w q) c'
_zeros = nn.initializers.zeros_init()


class PatchUNet(nn.Module):
  """Maps a noisy clip and its time to an array of the clip's shape.

  The output is exactly zero before training.

  Attributes:
    width: Channels of the finest level; a multiple of 8.
    multipliers: Channels of each level, as multiples of width; each level after
      the first halves height and width. The number of frames stays the same.
    blocks_per_level: Residual blocks of a level, in the encoder and in the
      decoder.
    middle_blocks: Residual blocks in the middle; each is between two layers of
      attention.
    num_heads: Attention heads.
    patch_size: Side of the patches, in pixels, that the finest level processes.
    temporal_kernel: Frames in the kernel of a block's convolution across
      frames; odd.
    num_classes: Number of labels; 0 makes a label an error.
    dtype: Dtype of the computation; parameters and statistics are float32.
  """

  width: Size
  multipliers: Sizes = (1, 2)
  blocks_per_level: Count = 1
  middle_blocks: Count = 1
  num_heads: Size = 4
  patch_size: Size = 2
  temporal_kernel: Size = 3
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
    """Returns the output of the denoiser, float32 `[b, t, h, w, c]`.

    Args:
      video_bthwc: Noisy clips.
      time_b: Times in [0, 1], from 0 (noise) to 1 (data).
      condition: Condition that may have 'label', int32 `[b]`; num_classes
        stands for no label.
      train: Not used; training and inference are the same.

    Raises:
      ValueError: If clips do not divide into patches or levels, or there is a
        label and num_classes is 0.
    """
    del train  # Training and inference are the same.
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
    x = batch_sharding.constrain(dense(self.width, name='in')(patches))
    x = _Position(name='place')(x)
    last = len(self.multipliers) - 1
    skips = []
    for level, multiplier in enumerate(self.multipliers):
      if level:
        x = einops.rearrange(x, _SPLIT, **square)
        x = dense(self.width * multiplier, name=f'half_{level}')(x)
      for i in range(self.blocks_per_level):
        x = block(level, f'down_{level}_{i}')(x)
        skips.append(x)

    attention = functools.partial(_Attention, self.num_heads, self.dtype)
    x = _Position(name='middle_place')(x)
    for i in range(self.middle_blocks):
      x = attention(name=f'look_{i}')(x)
      x = block(last, f'middle_{i}')(x)
    x = attention(name=f'look_{self.middle_blocks}')(x)

    for level in range(last, -1, -1):
      for i in range(self.blocks_per_level):
        x = jnp.concatenate([x, skips.pop()], axis=-1)
        x = block(level, f'up_{level}_{i}')(x)
      if level:
        finer = 4 * self.width * self.multipliers[level - 1]
        x = batch_sharding.constrain(dense(finer, name=f'double_{level}')(x))
        x = einops.rearrange(x, _JOIN, **square)
    x = block(0, 'last')(x)

    x = nn.silu(_norm(self.dtype, name='out_norm')(x))
    # The unprocessed input shows the noise best.
    x = jnp.concatenate([x, patches.astype(x.dtype)], axis=-1)
    x = dense(c * self.patch_size**2, kernel_init=_zeros, name='out')(
      batch_sharding.constrain(x)
    )
    return einops.rearrange(x, _JOIN, **patch).astype(jnp.float32)

  def _check(self, h: int, w: int):
    side = self.patch_size * 2 ** (len(self.multipliers) - 1)
    if h % side or w % side:
      raise ValueError(
        f'Frames are {h} x {w} pixels; with {len(self.multipliers)} levels and'
        f' patch_size {self.patch_size}, both sides must be multiples of'
        f' {side}. Use fewer multipliers, a smaller patch_size or other frames.'
      )
    checks.multiple_of('width', self.width, _GROUPS, 'the number of groups')
    checks.multiple_of(
      'The number of channels of the coarsest level',
      self.width * self.multipliers[-1],
      self.num_heads,
      'num_heads',
    )
    if self.temporal_kernel % 2 == 0:
      raise ValueError(
        f'temporal_kernel is {self.temporal_kernel}; it must be odd, so that it'
        ' has a middle frame.'
      )


class _Position(nn.Module):
  """Adds a learned embedding of each position (frame, row, column)."""

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    position_thwc = self.param(
      'table', nn.initializers.normal(0.1), x_bthwc.shape[1:]
    )
    return x_bthwc + position_thwc[None].astype(x_bthwc.dtype)


class _Block(nn.Module):
  """A convolution in space, modulation by the condition, and one in time."""

  features: int
  temporal_kernel: int
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array, cond_bd: Array) -> Array:
    conv3d = functools.partial(conv.Conv3D, self.features, dtype=self.dtype)
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    style_bc = batch_sharding.constrain(
      dense(2 * self.features, name='modulation')(cond_bd)
    )
    scale_bc, shift_bc = map(
      batch_sharding.constrain, jnp.split(style_bc, 2, axis=-1)
    )
    x_bthwc = batch_sharding.constrain(x_bthwc)
    y = nn.silu(_norm(self.dtype, name='norm_0')(x_bthwc))
    y = conv3d((1, 3, 3), name='space')(y)
    y = _norm(self.dtype, name='norm_1')(y)
    y = y * (1 + scale_bc[:, None, None, None]) + shift_bc[:, None, None, None]
    taps = (self.temporal_kernel, 1, 1)
    y = conv3d(taps, kernel_init=_zeros, name='time')(nn.silu(y))
    if x_bthwc.shape[-1] != self.features:
      x_bthwc = dense(self.features, name='skip')(x_bthwc)
    return batch_sharding.constrain(x_bthwc + y)


class _Attention(nn.Module):
  """Adds attention over all positions of all frames."""

  num_heads: int
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    b, c = shapes.sizes('bc', x_bthwc=x_bthwc)
    attention = multi_head.MultiHeadAttention(
      c,
      self.num_heads,
      input_bias=False,
      output_bias=False,
      qk_norm=True,
      output_init=_zeros,
      dtype=self.dtype,
    )
    nn.share_scope(self, attention)
    y_bnc = nn.LayerNorm(dtype=self.dtype, name='norm')(
      x_bthwc.reshape(b, -1, c)
    )
    return batch_sharding.constrain(
      x_bthwc + attention(y_bnc).reshape(x_bthwc.shape)
    )


def _norm(dtype: str, name: str) -> nn.Module:
  """Returns a group norm over the whole clip."""
  return nn.GroupNorm(_GROUPS, dtype=dtype, name=name)

"""Video U-Net: convolutions within frames, attention and taps across them.

Ho et al., "Video Diffusion Models", 2022, https://arxiv.org/abs/2204.03458: a
U-Net of images, its convolutions turned into 1 x 3 x 3, each attention within
frames followed by one across frames. Ours differs in this: positions in time
are rotary instead of relative biases; attention across frames has levels of its
own; `temporal_kernel` adds convolutions across frames, which are cheaper;
`patch_size` spares the finest levels, as in Hoogeboom et al., "simple
diffusion", 2023, https://arxiv.org/abs/2301.11093; and group norm takes the
statistics of a frame, not of the clip, so that only the layers for time mix
frames.
"""

import functools

import einops
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.nn import embeddings
from vgen_jax.nn import norm
from vgen_jax.nn import remat
from vgen_jax.nn.attention import attention
from vgen_jax.nn.convolution import conv

# How to cut parameters over the mesh axis 'tensor': none, a U-Net's layers are
# too narrow to gain by it.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = ()

_zeros = nn.initializers.zeros_init()
_Norm = functools.partial(norm.FrameGroupNorm, min_channels=4)


class UNet3D(nn.Module):
  """Maps a noisy clip and its time to a field of the clip's shape.

  The output is exactly zero before training.

  Attributes:
    width: Channels of the finest level.
    multipliers: Channels of each level, in widths; each level after the first
      halves height and width. Frames are never merged.
    blocks_per_level: Residual blocks of a level on the way down; there is one
      more on the way up.
    attention_levels: Levels, from 0, where the pixels of a frame see each
      other; the middle of the network is always such a place.
    temporal_attention_levels: Levels where the frames of a pixel see each
      other; the middle always is, unless this is None: then frames never do.
    head_width: Channels of an attention head.
    patch_size: Side of the squares of pixels that the finest level takes as one
      each; 1 takes pixels as they are. A cheap way to large frames.
    temporal_kernel: Frames that a convolution across frames sees, one after
      each residual block; odd; 1 builds none.
    num_classes: Number of labels; 0 makes a label an error.
    dropout: Rate of dropout in residual blocks.
    remat: What is kept for the backward pass; see nn/remat.py.
    dtype: Of products and activations. Parameters and statistics are float32.
  """

  width: int
  multipliers: tuple[int, ...] = (1, 2, 4)
  blocks_per_level: int = 2
  attention_levels: tuple[int, ...] = (1, 2)
  temporal_attention_levels: tuple[int, ...] | None = (1, 2)
  head_width: int = 32
  patch_size: int = 1
  temporal_kernel: int = 1
  num_classes: int = 0
  dropout: float = 0.0
  remat: str = 'none'
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
    h, w, c = shapes.sizes('hwc', video_bthwc=video_bthwc)
    shapes.sizes('b', video_bthwc=video_bthwc, time_b=time_b)
    self._check(h, w)
    patch = {'p': self.patch_size, 'q': self.patch_size}
    cond_bd = nn.silu(
      embeddings.TimeAndLabel(
        4 * self.width, self.num_classes, self.dtype, name='condition'
      )(time_b, condition)
    )
    stage_class = remat.wrap(_Stage, self.remat)

    def stage(level: int, name: str, *, middle: bool = False) -> nn.Module:
      across = self.temporal_attention_levels
      return stage_class(
        self.width * self.multipliers[level],
        sees_pixels=middle or level in self.attention_levels,
        sees_frames=across is not None and (middle or level in across),
        head_width=self.head_width,
        temporal_kernel=self.temporal_kernel,
        dropout=self.dropout,
        train=train,
        dtype=self.dtype,
        name=name,
      )

    conv3x3 = functools.partial(
      conv.Conv3D, kernel_size=(1, 3, 3), dtype=self.dtype
    )
    last = len(self.multipliers) - 1
    x = einops.rearrange(
      video_bthwc, 'b t (h p) (w q) c -> b t h w (p q c)', **patch
    )
    x = conv3x3(self.width, name='in')(x)
    skips = [x]
    for level, multiplier in enumerate(self.multipliers):
      for i in range(self.blocks_per_level):
        x = stage(level, f'down_{level}_{i}')(x, cond_bd)
        skips.append(x)
      if level < last:
        half = conv3x3(self.width * multiplier, strides=(1, 2, 2))
        x = half.copy(name=f'half_{level}')(x)
        skips.append(x)

    x = stage(last, 'middle_0', middle=True)(x, cond_bd)
    x = stage(last, 'middle_1')(x, cond_bd)

    for level in range(last, -1, -1):
      for i in range(self.blocks_per_level + 1):
        x = jnp.concatenate([x, skips.pop()], axis=-1)
        x = stage(level, f'up_{level}_{i}')(x, cond_bd)
      if level:
        x = conv.ConvTranspose3D(
          x.shape[-1],
          (1, 4, 4),
          (1, 2, 2),
          dtype=self.dtype,
          name=f'double_{level}',
        )(x)
    x = nn.silu(_Norm(name='out_norm')(x))
    out = conv3x3(c * self.patch_size**2, kernel_init=_zeros, name='out')
    x = einops.rearrange(
      out(x), 'b t h w (p q c) -> b t (h p) (w q) c', **patch
    )
    return x.astype(jnp.float32)

  def _check(self, h: int, w: int):
    side = self.patch_size * 2 ** (len(self.multipliers) - 1)
    if h % side or w % side:
      raise ValueError(
        f'Frames are {h} x {w}; {len(self.multipliers)} levels over patches of'
        f' {self.patch_size} need sides that are multiples of {side}. Take'
        ' fewer multipliers, smaller patches or other frames.'
      )
    if self.temporal_kernel % 2 == 0:
      raise ValueError(
        f'temporal_kernel is {self.temporal_kernel}; it must be odd, to have a'
        ' frame in its middle.'
      )


class _Stage(nn.Module):
  """A residual block, then what looks further: in space, then in time."""

  features: int
  sees_pixels: bool
  sees_frames: bool
  head_width: int
  temporal_kernel: int
  dropout: float
  train: bool
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array, cond_bd: Array) -> Array:
    conv3d = functools.partial(conv.Conv3D, self.features, dtype=self.dtype)
    modulation = nn.Dense(
      2 * self.features, dtype=self.dtype, name='modulation'
    )
    scale_bc, shift_bc = jnp.split(modulation(cond_bd), 2, axis=-1)

    y = nn.silu(_Norm(name='norm_0')(x_bthwc))
    y = conv3d((1, 3, 3), name='conv_0')(y)
    y = nn.silu(_Norm(name='norm_1')(y, scale_bc, shift_bc))
    y = nn.Dropout(self.dropout, deterministic=not self.train)(y)
    y = conv3d((1, 3, 3), kernel_init=_zeros, name='conv_1')(y)
    if x_bthwc.shape[-1] != self.features:
      x_bthwc = nn.Dense(self.features, dtype=self.dtype, name='skip')(x_bthwc)
    x_bthwc += y

    if self.temporal_kernel > 1:
      y = nn.silu(_Norm(name='norm_2')(x_bthwc))
      taps = (self.temporal_kernel, 1, 1)
      x_bthwc += conv3d(taps, kernel_init=_zeros, name='conv_2')(y)
    look = functools.partial(_Attention, self.head_width, dtype=self.dtype)
    if self.sees_pixels:
      x_bthwc = look(across='pixels', name='space')(x_bthwc)
    if self.sees_frames:
      x_bthwc = look(across='frames', name='time')(x_bthwc)
    return x_bthwc


class _Attention(nn.Module):
  """Adds what the pixels of a frame, or the frames of a pixel, tell it."""

  head_width: int
  across: str
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    b, t, h, w, c = shapes.sizes('bthwc', x_bthwc=x_bthwc)
    if c % self.head_width:
      raise ValueError(
        f'head_width is {self.head_width}; it must divide the {c} channels of'
        ' each level with attention.'
      )
    y = _Norm(name='norm')(x_bthwc)
    if self.across == 'pixels':
      y_bnc = y.reshape(b * t, h * w, c)
    else:
      y_bnc = y.reshape(b, t, h * w, c).swapaxes(1, 2).reshape(-1, t, c)
    dense = functools.partial(nn.Dense, c, use_bias=False, dtype=self.dtype)
    query, key, value = (
      dense(name=name)(y_bnc).reshape(*y_bnc.shape[:2], -1, self.head_width)
      for name in ('query', 'key', 'value')
    )
    if self.across == 'frames':  # Convolutions tell pixels apart, not frames.
      angle = embeddings.rotary_grid((t,), self.head_width)
      query = embeddings.rotate(query, angle)
      key = embeddings.rotate(key, angle)
    y_bnc = attention.attend(query, key, value).reshape(y_bnc.shape)
    y_bnc = dense(kernel_init=_zeros, name='out')(y_bnc)
    if self.across == 'frames':
      y_bnc = y_bnc.reshape(b, h * w, t, c).swapaxes(1, 2)
    return x_bthwc + y_bnc.reshape(b, t, h, w, c)

"""Video U-Net: convolutions within frames, and attention across frames.

Ho et al., "Video Diffusion Models", 2022, https://arxiv.org/abs/2204.03458: a
U-Net of images with convolutions of 1 x 3 x 3, where attention across frames
follows each attention within frames. This one differs as follows. Positions in
time are rotary instead of relative biases. The levels of attention across
frames are chosen separately. `temporal_kernel` adds convolutions across frames,
which are cheaper. `patch_size` replaces the finest levels by patches, as in
Hoogeboom et al., "simple diffusion", 2023, https://arxiv.org/abs/2301.11093.
Group norm uses the statistics of a frame instead of those of the clip, so that
only the temporal layers mix frames.
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
from vgen_jax.core.types import Rate
from vgen_jax.core.types import Size
from vgen_jax.core.types import Sizes
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings
from vgen_jax.nn import norm
from vgen_jax.nn import remat
from vgen_jax.nn.attention import multi_head
from vgen_jax.nn.convolution import conv

# No parameters are sharded over the mesh axis 'tensor': the layers of a U-Net
# are too narrow to benefit.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = ()

_LEVELS = (1, 2)  # Levels with attention by default, as far as they exist.
_zeros = nn.initializers.zeros_init()
_Norm = functools.partial(norm.FrameGroupNorm, min_channels=4)


class UNet3D(nn.Module):
  """Maps a noisy clip and its time to an array of the clip's shape.

  The output is exactly zero before training.

  Attributes:
    width: Channels of the finest level.
    multipliers: Channels of each level, as multiples of width; each level after
      the first halves height and width. The number of frames stays the same.
    blocks_per_level: Residual blocks of a level of the encoder; a level of the
      decoder has one more.
    attention_levels: Levels, from 0, with attention over the pixels of a frame.
      The middle of the network always has it. The default may name levels that
      a network with fewer levels does not have; other values may not.
    temporal_attention_levels: Levels with attention over the frames of a pixel.
      The middle also has it, unless this is None: then no level has it.
    head_width: Channels of an attention head.
    patch_size: Side of the patches, in pixels, that the finest level processes;
      1 for pixels. Larger patches make large frames cheaper.
    temporal_kernel: Frames in the kernel of the convolution across frames that
      follows each residual block; odd; 1 for no such convolution.
    num_classes: Number of labels; 0 makes a label an error.
    dropout: Dropout rate in residual blocks.
    remat: What is kept for the backward pass; see nn/remat.py.
    dtype: Dtype of the computation; parameters and statistics are float32.
  """

  width: Size
  multipliers: Sizes = (1, 2, 4)
  blocks_per_level: Count = 2
  attention_levels: tuple[Count, ...] = _LEVELS
  temporal_attention_levels: tuple[Count, ...] | None = _LEVELS
  head_width: Size = 32
  patch_size: Size = 1
  temporal_kernel: Size = 1
  num_classes: int = 0
  dropout: Rate = 0.0
  remat: str = 'none'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    num_levels = len(self.multipliers)
    for field in ('attention_levels', 'temporal_attention_levels'):
      levels = tuple(getattr(self, field) or ())
      if levels != _LEVELS and not set(levels) <= set(range(num_levels)):
        raise ValueError(
          f'{field} is {levels}, but there are {num_levels} levels, one for'
          f' each of multipliers; each must be from 0 to {num_levels - 1}.'
        )

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
      train: Whether dropout is on.

    Raises:
      ValueError: If clips do not divide into patches or levels, or there is a
        label and num_classes is 0.
    """
    h, w, c = shapes.sizes('hwc', video_bthwc=video_bthwc)
    shapes.sizes('b', video_bthwc=video_bthwc, time_b=time_b)
    self._check(h, w)
    patch = {'p': self.patch_size, 'q': self.patch_size}
    cond_bd = nn.silu(
      embeddings.TimeAndLabel(
        4 * self.width,
        self.num_classes,
        self.dtype,
        label_scale=0.3,
        name='condition',
      )(time_b, condition)
    )
    stage_class = remat.wrap(_Stage, self.remat)

    def stage(level: int, name: str, *, middle: bool = False) -> nn.Module:
      temporal = self.temporal_attention_levels
      return stage_class(
        self.width * self.multipliers[level],
        attends_to_pixels=middle or level in self.attention_levels,
        attends_to_frames=(
          temporal is not None and (middle or level in temporal)
        ),
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
        f'Frames are {h} x {w} pixels; with {len(self.multipliers)} levels and'
        f' patch_size {self.patch_size}, both sides must be multiples of'
        f' {side}. Use fewer multipliers, a smaller patch_size or other frames.'
      )
    if self.temporal_kernel % 2 == 0:
      raise ValueError(
        f'temporal_kernel is {self.temporal_kernel}; it must be odd, so that it'
        ' has a middle frame.'
      )


class _Stage(nn.Module):
  """A residual block, then temporal convolution and attention, if any."""

  features: int
  attends_to_pixels: bool
  attends_to_frames: bool
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
    style_bc = batch_sharding.constrain(modulation(cond_bd))
    scale_bc, shift_bc = map(
      batch_sharding.constrain, jnp.split(style_bc, 2, axis=-1)
    )

    y = nn.silu(_Norm(name='norm_0')(x_bthwc))
    y = conv3d((1, 3, 3), name='conv_0')(y)
    y = nn.silu(_Norm(name='norm_1')(y, scale_bc, shift_bc))
    y = nn.Dropout(self.dropout, deterministic=not self.train)(y)
    y = conv3d((1, 3, 3), kernel_init=_zeros, name='conv_1')(y)
    if x_bthwc.shape[-1] != self.features:
      x_bthwc = nn.Dense(self.features, dtype=self.dtype, name='skip')(x_bthwc)
    x_bthwc = batch_sharding.constrain(x_bthwc + y)

    if self.temporal_kernel > 1:
      y = nn.silu(_Norm(name='norm_2')(x_bthwc))
      taps = (self.temporal_kernel, 1, 1)
      x_bthwc += conv3d(taps, kernel_init=_zeros, name='conv_2')(y)
    attention = functools.partial(_Attention, self.head_width, dtype=self.dtype)
    if self.attends_to_pixels:
      x_bthwc = attention(across='pixels', name='space')(x_bthwc)
    if self.attends_to_frames:
      x_bthwc = attention(across='frames', name='time')(x_bthwc)
    return batch_sharding.constrain(x_bthwc)


class _Attention(nn.Module):
  """Adds attention over the pixels of each frame or the frames of each pixel.

  Attributes:
    head_width: Channels of a head.
    across: 'pixels' or 'frames'.
    dtype: Dtype of matrix products.
  """

  head_width: int
  across: str
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    x_bthwc = batch_sharding.constrain(x_bthwc)
    b, t, h, w, c = shapes.sizes('bthwc', x_bthwc=x_bthwc)
    checks.multiple_of(
      'The number of channels of a level with attention',
      c,
      self.head_width,
      'head_width',
    )
    attention = multi_head.MultiHeadAttention(
      c,
      c // self.head_width,
      input_bias=False,
      output_bias=False,
      output_init=_zeros,
      dtype=self.dtype,
    )
    nn.share_scope(self, attention)
    y = _Norm(name='norm')(x_bthwc)
    if self.across == 'pixels':
      y_bnc = attention(y.reshape(b * t, h * w, c))
      return x_bthwc + y_bnc.reshape(x_bthwc.shape)
    y_bnc = y.reshape(b, t, h * w, c).swapaxes(1, 2).reshape(-1, t, c)
    # Convolutions depend on the order of pixels, but not on that of frames.
    angle_np = embeddings.rotary_grid((t,), self.head_width)
    y_bnc = attention(y_bnc, angle_np=angle_np)
    y_btsc = y_bnc.reshape(b, h * w, t, c).swapaxes(1, 2)
    return x_bthwc + y_btsc.reshape(x_bthwc.shape)

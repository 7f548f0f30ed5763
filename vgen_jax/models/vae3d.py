"""Causal 3-D autoencoder: the first frame has latents of its own.

The autoencoder is similar to those of MAGVIT-2 (Yu et al., "Language Model
Beats Diffusion: Tokenizer is Key to Visual Generation", 2023,
https://arxiv.org/abs/2310.05737) and Wan (Wan Team, "Wan: Open and Advanced
Large-Scale Video Generative Models", 2025, https://arxiv.org/abs/2503.20314):
no frame depends on a later one. So an image is a clip of one frame, and long
clips can be processed in chunks, for which each layer keeps its last input
frames in the collection 'past'. There are two differences from Wan's
autoencoder. Layers that halve or double the number of frames are padded with
zeros before a clip, like all other layers, instead of passing the first chunk
unchanged. Attention heads have a width that fast kernels support.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.core.types import Sizes
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.convolution import causal
from vgen_jax.nn.convolution import tiling

# No parameters are sharded over the mesh axis 'tensor': layers are narrow.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = ()


class VAE3D(autoencoder.Autoencoder):
  """Maps 1 + n * k frames to 1 + k frames of latents, and back.

  The first frame of latents encodes the first frame, and each later one encodes
  n frames, where n is `frames_per_latent`.

  Attributes:
    bottleneck: Module of nn/bottlenecks/gaussian.py, nn/bottlenecks/quantize.py
      or nn/bottlenecks/lookup_free.py.
    width: Channels of the finest level.
    multipliers: Channels of each level, as multiples of width; each level after
      the first halves height and width.
    halves_time: For each level after the first, whether it also halves the
      number of frames.
    num_blocks: Residual blocks of a level of the encoder; a level of the
      decoder has one more.
    temporal_kernel: Frames in the kernel of a convolution, the current one and
      those before. 1 makes a network of images; then halves_time must be False
      at all levels.
    attends: Whether the middle has attention over the pixels of a frame.
    norm: 'rms' normalizes each pixel, 'group' each frame.
    num_channels: Channels of clips.
    remat: What is kept for the backward pass; see nn/remat.py.
    dtype: Dtype of the computation. Parameters are float32.
  """

  bottleneck: nn.Module
  width: Size = 96
  multipliers: Sizes = (1, 2, 4, 4)
  halves_time: tuple[bool, ...] = (False, True, True)
  num_blocks: Count = 2
  temporal_kernel: Size = 3
  attends: bool = True
  norm: str = 'rms'
  num_channels: Size = 3
  remat: str = 'none'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    _check(self)

  def setup(self):
    super().setup()
    half = {
      'options': causal.LayerOptions(
        self.temporal_kernel, self.norm, self.remat, self.dtype
      ),
      'widths': tuple(self.width * m for m in self.multipliers),
      'halves_time': tuple(self.halves_time),
      'num_blocks': self.num_blocks,
      'attends': self.attends,
    }
    self.encoder = _Encoder(**half, num_features=2 * self.bottleneck.width)
    self.decoder = _Decoder(**half, num_features=self.num_channels)

  @property
  def frames_per_latent(self) -> int:
    """Number of frames, n, that a frame of latents after the first encodes."""
    return 2 ** sum(self.halves_time)

  @property
  def side_per_latent(self) -> int:
    """Side, in pixels, of the square that each latent encodes."""
    return 2 ** len(self.halves_time)

  def latent_shape(self, clip_shape: ClipShape) -> ClipShape:
    t, h, w, _ = clip_shape
    n, side = self.frames_per_latent, self.side_per_latent
    if (t - 1) % n or h % side or w % side:
      raise ValueError(
        f'The clips have shape {tuple(clip_shape)}; they need 1 + {n} * k'
        f' frames, and sides that are multiples of {side}: crop them.'
      )
    return 1 + (t - 1) // n, h // side, w // side, self.bottleneck.width

  @property
  def encodes_first_frame_alone(self) -> bool:
    return True

  def encode(self, video_bthwc: Array, *, train: bool = False) -> Array:
    del train  # Training and inference are the same.
    t, *rest = shapes.sizes('thwc', video_bthwc=video_bthwc)
    # Only the first chunk has one frame more.
    self.latent_shape((t + bool(self.variables.get('past')), *rest))
    return self.encoder(video_bthwc.astype(self.dtype))

  def decode(self, latent_bthwd: Array, *, train: bool = False) -> Array:
    del train  # Training and inference are the same.
    return self.decoder(latent_bthwd.astype(self.dtype)).astype(jnp.float32)

  def stream(self, method: str, past: Any, x: Array) -> tuple[Any, Array]:
    """Applies a method to the next chunk of a clip.

    The concatenated results equal the result for the whole clip, in memory that
    does not grow with the clip. The first chunk has 1 + n * k frames and others
    n * k, where n is `frames_per_latent`. Chunks of latents have any length.

    Args:
      method: 'encode', 'latents', 'codes', 'decode', 'from_latents' or
        'from_codes'.
      past: Frames kept by the layers, from the previous chunk; None for the
        first chunk.
      x: Input of the method.

    Returns:
      (past, result): frames kept by the layers for the next chunk, a tree of
      arrays of constant shapes; and the result of the method for this chunk.

    Raises:
      ValueError: If a chunk has another number of frames.
    """
    network, variables = self.unbind()
    variables = {**variables, **({'past': past} if past else {})}
    y, kept = network.apply(variables, x, method=method, mutable=['past'])
    return kept.get('past', {}), y

  def decode_tiled(
    self, latent_bthwd: Array, tile: tuple[int, int], overlap: int
  ) -> Array:
    """Returns `decode(latent_bthwd)`, computed on tiles of frames.

    The memory needed is that of one tile; see nn/convolution/tiling.py. The
    result is an approximation with attention or norm 'group', which use whole
    frames, and if overlap is less than four times the extent of the receptive
    field.

    Args:
      latent_bthwd: As in `decode`.
      tile: Number of latents in the height and width of a tile.
      overlap: Number of latents that neighbouring tiles share.
    """
    network, variables = self.unbind()
    return tiling.apply(
      lambda x_bthwd: network.apply(variables, x_bthwd, method='decode'),
      latent_bthwd,
      tile,
      overlap,
      self.side_per_latent,
    )


class _Stack(nn.Module):
  """Base class of encoder and decoder."""

  options: causal.LayerOptions
  widths: tuple[int, ...]
  halves_time: tuple[bool, ...]
  num_blocks: int
  attends: bool
  num_features: int

  def middle(self, x_bthwc: Array) -> Array:
    features = self.widths[-1]
    x_bthwc = self.options.block(features, 'middle_0')(x_bthwc)
    if self.attends:
      x_bthwc = causal.Attention(self.options, name='attention')(x_bthwc)
    return self.options.block(features, 'middle_1')(x_bthwc)

  def end(self, x_bthwc: Array) -> Array:
    x_bthwc = nn.silu(self.options.normed(x_bthwc, 'norm'))
    return self.options.conv(self.num_features, 'out')(x_bthwc)


class _Encoder(_Stack):
  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    x_bthwc = self.options.conv(self.widths[0], 'in')(x_bthwc)
    for level, width in enumerate(self.widths):
      if level:
        halve = causal.Halve(
          self.options, self.halves_time[level - 1], name=f'half_{level}'
        )
        x_bthwc = halve(x_bthwc)
      for i in range(self.num_blocks):
        x_bthwc = self.options.block(width, f'level_{level}_{i}')(x_bthwc)
    return self.end(self.middle(x_bthwc))


class _Decoder(_Stack):
  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    x_bthwc = self.middle(self.options.conv(self.widths[-1], 'in')(x_bthwc))
    for level in reversed(range(len(self.widths))):
      for i in range(self.num_blocks + 1):
        block = self.options.block(self.widths[level], f'level_{level}_{i}')
        x_bthwc = block(x_bthwc)
      if level:
        double = causal.Double(
          self.options,
          self.widths[level - 1],
          self.halves_time[level - 1],
          name=f'double_{level}',
        )
        x_bthwc = double(x_bthwc)
    return self.end(x_bthwc)


def _check(model: VAE3D) -> None:
  """Raises ValueError if fields are invalid or do not fit each other."""
  checks.one_of('norm', model.norm, causal.NORMS)
  if len(model.halves_time) != len(model.multipliers) - 1:
    raise ValueError(
      f'halves_time is {model.halves_time} and multipliers'
      f' {model.multipliers}; halves_time needs one entry for each level after'
      ' the first.'
    )
  least = 3 if any(model.halves_time) else 1
  if model.temporal_kernel < least:
    raise ValueError(
      f'temporal_kernel is {model.temporal_kernel}; with halves_time'
      f' {model.halves_time} it must be at least {least}.'
    )

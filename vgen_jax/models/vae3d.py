"""Causal 3-D autoencoder: the first frame as an image, then groups of frames.

Of the kind of MAGVIT-2 (Yu et al., "Language Model Beats Diffusion: Tokenizer
is Key to Visual Generation", 2023, https://arxiv.org/abs/2310.05737) and of Wan
(Wan Team, "Wan: Open and Advanced Large-Scale Video Generative Models", 2025,
https://arxiv.org/abs/2503.20314): no frame sees a later one. So an image is a
clip of one frame, and clips of any length pass through in chunks, for which
each layer keeps the last frames that it saw, in the collection 'past'. Unlike
Wan's, layers that halve or double frames take those before a clip for zeros, as
all others do, instead of letting the first chunk through; and heads of
attention are of a width that quick kernels take.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.convolution import causal
from vgen_jax.nn.convolution import tiling

# How to cut parameters over the mesh axis 'tensor': none, layers are narrow.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = ()


class VAE3D(autoencoder.Autoencoder):
  """Maps 1 + n * k frames to 1 + k latents, and back.

  Attributes:
    bottleneck: Of nn/bottlenecks/gaussian.py, nn/bottlenecks/quantize.py or
      nn/bottlenecks/lookup_free.py.
    width: Channels of the finest level.
    multipliers: Channels of each level, in widths; each level after the first
      halves height and width.
    halves_time: For each level after the first, whether it halves frames too.
    num_blocks: Residual blocks of a level of the encoder; the decoder's have
      one more.
    temporal_kernel: Frames that a convolution sees, its own and those before;
      1 makes a network of images, which halves no frames.
    attends: Whether the pixels of a frame see each other, in the middle.
    norm: 'rms', of each pixel by itself; or 'group', of each frame.
    num_channels: Channels of clips.
    remat: What is kept for the backward pass; see nn/remat.py.
    dtype: Of products and activations. Parameters are float32.
  """

  bottleneck: nn.Module
  width: int = 96
  multipliers: tuple[int, ...] = (1, 2, 4, 4)
  halves_time: tuple[bool, ...] = (False, True, True)
  num_blocks: int = 2
  temporal_kernel: int = 3
  attends: bool = True
  norm: str = 'rms'
  num_channels: int = 3
  remat: str = 'none'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    _check(self)

  def setup(self):
    super().setup()
    half = {
      'kit': causal.Kit(
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
    """Frames that become one latent: n; of the first latent, it is one."""
    return 2 ** sum(self.halves_time)

  @property
  def side_per_latent(self) -> int:
    """Side of the square of pixels that become one latent."""
    return 2 ** len(self.halves_time)

  def latent_shape(self, clip_shape: ClipShape) -> ClipShape:
    t, h, w, _ = clip_shape
    n, side = self.frames_per_latent, self.side_per_latent
    if (t - 1) % n or h % side or w % side:
      raise ValueError(
        f'Clips are {tuple(clip_shape)}; they need 1 + {n} * k frames, and'
        f' sides that are multiples of {side}: crop them.'
      )
    return 1 + (t - 1) // n, h // side, w // side, self.bottleneck.width

  def encode(self, video_bthwc: Array, *, train: bool = False) -> Array:
    del train  # Nothing here differs.
    t, *rest = shapes.sizes('thwc', video_bthwc=video_bthwc)
    # Chunks after the first one have no single frame before the others.
    self.latent_shape((t + bool(self.variables.get('past')), *rest))
    return self.encoder(video_bthwc.astype(self.dtype))

  def decode(self, latent_bthwd: Array, *, train: bool = False) -> Array:
    del train  # Nothing here differs.
    return self.decoder(latent_bthwd.astype(self.dtype)).astype(jnp.float32)

  def stream(self, method: str, past: Any, x: Array) -> tuple[Any, Array]:
    """Does the next chunk of a clip; all together are the clip as a whole.

    Memory does not grow with the clip. Of frames, the first chunk has 1 + n * k
    and others n * k, n being `frames_per_latent`; of latents, any number.

    Args:
      method: 'encode', 'latents', 'codes', 'decode', 'from_latents' or
        'from_codes'.
      past: What layers keep of the chunks before; None for the first one.
      x: What the method takes.

    Returns:
      What layers keep for the next chunk, a tree of arrays whose shapes stay;
      and what the method gives.

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
    """Does `decode` in the memory of a tile; see nn/convolution/tiling.py.

    With attention or norm 'group', which see frames as wholes, and with less
    than four times the layers' reach as overlap, this is an approximation.

    Args:
      latent_bthwd: As in `decode`.
      tile: Latents in height and width to decode at a time.
      overlap: How many of them neighbours share.
    """
    network, variables = self.unbind()
    return tiling.apply(
      lambda x_bthwd: network.apply(variables, x_bthwd, method='decode'),
      latent_bthwd,
      tile,
      overlap,
      self.side_per_latent,
    )


class _Half(nn.Module):
  """What encoder and decoder have in common."""

  kit: causal.Kit
  widths: tuple[int, ...]
  halves_time: tuple[bool, ...]
  num_blocks: int
  attends: bool
  num_features: int

  def middle(self, x_bthwc: Array) -> Array:
    features = self.widths[-1]
    x_bthwc = self.kit.block(features, 'middle_0')(x_bthwc)
    if self.attends:
      x_bthwc = causal.Attention(self.kit, name='attention')(x_bthwc)
    return self.kit.block(features, 'middle_1')(x_bthwc)

  def end(self, x_bthwc: Array) -> Array:
    x_bthwc = nn.silu(self.kit.normed(x_bthwc, 'norm'))
    return self.kit.conv(self.num_features, 'out')(x_bthwc)


class _Encoder(_Half):
  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    x_bthwc = self.kit.conv(self.widths[0], 'in')(x_bthwc)
    for level, width in enumerate(self.widths):
      if level:
        halve = causal.Halve(
          self.kit, self.halves_time[level - 1], name=f'half_{level}'
        )
        x_bthwc = halve(x_bthwc)
      for i in range(self.num_blocks):
        x_bthwc = self.kit.block(width, f'level_{level}_{i}')(x_bthwc)
    return self.end(self.middle(x_bthwc))


class _Decoder(_Half):
  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    x_bthwc = self.middle(self.kit.conv(self.widths[-1], 'in')(x_bthwc))
    for level in reversed(range(len(self.widths))):
      for i in range(self.num_blocks + 1):
        block = self.kit.block(self.widths[level], f'level_{level}_{i}')
        x_bthwc = block(x_bthwc)
      if level:
        double = causal.Double(
          self.kit,
          self.widths[level - 1],
          self.halves_time[level - 1],
          name=f'double_{level}',
        )
        x_bthwc = double(x_bthwc)
    return self.end(x_bthwc)


def _check(model: VAE3D) -> None:
  """Raises ValueError if fields have no meaning, alone or together."""
  if model.norm not in causal.NORMS:
    raise ValueError(
      f'norm is {model.norm!r}; it must be one of {causal.NORMS}.'
    )
  if len(model.halves_time) != len(model.multipliers) - 1:
    raise ValueError(
      f'halves_time is {model.halves_time}, multipliers {model.multipliers};'
      ' each level after the first needs one of the former.'
    )
  least = 3 if any(model.halves_time) else 1
  if model.temporal_kernel < least:
    raise ValueError(
      f'temporal_kernel is {model.temporal_kernel}; with halves_time'
      f' {model.halves_time} it must be {least} or more.'
    )

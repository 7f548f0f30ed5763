"""Small convolutional autoencoders: a latent for each frame, or for the clip.

Convolutions of 4 x 4 with stride 2 down to a few pixels, a dense bottleneck,
and the same way back, as in DCGAN (Radford et al., 2015,
https://arxiv.org/abs/1511.06434), but without batch norm.
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.convolution import conv


class FrameVAE(autoencoder.Autoencoder):
  """Gives each frame a latent, a vector, and knows nothing of the others.

  Clips may be of any length; drawn frame by frame they do not hang together.

  Attributes:
    clip_shape: (t, h, w, c); h and w multiples of 2 ** len(widths).
    bottleneck: Of nn/bottlenecks/gaussian.py, or any other.
    widths: Channels after each convolution.
    dense_widths: Features after each dense layer that follows, up to the
      bottleneck, and back; for what is one sharp choice among many.
    dtype: Of products and activations. Parameters are float32.
  """

  clip_shape: ClipShape
  bottleneck: nn.Module
  widths: tuple[int, ...] = (32, 64, 128, 256)
  dense_widths: tuple[int, ...] = ()
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    _halved(self.clip_shape[1:3], (2,) * len(self.widths))

  def setup(self):
    super().setup()
    unit, strides = self._unit(), self._strides()
    self.encoder = _Encoder(self.widths, self.dense_widths, strides, self.dtype)
    inner = (
      *_halved(unit[:1], strides),
      *_halved(unit[1:3], (2,) * len(strides)),
    )
    self.decoder = _Decoder(
      self.widths, self.dense_widths, strides, inner, unit[3], self.dtype
    )

  def latent_shape(self, clip_shape: ClipShape) -> ClipShape:
    unit = self._unit()
    if clip_shape[0] % unit[0] or tuple(clip_shape[1:]) != unit[1:]:
      raise ValueError(
        f'Clips are {tuple(clip_shape)}; this {type(self).__name__} is built'
        f' for {tuple(self.clip_shape)}.'
      )
    return clip_shape[0] // unit[0], 1, 1, self.bottleneck.width

  def encode(self, video_bthwc: Array, *, train: bool = False) -> Array:
    del train  # Nothing here differs.
    clip_shape = shapes.sizes('thwc', video_bthwc=video_bthwc)
    num = self.latent_shape(clip_shape)[0]
    x_bthwc = self.encoder(video_bthwc.reshape(-1, *self._unit()))
    return x_bthwc.reshape(len(video_bthwc), num, 1, 1, -1)

  def decode(self, latent_bthwd: Array, *, train: bool = False) -> Array:
    del train  # Nothing here differs.
    b, t, d = shapes.sizes('btd', latent_bthwd=latent_bthwd)
    x_bthwc = self.decoder(latent_bthwd.reshape(b * t, d))
    return x_bthwc.reshape(b, -1, *self.clip_shape[1:]).astype(jnp.float32)

  def _unit(self) -> ClipShape:
    """Returns the shape of what has one latent."""
    return (1, *self.clip_shape[1:])

  def _strides(self) -> tuple[int, ...]:
    """Returns the strides in time."""
    return (1,) * len(self.widths)


class ClipVAE(FrameVAE):
  """Gives each clip one latent, a vector, by convolutions in space and time.

  A clip of several times t frames gets one for each stretch of t.

  Attributes:
    clip_shape: As in FrameVAE; t a multiple of all time_strides together.
    bottleneck: As in FrameVAE, and so are widths and dtype.
    time_strides: Of each convolution, 1 or 2.
  """

  time_strides: tuple[int, ...] = (1, 2, 2, 1)

  def __post_init__(self):
    super().__post_init__()
    if len(self.time_strides) != len(self.widths):
      raise ValueError(
        f'time_strides are {self.time_strides}, but widths {self.widths}; each'
        ' convolution needs one of each.'
      )
    _halved(self.clip_shape[:1], self.time_strides)

  def _unit(self) -> ClipShape:
    return tuple(self.clip_shape)

  def _strides(self) -> tuple[int, ...]:
    return tuple(self.time_strides)


class _Encoder(nn.Module):
  widths: tuple[int, ...]
  dense_widths: tuple[int, ...]
  time_strides: tuple[int, ...]
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    """Returns features `[b, d]`."""
    for i, width in enumerate(self.widths):
      stride = self.time_strides[i]
      taps = (_num_taps(x_bthwc.shape[1], stride), 4, 4)
      layer = conv.Conv3D(
        width, taps, (stride, 2, 2), dtype=self.dtype, name=f'half_{i}'
      )
      x_bthwc = nn.silu(layer(x_bthwc))
    x_bd = x_bthwc.reshape(len(x_bthwc), -1)
    for i, width in enumerate(self.dense_widths):
      x_bd = nn.silu(nn.Dense(width, dtype=self.dtype, name=f'dense_{i}')(x_bd))
    return x_bd


class _Decoder(nn.Module):
  widths: tuple[int, ...]
  dense_widths: tuple[int, ...]
  time_strides: tuple[int, ...]
  inner_thw: tuple[int, int, int]
  num_channels: int
  dtype: str

  @nn.compact
  def __call__(self, latent_bd: Array) -> Array:
    x_bd = latent_bd
    for i, width in reversed(list(enumerate(self.dense_widths))):
      x_bd = nn.silu(nn.Dense(width, dtype=self.dtype, name=f'dense_{i}')(x_bd))
    num_features = math.prod(self.inner_thw) * self.widths[-1]
    x_bd = nn.Dense(num_features, dtype=self.dtype, name='in')(x_bd)
    x_bthwc = x_bd.reshape(-1, *self.inner_thw, self.widths[-1])
    widths = (self.num_channels, *self.widths)
    for i in reversed(range(len(self.widths))):
      stride = self.time_strides[i]
      taps = (_num_taps(x_bthwc.shape[1] * stride, stride), 4, 4)
      x_bthwc = conv.ConvTranspose3D(
        widths[i],
        taps,
        (stride, 2, 2),
        dtype=self.dtype,
        name=f'double_{i}' if i else 'out',
      )(nn.silu(x_bthwc))
    return x_bthwc


def _num_taps(num_frames: int, stride: int) -> int:
  """Returns how many frames a convolution sees, of so many at its finer end."""
  if num_frames == 1:
    return 1
  return 4 if stride == 2 else 3


def _halved(
  sides: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[int, ...]:
  """Returns sides divided by all strides, once they can be."""
  factor = math.prod(strides)
  if any(side % factor for side in sides):
    raise ValueError(
      f'clip_shape has sides {tuple(sides)} for strides {strides}; they must be'
      f' multiples of {factor}: crop or resize, or build fewer layers.'
    )
  return tuple(side // factor for side in sides)

"""Small convolutional autoencoders with one latent per frame or per clip.

The encoder has convolutions of 4 x 4 with stride 2 down to a few pixels. A
dense bottleneck follows, and the decoder mirrors the encoder. This is as in
DCGAN (Radford et al., 2015, https://arxiv.org/abs/1511.06434), but without
batch norm.
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Size
from vgen_jax.core.types import Sizes
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.convolution import conv


class FrameVAE(autoencoder.Autoencoder):
  """Maps each frame to a latent vector, independently of the other frames.

  Clips may have any length. Frames whose latents are sampled independently do
  not form a coherent clip.

  Attributes:
    clip_shape: (t, h, w, c); h and w are multiples of 2 ** len(widths).
    bottleneck: Module of nn/bottlenecks/, such as `gaussian.Gaussian`.
    widths: Channels after each convolution.
    dense_widths: Features of the dense layers between the convolutions and the
      bottleneck; the decoder has them in reverse order. They help if a clip is
      determined by discrete factors, such as a colour.
    dtype: Dtype of the computation. Parameters are float32.
  """

  clip_shape: ClipShape
  bottleneck: nn.Module
  widths: Sizes = (32, 64, 128, 256)
  dense_widths: tuple[Size, ...] = ()
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    check_widths(self.widths)
    halved(self.clip_shape[1:3], (2,) * len(self.widths))

  def setup(self):
    super().setup()
    unit, strides = self._unit(), self._strides()
    self.encoder = ClipEncoder(
      self.widths, self.dense_widths, strides, self.dtype
    )
    inner = (
      *halved(unit[:1], strides),
      *halved(unit[1:3], (2,) * len(strides)),
    )
    self.decoder = ClipDecoder(
      self.widths, self.dense_widths, strides, inner, unit[3], self.dtype
    )

  def latent_shape(self, clip_shape: ClipShape) -> ClipShape:
    unit = self._unit()
    if clip_shape[0] % unit[0] or tuple(clip_shape[1:]) != unit[1:]:
      raise ValueError(
        f'The clips have shape {tuple(clip_shape)}; this {type(self).__name__}'
        f' is built for {tuple(self.clip_shape)}. Give clips of that shape.'
      )
    return clip_shape[0] // unit[0], 1, 1, self.bottleneck.width

  def encode(self, video_bthwc: Array, *, train: bool = False) -> Array:
    del train  # Training and inference are the same.
    clip_shape = shapes.sizes('thwc', video_bthwc=video_bthwc)
    num = self.latent_shape(clip_shape)[0]
    x_bthwc = self.encoder(video_bthwc.reshape(-1, *self._unit()))
    return x_bthwc.reshape(len(video_bthwc), num, 1, 1, -1)

  def decode(self, latent_bthwd: Array, *, train: bool = False) -> Array:
    del train  # Training and inference are the same.
    b, t, d = shapes.sizes('btd', latent_bthwd=latent_bthwd)
    x_bthwc = self.decoder(latent_bthwd.reshape(b * t, d))
    return x_bthwc.reshape(b, -1, *self.clip_shape[1:]).astype(jnp.float32)

  def _unit(self) -> ClipShape:
    """Returns (t, h, w, c) of the part of a clip that has one latent."""
    return (1, *self.clip_shape[1:])

  def _strides(self) -> tuple[int, ...]:
    """Returns the strides in time."""
    return (1,) * len(self.widths)


class ClipVAE(FrameVAE):
  """Maps each clip to a latent vector by convolutions in space and time.

  A longer clip has one latent for each t frames.

  Attributes:
    clip_shape: As in FrameVAE; t is a multiple of the product of time_strides.
    bottleneck: As in FrameVAE, like all fields that are not listed here.
    time_strides: Stride in time of each convolution, 1 or 2.
  """

  time_strides: tuple[Size, ...] = (1, 2, 2, 1)

  def __post_init__(self):
    super().__post_init__()
    if len(self.time_strides) != len(self.widths):
      raise ValueError(
        f'time_strides are {self.time_strides} and widths {self.widths}; each'
        ' convolution needs one entry of each.'
      )
    halved(self.clip_shape[:1], self.time_strides)

  def _unit(self) -> ClipShape:
    return tuple(self.clip_shape)

  def _strides(self) -> tuple[int, ...]:
    return tuple(self.time_strides)


class ClipEncoder(nn.Module):
  """Convolutions and dense layers of the encoders; see `FrameVAE` for fields.

  Attributes:
    widths: Channels after each convolution.
    dense_widths: Features of the dense layers.
    time_strides: Stride in time of each convolution, 1 or 2.
    dtype: Dtype of the computation.
  """

  widths: Sizes
  dense_widths: tuple[Size, ...]
  time_strides: tuple[Size, ...]
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    """Returns features `[b, d]` of clips."""
    for i, width in enumerate(self.widths):
      stride = self.time_strides[i]
      taps = (_num_taps(x_bthwc.shape[1], stride), 4, 4)
      layer = conv.Conv3D(
        width, taps, (stride, 2, 2), dtype=self.dtype, name=f'half_{i}'
      )
      x_bthwc = nn.silu(layer(x_bthwc))
    x_bd = batch_sharding.constrain(x_bthwc.reshape(len(x_bthwc), -1))
    for i, width in enumerate(self.dense_widths):
      x_bd = nn.silu(nn.Dense(width, dtype=self.dtype, name=f'dense_{i}')(x_bd))
      x_bd = batch_sharding.constrain(x_bd)
    return x_bd


class ClipDecoder(nn.Module):
  """Dense layers and transposed convolutions; they mirror a `ClipEncoder`.

  Attributes:
    widths: Channels after each convolution of the encoder.
    dense_widths: Features of the dense layers of the encoder.
    time_strides: Stride in time of each convolution of the encoder, 1 or 2.
    inner_thw: Sides (t, h, w) of the input of the first convolution.
    num_channels: Channels of clips.
    dtype: Dtype of the computation.
  """

  widths: Sizes
  dense_widths: tuple[Size, ...]
  time_strides: tuple[Size, ...]
  inner_thw: tuple[Size, Size, Size]
  num_channels: Size
  dtype: str

  @nn.compact
  def __call__(self, latent_bd: Array) -> Array:
    """Returns clips `[b, t, h, w, c]`."""
    x_bd = latent_bd
    for i, width in reversed(list(enumerate(self.dense_widths))):
      x_bd = nn.silu(nn.Dense(width, dtype=self.dtype, name=f'dense_{i}')(x_bd))
      x_bd = batch_sharding.constrain(x_bd)
    num_features = math.prod(self.inner_thw) * self.widths[-1]
    x_bd = nn.Dense(num_features, dtype=self.dtype, name='in')(x_bd)
    x_bd = batch_sharding.constrain(x_bd)
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
  """Returns the number of frames in the kernel of a convolution.

  Args:
    num_frames: Frames of the input; for a transposed convolution, of the
      output.
    stride: Stride in time.
  """
  if num_frames == 1:
    return 1
  return 4 if stride == 2 else 3


def check_widths(widths: tuple[int, ...]) -> None:
  """Raises ValueError unless there is a width, and all widths are positive."""
  checks.at_least('Number of widths', len(widths), 1)
  checks.at_least(f'The smallest of widths {tuple(widths)}', min(widths), 1)


def halved(sides: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
  """Returns sides divided by all strides.

  Raises:
    ValueError: If strides do not divide the sides.
  """
  factor = math.prod(strides)
  if any(side % factor for side in sides):
    raise ValueError(
      f'clip_shape has sides {tuple(sides)}; with strides {strides} they must'
      f' be multiples of {factor}: crop or resize, or build fewer layers.'
    )
  return tuple(side // factor for side in sides)

"""Causal layers for clips: no frame depends on a later frame.

Norms and attention work on single frames, so only convolutions mix frames. Each
convolution keeps its last input frames in the collection 'past', if that is
mutable and the network is not being initialized. With the frames kept from one
chunk of a clip, the next chunk gets the same result as in the whole clip.
"""

import math
from typing import NamedTuple

import einops
from flax import traverse_util
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Params
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import norm
from vgen_jax.nn import remat
from vgen_jax.nn.attention import multi_head
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import padding as pad

NORMS = ('rms', 'group')

_HEAD_WIDTH = 64  # Channels of an attention head, if it divides them.


class Conv(conv.Conv3D):
  """A convolution over the current frame and earlier frames.

  Attributes are those of `conv.Conv3D`. In time, the input is padded with the
  frames in the collection 'past', or with zeros before the first chunk.
  """

  padding: pad.Padding = ((0, 0), (1, 1), (1, 1))

  def is_first(self) -> bool:
    """Returns whether the next input is the first chunk of a clip."""
    return not self.has_variable('past', 'frames')

  def __call__(self, x_bthwc: Array) -> Array:
    taps = self.kernel_size[0]
    if taps > 1:
      b, _, *rest = x_bthwc.shape
      past = jnp.zeros((b, taps - 1, *rest), x_bthwc.dtype)
      past = self.get_variable('past', 'frames', past)
      x_bthwc = jnp.concatenate([past, x_bthwc], axis=1)
      if self.is_mutable_collection('past') and not self.is_initializing():
        keep = taps - (self.strides or (1,))[0]
        self.put_variable('past', 'frames', x_bthwc[:, -keep:])
    return super().__call__(x_bthwc)


class LayerOptions(NamedTuple):
  """Options of the layers of a network, and functions that build layers.

  Attributes:
    taps: Number of frames in the kernel of a convolution, the current one
      included; 1 for networks of images.
    norm: 'rms' normalizes each pixel, 'group' each frame.
    remat: What is kept for the backward pass; see nn/remat.py.
    dtype: Dtype of the computation. Parameters are float32.
  """

  taps: int
  norm: str
  remat: str
  dtype: str

  def conv(self, features: int, name: str) -> nn.Module:
    """Returns a causal convolution of `taps` frames of 3 x 3 pixels."""
    taps = (self.taps, 3, 3)
    return Conv(features, taps, dtype=self.dtype, name=name)

  def block(self, features: int, name: str) -> nn.Module:
    """Returns a residual block, rematerialized as `remat` states."""
    return remat.wrap(Block, self.remat)(self, features, name=name)

  def normed(self, x_bthwc: Array, name: str) -> Array:
    """Returns normalized features; call it in a compact method."""
    if self.norm == 'group':
      return norm.FrameGroupNorm(name=name)(x_bthwc)
    return nn.RMSNorm(dtype=self.dtype, name=name)(x_bthwc)


class Block(nn.Module):
  """A residual block of two convolutions.

  The skip connection has a projection if the number of channels changes.

  Attributes:
    options: Options of the layers.
    features: Channels of the result.
  """

  options: LayerOptions
  features: int

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    options = self.options
    y = nn.silu(options.normed(x_bthwc, 'norm_0'))
    y = options.conv(self.features, 'conv_0')(y)
    y = nn.silu(options.normed(y, 'norm_1'))
    y = options.conv(self.features, 'conv_1')(y)
    if x_bthwc.shape[-1] != self.features:
      x_bthwc = nn.Dense(self.features, dtype=options.dtype, name='skip')(
        x_bthwc
      )
    return batch_sharding.constrain(x_bthwc + y)


class Attention(nn.Module):
  """Adds attention over the pixels of each frame; adds zero before training.

  Attributes:
    options: Options of the layers.
  """

  options: LayerOptions

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    b, t, h, w, c = shapes.sizes('bthwc', x_bthwc=x_bthwc)
    attention = multi_head.MultiHeadAttention(
      c,
      c // math.gcd(c, _HEAD_WIDTH),
      output_init=nn.initializers.zeros_init(),
      dtype=self.options.dtype,
    )
    nn.share_scope(self, attention)
    y_bnc = self.options.normed(x_bthwc, 'norm').reshape(b * t, h * w, c)
    return batch_sharding.constrain(
      x_bthwc + attention(y_bnc).reshape(x_bthwc.shape)
    )


class Halve(nn.Module):
  """Halves height and width, and optionally the number of frames.

  Attributes:
    options: Options of the layers.
    halves_time: Whether t frames become 1 + (t - 1) / 2 frames, or, in later
      chunks of a clip, t / 2 frames.
  """

  options: LayerOptions
  halves_time: bool

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    features, dtype = x_bthwc.shape[-1], self.options.dtype
    x_bthwc = conv.Conv3D(
      features, (1, 3, 3), (1, 2, 2), dtype=dtype, name='space'
    )(x_bthwc)
    if not self.halves_time:
      return x_bthwc
    # Kernels end at the frames 0, 2, 4, ...
    return Conv(
      features,
      (self.options.taps, 1, 1),
      (2, 1, 1),
      ((0, 0),) * 3,
      dtype=dtype,
      name='time',
    )(x_bthwc)


class Double(nn.Module):
  """Doubles height and width, and optionally the number of frames.

  Attributes:
    options: Options of the layers.
    features: Channels of the result.
    doubles_time: Whether t frames become 1 + 2 (t - 1) frames, or, in later
      chunks of a clip, 2 t frames.
  """

  options: LayerOptions
  features: int
  doubles_time: bool

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    dtype = self.options.dtype
    if self.doubles_time:
      time = Conv(
        2 * x_bthwc.shape[-1],
        (self.options.taps, 1, 1),
        padding=((0, 0),) * 3,
        dtype=dtype,
        name='time',
      )
      is_first = time.is_first()
      x_bthwc = einops.rearrange(
        time(x_bthwc), 'b t h w (p c) -> b (t p) h w c', p=2
      )
      if is_first:  # There is no frame before frame 0.
        x_bthwc = x_bthwc[:, 1:]
    x_bthwc = einops.repeat(x_bthwc, 'b t h w c -> b t (h p) (w q) c', p=2, q=2)
    return conv.Conv3D(self.features, (1, 3, 3), dtype=dtype, name='space')(
      x_bthwc
    )


def inflate(images: Params, clips: Params) -> Params:
  """Returns parameters of a video network from those of an image network.

  The video network then maps a clip of one frame as the image network maps that
  image. Kernels of the image network become the last taps in time; other taps
  are zero. Layers that only the video network has are initialized so that they
  keep the second of every two frames, or repeat each frame.

  Args:
    images: Parameters of a VAE3D with `temporal_kernel=1`.
    clips: Parameters of a VAE3D whose other fields are the same, except
      `halves_time`.

  Raises:
    ValueError: If the networks differ in other fields.
  """
  images, clips = map(traverse_util.flatten_dict, (images, clips))
  unmatched = [path for path in set(images) ^ set(clips) if path[-2] != 'time']
  if unmatched:
    raise ValueError(
      f'{"/".join(min(unmatched))} is not in both networks; fields other than'
      ' temporal_kernel and halves_time must be the same.'
    )
  inflated = {}
  for path, x in clips.items():
    last = images.get(path, jnp.zeros_like(x))
    if path not in images and path[-1] == 'kernel':
      *_, width, out = x.shape
      last = jnp.tile(jnp.eye(width), (1, out // width))[None, None, None]
    if last.shape[1:] != x.shape[1:]:
      raise ValueError(
        f'{"/".join(path)} has shape {last.shape} in the image network and'
        f' {x.shape} in the video network; only the taps in time may differ.'
        ' Build both with the same other fields.'
      )
    inflated[path] = jnp.zeros_like(x).at[-len(last) :].set(last)
  return traverse_util.unflatten_dict(inflated)

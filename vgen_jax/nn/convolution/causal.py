"""Layers for clips in which no frame sees a later one.

Group norms and attention are of single frames, so that only convolutions look
across frames, and only back. Each keeps the last frames that it saw in the
collection 'past', if that is mutable and nothing is being initialized: with
what it kept of one chunk of a clip it goes on with the next, as if there had
been but one.
"""

import functools
import math
from typing import NamedTuple

import einops
from flax import traverse_util
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Params
from vgen_jax.nn import norm
from vgen_jax.nn import remat
from vgen_jax.nn.attention import attention
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import padding as pad

NORMS = ('rms', 'group')

_HEAD = 64  # Channels of an attention head, if they can be shared evenly.


class Conv(conv.Conv3D):
  """A convolution that sees its own frame and those before it."""

  padding: pad.Padding = ((0, 0), (1, 1), (1, 1))

  def is_first(self) -> bool:
    """Whether nothing has come before what it gets next."""
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


class Kit(NamedTuple):
  """How the layers of a network are made.

  Attributes:
    taps: Frames that a convolution sees, its own and those before; 1 for
      networks of images.
    norm: 'rms', of each pixel by itself; or 'group', of each frame.
    remat: What is kept for the backward pass; see nn/remat.py.
    dtype: Of products and activations. Parameters are float32.
  """

  taps: int
  norm: str
  remat: str
  dtype: str

  def conv(self, features: int, name: str) -> nn.Module:
    taps = (self.taps, 3, 3)
    return Conv(features, taps, dtype=self.dtype, name=name)

  def block(self, features: int, name: str) -> nn.Module:
    return remat.wrap(Block, self.remat)(self, features, name=name)

  def normed(self, x_bthwc: Array, name: str) -> Array:
    if self.norm == 'group':
      return norm.FrameGroupNorm(name=name)(x_bthwc)
    return nn.RMSNorm(dtype=self.dtype, name=name)(x_bthwc)


class Block(nn.Module):
  """Adds what two convolutions make of clips; projects them if need be."""

  kit: Kit
  features: int

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    kit = self.kit
    y = nn.silu(kit.normed(x_bthwc, 'norm_0'))
    y = kit.conv(self.features, 'conv_0')(y)
    y = nn.silu(kit.normed(y, 'norm_1'))
    y = kit.conv(self.features, 'conv_1')(y)
    if x_bthwc.shape[-1] != self.features:
      x_bthwc = nn.Dense(self.features, dtype=kit.dtype, name='skip')(x_bthwc)
    return x_bthwc + y


class Attention(nn.Module):
  """Adds what the pixels of a frame tell each other; nothing at first."""

  kit: Kit

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    b, t, h, w, c = shapes.sizes('bthwc', x_bthwc=x_bthwc)
    dense = functools.partial(nn.Dense, c, dtype=self.kit.dtype)
    y_bnc = self.kit.normed(x_bthwc, 'norm').reshape(b * t, h * w, c)
    head = math.gcd(c, _HEAD)
    query, key, value = (
      dense(name=name)(y_bnc).reshape(b * t, h * w, c // head, head)
      for name in ('query', 'key', 'value')
    )
    y_bnc = attention.attend(query, key, value).reshape(b * t, h * w, c)
    out = dense(kernel_init=nn.initializers.zeros_init(), name='out')
    return x_bthwc + out(y_bnc).reshape(x_bthwc.shape)


class Halve(nn.Module):
  """Halves height and width, and maybe the frames after the first."""

  kit: Kit
  halves_time: bool

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    features, dtype = x_bthwc.shape[-1], self.kit.dtype
    x_bthwc = conv.Conv3D(
      features, (1, 3, 3), (1, 2, 2), dtype=dtype, name='space'
    )(x_bthwc)
    if not self.halves_time:
      return x_bthwc
    # A latent's last frame is its own: 0, 2, 4, ...
    return Conv(
      features,
      (self.kit.taps, 1, 1),
      (2, 1, 1),
      ((0, 0),) * 3,
      dtype=dtype,
      name='time',
    )(x_bthwc)


class Double(nn.Module):
  """Doubles height and width, and maybe the frames after the first."""

  kit: Kit
  features: int
  doubles_time: bool

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    dtype = self.kit.dtype
    if self.doubles_time:
      time = Conv(
        2 * x_bthwc.shape[-1],
        (self.kit.taps, 1, 1),
        padding=((0, 0),) * 3,
        dtype=dtype,
        name='time',
      )
      is_first = time.is_first()
      x_bthwc = einops.rearrange(
        time(x_bthwc), 'b t h w (p c) -> b (t p) h w c', p=2
      )
      if is_first:  # What would be before frame 0 is not there.
        x_bthwc = x_bthwc[:, 1:]
    x_bthwc = einops.repeat(x_bthwc, 'b t h w c -> b t (h p) (w q) c', p=2, q=2)
    return conv.Conv3D(self.features, (1, 3, 3), dtype=dtype, name='space')(
      x_bthwc
    )


def inflate(images: Params, clips: Params) -> Params:
  """Returns parameters of clips that do with an image what those of images do.

  Kernels of images become the last taps, the others being zero; layers that
  only clips have begin by taking each last frame of two, or giving each twice.

  Args:
    images: Of a VAE3D with `temporal_kernel=1`.
    clips: Of a VAE3D with the same other fields, `halves_time` excepted.

  Raises:
    ValueError: If they are of different networks.
  """
  images, clips = map(traverse_util.flatten_dict, (images, clips))
  alone = [path for path in set(images) ^ set(clips) if path[-2] != 'time']
  if alone:
    raise ValueError(
      f'{"/".join(min(alone))} is not in both networks; fields other than'
      ' temporal_kernel and halves_time must be alike.'
    )
  inflated = {}
  for path, x in clips.items():
    last = images.get(path, jnp.zeros_like(x))
    if path not in images and path[-1] == 'kernel':
      *_, width, out = x.shape
      last = jnp.tile(jnp.eye(width), (1, out // width))[None, None, None]
    if last.shape[1:] != x.shape[1:]:
      raise ValueError(
        f'{"/".join(path)} is {last.shape} of images, {x.shape} of clips; only'
        ' the taps in time may differ.'
      )
    inflated[path] = jnp.zeros_like(x).at[-len(last) :].set(last)
  return traverse_util.unflatten_dict(inflated)

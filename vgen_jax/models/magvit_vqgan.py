"""MAGVIT's 3-D VQGAN: a convolutional tokenizer and its critic.

Reference: Yu et al., "MAGVIT: Masked Generative Video Transformer", 2022,
https://arxiv.org/abs/2212.05199; layers are those of the released code,
https://github.com/google-research/magvit. With `causal`, tokens do not depend
on later frames, and the first frame has its own tokens, as in Yu et al.,
"Language Model Beats Diffusion", 2023, https://arxiv.org/abs/2310.05737;
unlike in that paper, the padding before the first frame is zero.
"""

import functools
import math

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.core.types import Sizes
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import norm
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.convolution import conv


class MagvitVQGAN(autoencoder.Autoencoder):
  """Maps clips to a grid of latents and back; averages halve the resolution.

  Attributes:
    bottleneck: Module of nn/bottlenecks/quantize.py or
      nn/bottlenecks/lookup_free.py; in the paper
      `nn.bottlenecks.quantize.VQ` with 1,024 codes of width 256.
    width: Channels of the finest level.
    multipliers: Channels of each level, as multiples of width; each level after
      the first halves height and width.
    halves_time: For each level after the first, whether it also halves the
      number of frames.
    num_blocks: Residual blocks of each level.
    causal: Whether a latent does not depend on frames after its own. The number
      of frames of a clip is then 1 plus a multiple of the stride in time.
    num_channels: Channels of clips.
    dtype: Dtype of the computation; parameters and statistics are float32.
  """

  bottleneck: nn.Module
  width: Size = 64
  multipliers: Sizes = (1, 2, 2, 4)
  halves_time: tuple[bool, ...] = (True, True, False)
  num_blocks: Count = 2
  causal: bool = False
  num_channels: Size = 3
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    if len(self.halves_time) != len(self.multipliers) - 1:
      raise ValueError(
        f'halves_time is {self.halves_time}; it must have one entry for each'
        f' level after the first, {len(self.multipliers) - 1}.'
      )

  def setup(self):
    super().setup()
    fields = (
      self.width,
      tuple(self.multipliers),
      tuple(self.halves_time),
      self.num_blocks,
      self.causal,
      self.dtype,
    )
    self.encoder = _Encoder(*fields)
    self.decoder = _Decoder(*fields, self.num_channels)

  def latent_shape(self, clip_shape: ClipShape) -> ClipShape:
    t, h, w, _ = clip_shape
    side = 2 ** len(self.halves_time)
    frames = 2 ** sum(self.halves_time)
    if h % side or w % side or (t - self.causal) % frames:
      raise ValueError(
        f'The clips have shape {clip_shape}; height and width must be multiples'
        f' of {side}, and the number of frames'
        f' {"1 more than " if self.causal else ""}a multiple of {frames}: crop'
        ' them.'
      )
    t = (t - self.causal) // frames + self.causal
    return t, h // side, w // side, self.bottleneck.width

  @property
  def encodes_first_frame_alone(self) -> bool:
    return self.causal

  def encode(self, video_bthwc: Array, *, train: bool = False) -> Array:
    del train  # Training and inference are the same.
    self.latent_shape(shapes.sizes('thwc', video_bthwc=video_bthwc))
    return self.encoder(video_bthwc)

  def decode(self, latent_bthwd: Array, *, train: bool = False) -> Array:
    del train  # Training and inference are the same.
    return self.decoder(latent_bthwd).astype(jnp.float32)


class Critic(nn.Module):
  """A critic of whole clips; its logits have shape `[b, 1]`.

  Attributes:
    width: Channels of the first layer.
    multipliers: Channels of each level, as multiples of width; each level
      halves t, h and w.
    dtype: Dtype of the computation; parameters are float32.
  """

  width: Size = 64
  multipliers: tuple[Size, ...] = (2, 4, 4, 4)
  dtype: str = 'float32'

  uses_labels = False

  @nn.compact
  def __call__(
    self, video_bthwc: Array, condition: Condition, key_b: Array, *, train: bool
  ) -> Array:
    """Returns logits; only `video_bthwc` is used."""
    del condition, key_b, train  # It is unconditional and deterministic.
    act = functools.partial(nn.leaky_relu, negative_slope=0.2)
    layer = functools.partial(
      conv.Conv3D, kernel_init=_xavier, dtype=self.dtype
    )
    dense = functools.partial(nn.Dense, kernel_init=_xavier, dtype=self.dtype)
    x = act(layer(self.width, (3, 3, 3), name='in')(video_bthwc))
    for i, multiplier in enumerate(self.multipliers):
      features = self.width * multiplier
      y = act(layer(x.shape[-1], (3, 3, 3), name=f'near_{i}')(x))
      y = act(layer(features, (3, 3, 3), name=f'wide_{i}')(_halve(y)))
      x = dense(features, use_bias=False, name=f'skip_{i}')(_halve(x))
      x = batch_sharding.constrain((x + y) * 0.5**0.5)
    x = act(layer(x.shape[-1], (3, 3, 3), name='last')(x))
    x = act(dense(x.shape[-1], name='flat')(x.reshape(len(x), -1)))
    x = batch_sharding.constrain(x)
    return dense(1, name='out')(x).astype(jnp.float32)


class _Stack(nn.Module):
  """Base class of encoder and decoder."""

  width: int
  multipliers: tuple[int, ...]
  halves_time: tuple[bool, ...]
  num_blocks: int
  causal: bool
  dtype: str

  def _conv(self, features: int, name: str, **kwargs) -> nn.Module:
    return _conv(features, self.causal, self.dtype, name, **kwargs)

  def _blocks(self, x_bthwc: Array, features: int, name: str) -> Array:
    for i in range(self.num_blocks):
      block = _Block(features, self.causal, self.dtype, name=f'{name}_{i}')
      x_bthwc = block(x_bthwc)
    return x_bthwc

  def _norm(self, x_bthwc: Array) -> Array:
    return nn.swish(_norm(x_bthwc, self.causal, self.dtype, 'norm'))


class _Encoder(_Stack):
  @nn.compact
  def __call__(self, x: Array) -> Array:
    x = self._conv(self.width, 'in', use_bias=False)(x)
    for level, multiplier in enumerate(self.multipliers):
      if level:
        x = _halve(x, self.halves_time[level - 1], self.causal)
      x = self._blocks(x, self.width * multiplier, f'level_{level}')
    return self._norm(self._blocks(x, x.shape[-1], 'middle'))


class _Decoder(_Stack):
  num_channels: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    features = self.width * self.multipliers[-1]
    x = self._blocks(self._conv(features, 'in')(x), features, 'middle')
    for level in reversed(range(len(self.multipliers))):
      features = self.width * self.multipliers[level]
      x = self._blocks(x, features, f'level_{level}')
      if level:
        x = _double(x, self.halves_time[level - 1], self.causal)
        x = self._conv(features, f'double_{level}')(x)
    return self._conv(self.num_channels, 'out')(self._norm(x))


class _Block(nn.Module):
  """A residual block of two convolutions, each after a norm."""

  features: int
  causal: bool
  dtype: str

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    y = x_bthwc
    for i in range(2):
      y = nn.swish(_norm(y, self.causal, self.dtype, f'norm_{i}'))
      layer = _conv(
        self.features, self.causal, self.dtype, f'near_{i}', use_bias=False
      )
      y = layer(y)
    if x_bthwc.shape[-1] != self.features:
      x_bthwc = nn.Dense(
        self.features, use_bias=False, dtype=self.dtype, name='skip'
      )(x_bthwc)
    return batch_sharding.constrain(x_bthwc + y)


_xavier = nn.initializers.xavier_uniform()


def _conv(
  features: int, causal: bool, dtype: str, name: str, **kwargs
) -> nn.Module:
  padding = 'CAUSAL' if causal else 'SAME'
  return conv.Conv3D(
    features, (3, 3, 3), padding=padding, dtype=dtype, name=name, **kwargs
  )


def _norm(x_bthwc: Array, causal: bool, dtype: str, name: str) -> Array:
  """Returns group norm over the clip, or, if causal, over each frame."""
  if causal:
    return norm.FrameGroupNorm(min_channels=2, name=name)(x_bthwc).astype(dtype)
  groups = math.gcd(32, x_bthwc.shape[-1] // 2)
  return nn.GroupNorm(groups, dtype=dtype, name=name)(x_bthwc)


def _halve(x_bthwc: Array, time: bool = True, causal: bool = False) -> Array:
  """Returns averages of 2 neighbours along h and w, and along t if `time`.

  An axis of odd size is first extended by repeating its last element; the axis
  of time, if `causal`, by repeating the first frame.
  """
  t, h, w = shapes.sizes('thw', x_bthwc=x_bthwc)
  odd = (t % 2 if time else 0, h % 2, w % 2)
  in_time = (odd[0], 0) if causal else (0, odd[0])
  x_bthwc = jnp.pad(
    x_bthwc, ((0, 0), in_time, (0, odd[1]), (0, odd[2]), (0, 0)), mode='edge'
  )
  b, t, h, w, c = x_bthwc.shape
  p = 2 if time else 1
  x = x_bthwc.reshape(b, t // p, p, h // 2, 2, w // 2, 2, c)
  return x.mean((2, 4, 6))


def _double(x_bthwc: Array, time: bool, causal: bool) -> Array:
  """Returns pixels repeated along h and w, and along t if `time`.

  If `causal`, the first frame is not repeated.
  """
  x_bthwc = x_bthwc.repeat(2, 2).repeat(2, 3)
  if not time:
    return x_bthwc
  x_bthwc = x_bthwc.repeat(2, 1)
  return x_bthwc[:, 1:] if causal else x_bthwc

"""From clips to latents and back: what VAEs and tokenizers have in common."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Metrics
from vgen_jax.nn import distributions

_MEMORY = 0.99  # Of the latents' moments, per step.


class BottleneckOutput(NamedTuple):
  """What a bottleneck lets through; latents have axes t, h, w, d of their own.

  Attributes:
    latent_bthwd: What the decoder sees; gradients pass, straight through if it
      is quantized.
    loss: What the bottleneck asks of the encoder, a scalar to minimize: the
      commitment of a quantizer, or the divergence of a posterior from the
      prior, in nats a clip, averaged over the batch.
    terms: Numbers to log.
    codes_bthw: int32 places in the codebook; None if latents are continuous.
    posterior: Whence a continuous latent was drawn; None if it was not.
  """

  latent_bthwd: Array
  loss: Array
  terms: Metrics
  codes_bthw: Array | None = None
  posterior: distributions.Gaussian | None = None


class Autoencoder(nn.Module):
  """A network that squeezes clips through a bottleneck and rebuilds them.

  Families train one as their part `autoencoder`; a latent family has it frozen.
  A subclass defines the methods that raise here, and `setup`, which calls
  `super().setup()` and sets `self.bottleneck`, a module of
  nn/bottlenecks/quantize.py or nn/bottlenecks/gaussian.py: `(encoded_bthwe,
  key_b, *, train) -> Bottled`, which has `num_codes`, 0 if latents are
  continuous, and else `lookup(codes_bthw)` and `nearest(latent_bthwd)`.

  While it trains it watches the mean and spread of each channel of its latents,
  in the collection 'latent_moments', for what is trained on them afterwards.
  """

  def setup(self):
    self.moments = _Moments()

  def latent_shape(self, clip_shape: ClipShape) -> ClipShape:
    """Returns (t, h, w, d) of the latents of clips of a shape.

    Raises:
      ValueError: If such clips cannot be encoded.
    """
    raise NotImplementedError

  def encode(self, video_bthwc: Array, *, train: bool = False) -> Array:
    """Returns what the bottleneck gets, `[b, t, h, w, e]`."""
    raise NotImplementedError

  def decode(self, latent_bthwd: Array, *, train: bool = False) -> Array:
    """Returns clips, float32 `[b, t, h, w, c]`, in about [-1, 1]."""
    raise NotImplementedError

  def __call__(
    self, video_bthwc: Array, key_b: Array | None = None, *, train: bool = False
  ) -> tuple[Array, BottleneckOutput]:
    """Rebuilds clips in [-1, 1]; also returns what passed the bottleneck.

    Args:
      video_bthwc: Clips.
      key_b: A key for each clip, for bottlenecks that draw; None takes what is
        most likely instead.
      train: Whether dropout, batch statistics and watching are on.

    Raises:
      ValueError: If what comes back has another shape.
    """
    encoded_bthwe = self.encode(video_bthwc, train=train)
    bottled = self.bottleneck(encoded_bthwe, key_b, train=train)
    self.moments(bottled.latent_bthwd, update=train)
    rebuilt_bthwc = self.decode(bottled.latent_bthwd, train=train)
    if rebuilt_bthwc.shape != video_bthwc.shape:
      raise ValueError(
        f'{type(self).__name__} makes of clips {video_bthwc.shape[1:]} others,'
        f' {rebuilt_bthwc.shape[1:]}; build it for those, as by num_channels.'
      )
    return rebuilt_bthwc, bottled

  @property
  def num_codes(self) -> int:
    """Size of the codebook; 0 if latents are continuous."""
    return self.bottleneck.num_codes

  def latents(self, video_bthwc: Array) -> Array:
    """Returns the most likely latents of clips, standardized by channel."""
    bottled = self.bottleneck(self.encode(video_bthwc), None, train=False)
    return self._standardized(bottled.latent_bthwd)

  def latents_of_codes(self, codes_bthw: Array) -> Array:
    """Returns the `latents` of clips that have these codes."""
    return self._standardized(self.bottleneck.lookup(codes_bthw))

  def from_latents(self, latent_bthwd: Array) -> Array:
    """Returns the clips of standardized latents.

    Where there is a codebook they are snapped to it first, as in Rombach et
    al., "High-Resolution Image Synthesis with Latent Diffusion Models", 2021,
    https://arxiv.org/abs/2112.10752, section 3.1: the decoder knows no others.
    """
    mean, std = self.moments(latent_bthwd, update=False)
    latent_bthwd = latent_bthwd * std + mean
    if self.num_codes:
      return self.from_codes(self.bottleneck.nearest(latent_bthwd))
    return self.decode(latent_bthwd)

  def codes(self, video_bthwc: Array) -> Array:
    """Returns the codes of clips, int32 `[b, t, h, w]`.

    Raises:
      ValueError: If latents are continuous.
    """
    bottled = self.bottleneck(self.encode(video_bthwc), None, train=False)
    if bottled.codes_bthw is None:
      raise ValueError(
        f'{type(self.bottleneck).__name__} has no codes; a family over codes'
        ' needs a bottleneck that quantizes.'
      )
    return bottled.codes_bthw

  def from_codes(self, codes_bthw: Array) -> Array:
    """Returns the clips of codes."""
    return self.decode(self.bottleneck.lookup(codes_bthw))

  def _standardized(self, latent_bthwd: Array) -> Array:
    mean, std = self.moments(latent_bthwd, update=False)
    return (latent_bthwd - mean) / std


class _Moments(nn.Module):
  """Running mean and spread of each channel."""

  @nn.compact
  def __call__(
    self, latent_bthwd: Array, *, update: bool
  ) -> tuple[Array, Array]:
    """Returns (mean, std) so far, `[1, 1, 1, 1, d]`; 0 and 1 at first."""
    width = latent_bthwd.shape[-1]
    state = lambda name, shape: self.variable(
      'latent_moments', name, jnp.zeros, shape
    )
    sum_d, square_d = state('sum', (width,)), state('square', (width,))
    weight = state('weight', ())
    if update and not self.is_initializing():
      latent_bthwd = latent_bthwd.astype(jnp.float32)
      mix = lambda old, new: _MEMORY * old + (1 - _MEMORY) * new
      sum_d.value = mix(sum_d.value, latent_bthwd.mean((0, 1, 2, 3)))
      square_d.value = mix(
        square_d.value, jnp.square(latent_bthwd).mean((0, 1, 2, 3))
      )
      weight.value = mix(weight.value, 1.0)
    seen = weight.value > 0
    total = jnp.where(seen, weight.value, 1.0)
    mean_d = sum_d.value / total
    variance_d = square_d.value / total - jnp.square(mean_d)
    std_d = jnp.sqrt(jnp.maximum(variance_d, 1e-8))
    std_d = jnp.where(seen, std_d, 1.0)
    return mean_d.reshape(1, 1, 1, 1, -1), std_d.reshape(1, 1, 1, 1, -1)

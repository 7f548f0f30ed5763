"""Base class of autoencoders: it maps clips to latents and back."""

import abc
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Metrics
from vgen_jax.nn import distributions

_DECAY = 0.99  # Decay of the latents' moments, per step.


class BottleneckOutput(NamedTuple):
  """Output of a bottleneck; t, h and w are the axes of the latents.

  Attributes:
    latent_bthwd: Latents, the input of the decoder. Their gradient is that of
      the bottleneck's input if they are quantized (straight-through estimator).
    loss: Loss of the bottleneck, a scalar to minimize: the commitment loss of a
      quantizer, or the divergence of a posterior from the prior, in nats per
      clip, averaged over the batch.
    terms: Metrics to log.
    codes_bthw: Indices in the codebook, int32; None if latents are continuous.
    posterior: Posterior distribution of continuous latents; None if the
      bottleneck has none. Latents are samples of it, or its means.
  """

  latent_bthwd: Array
  loss: Array
  terms: Metrics
  codes_bthw: Array | None = None
  posterior: distributions.Gaussian | None = None


class Autoencoder(nn.Module):
  """A network that maps clips to latents and reconstructs clips from them.

  Families train one as their part `autoencoder`; in a latent family it is
  frozen. A subclass defines the methods that raise NotImplementedError here,
  and `setup`, which calls `super().setup()` and sets `self.bottleneck`, a
  module of nn/bottlenecks/, such as `quantize.EMAVQ` or `gaussian.Gaussian`:
  `(encoded_bthwe, key_b, *, train) -> BottleneckOutput`. The bottleneck has
  `num_codes`, which is 0 if latents are continuous; otherwise it also has
  `lookup(codes_bthw)` and `nearest(latent_bthwd)`.

  In training, the network tracks the mean and the standard deviation of each
  channel of its latents in the collection 'latent_moments'. They standardize
  the latents that other models are trained on.
  """

  def setup(self):
    self.moments = _Moments()

  @abc.abstractmethod
  def latent_shape(self, clip_shape: ClipShape) -> ClipShape:
    """Returns (t, h, w, d) of the latents of clips of a shape.

    Raises:
      ValueError: If such clips cannot be encoded.
    """
    raise NotImplementedError

  @property
  def encodes_first_frame_alone(self) -> bool:
    """Whether the first latent in time stands for the first frame only.

    All later latents then stand for equal numbers of the later frames.
    """
    return False

  @abc.abstractmethod
  def encode(self, video_bthwc: Array, *, train: bool = False) -> Array:
    """Returns the input of the bottleneck, `[b, t, h, w, e]`."""
    raise NotImplementedError

  @abc.abstractmethod
  def decode(self, latent_bthwd: Array, *, train: bool = False) -> Array:
    """Returns clips, float32 `[b, t, h, w, c]`, not clipped to [-1, 1]."""
    raise NotImplementedError

  def __call__(
    self, video_bthwc: Array, key_b: Array | None = None, *, train: bool = False
  ) -> tuple[Array, BottleneckOutput]:
    """Returns the reconstructed clips, and the output of the bottleneck.

    Args:
      video_bthwc: Clips in [-1, 1].
      key_b: Random key of each clip, for bottlenecks that sample; None for the
        most likely latents.
      train: Whether dropout is on, and batch statistics and moments of latents
        are updated.

    Raises:
      ValueError: If the reconstructed clips have another shape.
    """
    encoded_bthwe = self.encode(video_bthwc, train=train)
    output = self.bottleneck(encoded_bthwe, key_b, train=train)
    self.moments(output.latent_bthwd, update=train)
    reconstructed_bthwc = self.decode(output.latent_bthwd, train=train)
    if reconstructed_bthwc.shape != video_bthwc.shape:
      raise ValueError(
        f'{type(self).__name__} reconstructs clips of shape'
        f' {video_bthwc.shape[1:]} with shape {reconstructed_bthwc.shape[1:]};'
        ' build it for clips of the first shape, for example with num_channels.'
      )
    return reconstructed_bthwc, output

  @property
  def num_codes(self) -> int:
    """Size of the codebook; 0 if latents are continuous."""
    return self.bottleneck.num_codes

  def latents(self, video_bthwc: Array) -> Array:
    """Returns the most likely latents of clips, standardized per channel."""
    output = self.bottleneck(self.encode(video_bthwc), None, train=False)
    return self._standardized(output.latent_bthwd)

  def latents_of_codes(self, codes_bthw: Array) -> Array:
    """Returns the standardized latents of codes."""
    return self._standardized(self.bottleneck.lookup(codes_bthw))

  def from_latents(self, latent_bthwd: Array) -> Array:
    """Returns the clips that standardized latents are decoded to.

    If there is a codebook, latents are quantized first, because the decoder is
    trained on quantized latents only. This is as in Rombach et al.,
    "High-Resolution Image Synthesis with Latent Diffusion Models", 2021,
    https://arxiv.org/abs/2112.10752, section 3.1.
    """
    mean, std = self.moments(latent_bthwd, update=False)
    latent_bthwd = latent_bthwd * std + mean
    if self.num_codes:
      codes_bthw = self.bottleneck.nearest(latent_bthwd)
      # `nearest` returns a code for NaN, too.
      is_number_bthw = jnp.isfinite(latent_bthwd).all(-1)
      return self.from_codes(jnp.where(is_number_bthw, codes_bthw, -1))
    return self.decode(latent_bthwd)

  def codes(self, video_bthwc: Array) -> Array:
    """Returns the codes of clips, int32 `[b, t, h, w]`.

    Raises:
      ValueError: If latents are continuous.
    """
    output = self.bottleneck(self.encode(video_bthwc), None, train=False)
    if output.codes_bthw is None:
      raise ValueError(
        f'The bottleneck {type(self.bottleneck).__name__} has no codes; a'
        ' family over codes needs a bottleneck that quantizes, such as'
        ' nn.bottlenecks.quantize.EMAVQ.'
      )
    return output.codes_bthw

  def from_codes(self, codes_bthw: Array) -> Array:
    """Returns the clips that codes are decoded to, `[b, t, h, w, c]`.

    A clip that has a code outside of the codebook is NaN. Priors return such a
    code where their logits are NaN; indexing would return another code's
    vector.
    """
    video_bthwc = self.decode(self.bottleneck.lookup(codes_bthw))
    exists_bthw = (codes_bthw >= 0) & (codes_bthw < self.num_codes)
    exists_b = exists_bthw.all((1, 2, 3))[:, None, None, None, None]
    return jnp.where(exists_b, video_bthwc, jnp.nan)

  def _standardized(self, latent_bthwd: Array) -> Array:
    mean, std = self.moments(latent_bthwd, update=False)
    return (latent_bthwd - mean) / std


class _Moments(nn.Module):
  """Moving mean and standard deviation of each channel of the latents."""

  @nn.compact
  def __call__(
    self, latent_bthwd: Array, *, update: bool
  ) -> tuple[Array, Array]:
    """Returns the exponential moving mean and std; 0 and 1 before any update.

    Both have shape `[1, 1, 1, 1, d]`.
    """
    width = latent_bthwd.shape[-1]
    state = lambda name, shape: self.variable(
      'latent_moments', name, jnp.zeros, shape
    )
    sum_d, square_d = state('sum', (width,)), state('square', (width,))
    weight = state('weight', ())
    if update and not self.is_initializing():
      latent_bthwd = latent_bthwd.astype(jnp.float32)
      mix = lambda old, new: _DECAY * old + (1 - _DECAY) * new
      sum_d.value = mix(sum_d.value, latent_bthwd.mean((0, 1, 2, 3)))
      square_d.value = mix(
        square_d.value, jnp.square(latent_bthwd).mean((0, 1, 2, 3))
      )
      weight.value = mix(weight.value, 1.0)
    has_data = weight.value > 0
    total = jnp.where(has_data, weight.value, 1.0)
    mean_d = sum_d.value / total
    variance_d = square_d.value / total - jnp.square(mean_d)
    std_d = jnp.sqrt(jnp.maximum(variance_d, 1e-8))
    std_d = jnp.where(has_data, std_d, 1.0)
    return mean_d.reshape(1, 1, 1, 1, -1), std_d.reshape(1, 1, 1, 1, -1)

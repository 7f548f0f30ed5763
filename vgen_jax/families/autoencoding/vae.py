"""Variational autoencoders: a bound on the likelihood of clips."""

import dataclasses
import math

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.autoencoding import likelihoods
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import distributions
from vgen_jax.nn.bottlenecks import autoencoder as autoencoder_lib

REDUCTIONS = ('sum', 'mean')
GROUPS = ('channel', 'latent')

_CLIP = (1, 2, 3, 4)  # Axes of a clip, and of its latents.


class VAE(VideoModel):
  """Maximizes the evidence lower bound of clips, the ELBO.

  With posterior q and prior N(0, 1), the loss is the mean over the batch of

    sum over pixels of -log p(x | z)  +  beta * sum over latents of KL(q || p)

  unless sums are asked to be means. Means change how much the divergence
  weighs; the weight that it would have beside sums is logged as `beta_eff`
  (`effective_beta`). `elbo` is always that of sums and beta 1, in nats a clip;
  `bits_per_dim`, where pixels are discrete, is minus the same per pixel.

  Samples are what the decoder says of latents from the prior, without the noise
  that the likelihood would add to each pixel.

  Attributes:
    autoencoder: Has a bottleneck with a posterior, such as gaussian.Gaussian.
    likelihood: Of families/autoencoding/likelihoods.py; a player if its scale
      learns.
    beta: Weight of the divergence: 1 is the bound, more favours good samples
      over good reconstructions (Higgins et al., "beta-VAE", 2017,
      https://openreview.net/forum?id=Sy2fzU9gl).
    beta_warmup: Steps in which the weight rises from 0 to `beta`, in a line;
      decoders else may learn to do without latents.
    free_nats: Divergence that costs the same as less of it, of each channel
      (summed over places) or latent, on average over the batch: below there is
      no gradient. "Free bits" of Kingma et al., "Improving Variational
      Inference with Inverse Autoregressive Flow", 2016,
      https://arxiv.org/abs/1606.04934. Micro-batches count for themselves.
    free_per: 'channel' or 'latent'.
    recon_reduction: 'sum' or 'mean' over pixels and channels of a clip.
    kl_reduction: 'sum' or 'mean' over its latents.
  """

  autoencoder: autoencoder_lib.Autoencoder
  likelihood: nn.Module = dataclasses.field(
    default_factory=likelihoods.Gaussian
  )
  beta: float = 1.0
  beta_warmup: int = 0
  free_nats: float = 0.0
  free_per: str = 'channel'
  recon_reduction: str = 'sum'
  kl_reduction: str = 'sum'

  def __post_init__(self):
    super().__post_init__()
    _check(self)

  @property
  def updates(self) -> tuple[Update, ...]:
    turns = (Update('autoencoder'),)
    if self.likelihood.learned:
      turns += (Update('likelihood', with_previous=True),)
    return turns

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player  # All want the same.
    video_bthwc = batch['video']
    decoded_bthwc, bottled = self.autoencoder(
      video_bthwc, self.clip_keys(batch), train=train
    )
    if bottled.posterior is None:
      raise ValueError(
        'The bottleneck of model.autoencoder has no posterior, of which a VAE'
        " is made; take 'nn.bottlenecks.gaussian.Gaussian', or"
        ' families.autoencoding.tokenizer.Autoencoding for other bottlenecks.'
      )
    decoded_bthwc = decoded_bthwc.astype(jnp.float32)
    log_prob_bthwc = self.likelihood(decoded_bthwc, video_bthwc)
    nll = -log_prob_bthwc.sum(_CLIP).mean()
    kl_bthwd = bottled.posterior.divergence()
    kl = kl_bthwd.sum(_CLIP).mean()
    num_pixels = math.prod(video_bthwc.shape[1:])
    num_latents = math.prod(kl_bthwd.shape[1:])

    beta = self._beta(batch)
    beta_eff = effective_beta(
      beta, self.recon_reduction, self.kl_reduction, num_pixels, num_latents
    )
    loss = nll + beta_eff * self._paid(bottled.posterior)
    if self.recon_reduction == 'mean':
      loss /= num_pixels
    square_b = jnp.square(decoded_bthwc - video_bthwc).mean(_CLIP)
    terms = {
      'nll': nll,
      'kl': kl,
      'elbo': -nll - kl,
      'beta_eff': beta_eff,
      'psnr': 10 * jnp.log10(4 / jnp.maximum(square_b, 1e-10)).mean(),
    }
    if self.likelihood.learned:
      terms['scale'] = jnp.exp(self.likelihood.log_scale())
    if self.likelihood.is_discrete:
      terms['bits_per_dim'] = (nll + kl) / (num_pixels * math.log(2))
    return loss, terms

  def sample(self, key_b: Array, condition: Condition) -> Array:
    return self.draw(key_b, condition).clip(-1, 1)

  def draw(self, key_b: Array, condition: Condition) -> Array:
    self.check_condition(condition)
    shape = self.autoencoder.latent_shape(self.clip_shape)
    return self.autoencoder.decode(random.normal(key_b, shape))

  def _beta(self, batch: Batch) -> Array:
    if not self.beta_warmup or 'step' not in batch:
      return jnp.asarray(self.beta)
    return self.beta * (batch['step'][0] / self.beta_warmup).clip(0, 1)

  def _paid(self, posterior: distributions.Gaussian) -> Array:
    """Returns the divergence, but no group's below what is free."""
    kl_thwd = posterior.divergence().mean(0)
    axes = (0, 1, 2) if self.free_per == 'channel' else ()
    return jnp.maximum(kl_thwd.sum(axes), self.free_nats).sum()


def effective_beta(
  beta: float | Array,
  recon_reduction: str,
  kl_reduction: str,
  num_pixels: int,
  num_latents: int,
) -> Array:
  """Returns the weight of the divergence beside sums, for the same optima.

  Beside a mean over N pixels, one nat of divergence weighs N times as much as
  beside their sum; as part of a mean over d latents, 1 / d as much. So a mean
  squared error with a mean divergence, which is scale^2 = 1/2 here, and N / d,
  amounts for pixels of another scale to N / (2 scale^2 d): some hundreds for
  clips, and a posterior that collapses.

  Args:
    beta: Weight in the loss as it is.
    recon_reduction: 'sum' or 'mean'.
    kl_reduction: 'sum' or 'mean'.
    num_pixels: Values of a clip, N; channels count.
    num_latents: Latents of a clip, d.
  """
  beta = jnp.asarray(beta, jnp.float32)
  if recon_reduction == 'mean':
    beta *= num_pixels
  if kl_reduction == 'mean':
    beta /= num_latents
  return beta


def _check(model: VAE) -> None:
  """Raises ValueError if a field has no meaning."""
  options = {
    'recon_reduction': REDUCTIONS,
    'kl_reduction': REDUCTIONS,
    'free_per': GROUPS,
  }
  for field, known in options.items():
    if (value := getattr(model, field)) not in known:
      raise ValueError(f'model.{field} is {value!r}; it can be one of {known}.')
  for field in ('beta', 'beta_warmup', 'free_nats'):
    if not (value := getattr(model, field)) >= 0:
      raise ValueError(f'model.{field} is {value}; it must be 0 or more.')

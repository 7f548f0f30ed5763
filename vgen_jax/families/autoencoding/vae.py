"""Variational autoencoders: a lower bound on the likelihood of clips."""

import dataclasses
import math

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.autoencoding import likelihoods
from vgen_jax.families.autoencoding import reconstruction
from vgen_jax.families.autoencoding import warmup
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import batch_statistics
from vgen_jax.nn.bottlenecks import autoencoder as autoencoder_lib
from vgen_jax.nn.bottlenecks import priors

REDUCTIONS = ('sum', 'mean')
GROUPS = ('channel', 'latent')

_CLIP = (1, 2, 3, 4)  # Axes of a clip, and of its latents.


class VAE(VideoModel):
  """A VAE: an autoencoder that maximizes the evidence lower bound (ELBO).

  With posterior q and prior p(z), the loss is the mean over the batch of

    sum over pixels of -log p(x | z)  +  beta * KL(q(z | x) || p(z))

  or, by `recon_reduction` and `kl_reduction`, means instead of the sums. Means
  change the relative weight of the divergence; the equivalent weight with sums
  is logged as `beta_eff` (`effective_beta`). `elbo` always uses sums and beta
  1, in nats per clip. If the likelihood is discrete, `bits_per_dim` is the
  negative `elbo` in bits, divided by the number of pixels times channels of a
  clip.

  The prior is N(0, 1) for each latent, whose divergence is a sum over latents,
  or a learned distribution. Then the divergence is estimated from one sample of
  the latents of each clip, and the prior is a player of its own, which
  maximizes the log-density of these samples. Its loss has neither `beta` nor a
  reduction, because the optimal prior does not depend on them.

  A sample is the decoder's output for latents from the prior, without the
  noise of the likelihood.

  Attributes:
    autoencoder: Network with a bottleneck that has a posterior, such as
      nn.bottlenecks.gaussian.Gaussian.
    likelihood: Class of families/autoencoding/likelihoods.py; it is a player if
      its scale is learned.
    prior: Learned prior, such as nn.bottlenecks.priors.Mixture; None for
      N(0, 1).
    beta: Weight of the divergence, 0 or more. 1 gives the bound; larger values
      favour good samples over good reconstructions (Higgins et al., "beta-VAE",
      2017, https://openreview.net/forum?id=Sy2fzU9gl).
    beta_warmup: Number of steps over which the weight rises linearly from 0 to
      `beta`. Without it decoders may learn to ignore the latents.
    free_nats: Lower bound of the divergence in the loss, for each channel
      (summed over positions) or latent, on average over the batch. Below it
      there is no gradient: the "free bits" of Kingma et al., "Improving
      Variational Inference with Inverse Autoregressive Flow", 2016,
      https://arxiv.org/abs/1606.04934. 0 with a learned prior, whose divergence
      is not a sum over channels.
    free_per: What `free_nats` applies to, 'channel' or 'latent'.
    recon_reduction: 'sum' or 'mean' over pixels and channels of a clip.
    kl_reduction: 'sum' or 'mean' over the latents of a clip.
  """

  autoencoder: autoencoder_lib.Autoencoder
  likelihood: nn.Module = dataclasses.field(
    default_factory=likelihoods.Gaussian
  )
  prior: priors.Prior | None = None
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
    updates = (Update('autoencoder'),)
    if self.likelihood.learned:
      updates += (Update('likelihood', with_previous=True),)
    if self.prior is not None:
      updates += (Update('prior', with_previous=True),)
    return updates

  @property
  def supported_tasks(self) -> tuple[str, ...]:
    return ('generate', 'reconstruct')

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    if player == 'prior':
      return self._prior_loss(batch, train)
    video_bthwc = batch['video']
    decoded_bthwc, bottleneck = self.autoencoder(
      video_bthwc, self.clip_keys(batch), train=train
    )
    if bottleneck.posterior is None:
      raise ValueError(
        'The bottleneck of model.autoencoder has no posterior, which a VAE'
        " needs; take 'nn.bottlenecks.gaussian.Gaussian', or the family"
        " 'families.autoencoding.tokenizer.Autoencoding'."
      )
    shapes.check_output(
      'autoencoder', self.autoencoder, decoded_bthwc, video_bthwc.shape
    )
    decoded_bthwc = decoded_bthwc.astype(jnp.float32)
    log_prob_bthwc = self.likelihood(decoded_bthwc, video_bthwc)
    nll = -log_prob_bthwc.sum(_CLIP).mean()
    kl, counted_kl = self._divergences(bottleneck)
    num_pixels = math.prod(video_bthwc.shape[1:])
    num_latents = math.prod(bottleneck.latent_bthwd.shape[1:])

    beta = self._beta(batch)
    beta_eff = effective_beta(
      beta, self.recon_reduction, self.kl_reduction, num_pixels, num_latents
    )
    loss = nll + beta_eff * counted_kl
    if self.recon_reduction == 'mean':
      loss /= num_pixels
    terms = {
      'nll': nll,
      'kl': kl,
      'elbo': -nll - kl,
      'beta_eff': beta_eff,
      'psnr': reconstruction.psnr(video_bthwc, decoded_bthwc),
    }
    if self.likelihood.learned:
      terms['scale'] = jnp.exp(self.likelihood.log_scale())
    if self.likelihood.is_discrete:
      terms['bits_per_dim'] = (nll + kl) / (num_pixels * math.log(2))
    return loss, terms

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    self.check_condition(condition)
    shape = self.autoencoder.latent_shape(self.clip_shape)
    if self.prior is None:
      latent_bthwd = random.normal(key_b, shape)
    else:
      latent_bthwd = self.prior(shape[-1]).sample(key_b, shape[:-1])
    return self.autoencoder.decode(latent_bthwd)

  def _prior_loss(self, batch: Batch, train: bool) -> tuple[Array, Metrics]:
    """Returns the part of the divergence that depends on the prior.

    It is computed without the decoder.
    """
    encoded_bthwe = self.autoencoder.encode(batch['video'], train=train)
    latent_bthwd = self.autoencoder.bottleneck(
      encoded_bthwe, self.clip_keys(batch), train=train
    ).latent_bthwd
    return -self._log_prior(latent_bthwd).mean(), {}

  def _log_prior(self, latent_bthwd: Array) -> Array:
    """Returns the log-density of the latents of each clip, `[b]`."""
    prior = self.prior(latent_bthwd.shape[-1])
    return prior.log_prob(latent_bthwd).sum(_CLIP[:-1])

  def _beta(self, batch: Batch) -> Array:
    return warmup.weight(self.beta, batch, num_steps=self.beta_warmup)

  def _divergences(
    self, bottleneck: autoencoder_lib.BottleneckOutput
  ) -> tuple[Array, Array]:
    """Returns the divergence per clip, and the one that the loss counts.

    Both are means over the batch. In the second, each group counts at least
    `free_nats`.
    """
    posterior = bottleneck.posterior
    if self.prior is not None:
      entropy_b = posterior.entropy().sum(_CLIP)
      kl = -(entropy_b + self._log_prior(bottleneck.latent_bthwd)).mean()
      return kl, kl
    kl_bthwd = posterior.divergence()
    kl_thwd = kl_bthwd.mean(0)
    if self.free_nats:  # Otherwise the loss is a mean over clips.
      kl_thwd = batch_statistics.mean(self, 'divergence', kl_thwd)
    axes = (0, 1, 2) if self.free_per == 'channel' else ()
    counted_kl = jnp.maximum(kl_thwd.sum(axes), self.free_nats).sum()
    return kl_bthwd.sum(_CLIP).mean(), counted_kl


def effective_beta(
  beta: float | Array,
  recon_reduction: str,
  kl_reduction: str,
  num_pixels: int,
  num_latents: int,
) -> Array:
  """Returns the weight of the divergence that is equivalent with sums.

  The loss `sum of errors + result * sum of divergences` has the same optima as
  the loss with `beta` and these reductions. With a mean over N pixels, a nat of
  divergence weighs N times as much as with their sum; in a mean over d latents
  it weighs 1 / d as much. A mean squared error is the likelihood with
  scale^2 = 1/2; with a mean divergence the weight is N / d. For a likelihood of
  another scale, the equivalent weight is N / (2 scale^2 d): some hundreds for
  clips, so that the posterior collapses.

  Args:
    beta: Weight in the loss.
    recon_reduction: 'sum' or 'mean' over pixels.
    kl_reduction: 'sum' or 'mean' over latents.
    num_pixels: Number of values of a clip, N, over all channels.
    num_latents: Number of latents of a clip, d.
  """
  beta = jnp.asarray(beta, jnp.float32)
  if recon_reduction == 'mean':
    beta *= num_pixels
  if kl_reduction == 'mean':
    beta /= num_latents
  return beta


def _check(model: VAE) -> None:
  """Raises ValueError if a field has a value that is not allowed."""
  for field, allowed in (
    ('recon_reduction', REDUCTIONS),
    ('kl_reduction', REDUCTIONS),
    ('free_per', GROUPS),
  ):
    checks.one_of(f'model.{field}', getattr(model, field), allowed)
  for field in ('beta', 'beta_warmup', 'free_nats'):
    checks.at_least(f'model.{field}', getattr(model, field), 0)
  if model.prior is not None and model.free_nats:
    raise ValueError(
      f'model.free_nats is {model.free_nats}, and model.prior is'
      f' {type(model.prior).__name__}, whose divergence is not a sum over'
      ' channels. Set free_nats to 0, or the prior to None.'
    )

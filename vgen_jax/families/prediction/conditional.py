"""Conditional variational autoencoders: a bound on p(clip | condition)."""

import dataclasses

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
from vgen_jax.families.prediction import known_frames

_CLIP = (1, 2, 3, 4)  # Axes of a clip.

# Purposes of a clip's key.
_POSTERIOR, _PRIOR = range(2)


class ConditionalVAE(VideoModel):
  """A VAE of clips whose prior and decoder depend on a condition.

  With condition x, clip y, posterior q(z | x, y) and prior p(z | x), the loss
  is the mean over the batch of

    recognition_weight * (-log p(y | x, z_q) + beta * KL(q || p))
    + (1 - recognition_weight) * -log p(y | x, z_p)

  where z_q is sampled from the posterior and z_p from the prior, and
  log-likelihoods and divergences are sums, in nats. With weight 1 and beta 1
  this is the negative evidence lower bound. The second term trains the decoder
  on the latents that it gets in sampling; with weight 0 only this term is left.

  If the first frame is a condition, the clip y is the frames after it, and the
  first frame of a sample is the given one.

  Attributes:
    network: A network like `models.cvae.ClipCVAE`.
    likelihood: Class of families/autoencoding/likelihoods.py; it is a player if
      its scale is learned.
    beta: Weight of the divergence.
    beta_warmup: Number of steps over which the weight rises linearly from 0 to
      `beta`. Without it decoders may learn to ignore the latents.
    recognition_weight: Weight of the first term, in [0, 1].

  Reference: Sohn, Lee and Yan, "Learning Structured Output Representation using
  Deep Conditional Generative Models", NIPS 2015, equations 4 to 6; the weight
  is alpha of equation 6, and weight 0 is the Gaussian stochastic neural network
  of equation 5.
  """

  network: nn.Module
  likelihood: nn.Module = dataclasses.field(
    default_factory=likelihoods.Gaussian
  )
  beta: float = 1.0
  beta_warmup: int = 0
  recognition_weight: float = 1.0

  def __post_init__(self):
    super().__post_init__()
    for field in ('beta', 'beta_warmup'):
      checks.at_least(f'model.{field}', getattr(self, field), 0)
    checks.in_range('model.recognition_weight', self.recognition_weight, 0, 1)
    if self.num_known and self.clip_shape[0] < 2:
      raise ValueError(
        f'config.clip_shape is {tuple(self.clip_shape)}, so clips have only the'
        ' first frame, which is a condition; they must have 2 frames or more:'
        ' set model.network.first_frame=False, or use longer clips.'
      )

  @property
  def updates(self) -> tuple[Update, ...]:
    updates = (Update('network'),)
    if self.likelihood.learned:
      updates += (Update('likelihood', with_previous=True),)
    return updates

  @property
  def condition_keys(self) -> tuple[str, ...]:
    return self.network.condition_keys

  @property
  def num_known(self) -> int:
    return int('known_video' in self.condition_keys)

  @property
  def supported_tasks(self) -> tuple[str, ...]:
    return ('generate', 'predict') if self.num_known else ('generate',)

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player, train  # All players have the same loss; there is no dropout.
    video_bthwc, key_b = batch['video'], self.clip_keys(batch)
    feature_bf = self._features(batch, video_bthwc)
    posterior = self.network.posterior(video_bthwc, feature_bf)
    prior = self.network.prior_of(feature_bf)
    kl = posterior.divergence(prior).sum(1).mean()
    nll, psnr = self._errors(
      posterior.sample(random.fold_in(key_b, _POSTERIOR)),
      feature_bf,
      video_bthwc,
    )
    beta = self._beta(batch)
    loss = nll + beta * kl
    terms = {'nll': nll, 'kl': kl, 'elbo': -nll - kl, 'psnr': psnr}
    if self.recognition_weight < 1:
      prior_nll, prior_psnr = self._errors(
        prior.sample(random.fold_in(key_b, _PRIOR)), feature_bf, video_bthwc
      )
      weight = self.recognition_weight
      loss = weight * loss + (1 - weight) * prior_nll
      terms |= {'prior_nll': prior_nll, 'prior_psnr': prior_psnr}
    if self.beta_warmup:
      terms['beta'] = beta
    if self.likelihood.learned:
      terms['scale'] = jnp.exp(self.likelihood.log_scale())
    return loss, terms

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    """Generates clips; see the base class.

    Args:
      key_b: Keys, one for each clip.
      condition: Condition with `label` and `known_video` if the network uses
        them. Only the first frame of `known_video` is an input; all known
        pixels are returned unchanged.

    Raises:
      ValueError: If a condition of the network is missing, or a key is not in
        `condition_keys`.
    """
    self.check_condition(condition)
    video_bthwc = None
    if self.num_known:
      video_bthwc, _ = known_frames.split(condition, 1)
    feature_bf = self._features(condition, video_bthwc, len(key_b))
    latent_bd = self.network.prior_of(feature_bf).sample(
      random.fold_in(key_b, _PRIOR)
    )
    decoded_bthwc = self.network.decode(latent_bd, feature_bf)
    if video_bthwc is None:
      return decoded_bthwc
    shapes.check_output(
      'network', self.network, decoded_bthwc, video_bthwc.shape
    )
    first_bt = jnp.zeros(decoded_bthwc.shape[:2], bool).at[:, 0].set(True)
    return known_frames.keep(condition, first_bt, decoded_bthwc[:, 1:])

  def _features(
    self,
    condition: Batch | Condition,
    video_bthwc: Array | None,
    num_clips: int = 0,
  ) -> Array:
    first_bhwc = video_bthwc[:, 0] if self.num_known else None
    num_clips = num_clips or len(video_bthwc)
    return self.network.features(condition, first_bhwc, num_clips)

  def _errors(
    self, latent_bd: Array, feature_bf: Array, video_bthwc: Array
  ) -> tuple[Array, Array]:
    """Returns -log p(y | x, z) in nats, and the PSNR of the decoded clips."""
    decoded_bthwc = self.network.decode(latent_bd, feature_bf)
    shapes.check_output(
      'network', self.network, decoded_bthwc, video_bthwc.shape
    )
    target_bthwc = video_bthwc[:, self.num_known :]
    decoded_bthwc = decoded_bthwc[:, self.num_known :]
    log_prob_bthwc = self.likelihood(decoded_bthwc, target_bthwc)
    psnr = reconstruction.psnr(target_bthwc, decoded_bthwc)
    return -log_prob_bthwc.sum(_CLIP).mean(), psnr

  def _beta(self, batch: Batch) -> Array:
    return warmup.weight(self.beta, batch, num_steps=self.beta_warmup)

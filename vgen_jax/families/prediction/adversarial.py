"""Stochastic prediction with critics: a VAE and a GAN share one predictor."""

from collections.abc import Mapping
import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Metrics
from vgen_jax.families.adversarial import critics
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.families.autoencoding import reconstruction
from vgen_jax.families.base import Update
from vgen_jax.families.prediction import stochastic
from vgen_jax.nn import latent_prediction

# Sources of latents of each variant. Each has a critic, except in 'vae'.
VARIANTS = {
  'vae_gan': ('prior', 'posterior'),
  'vae': ('posterior',),
  'gan': ('prior',),
}


class Adversarial(stochastic.Stochastic):
  """A stochastic predictor that is also trained against critics of clips.

  In each step clips are predicted twice: with latents from the posterior and
  with latents from the prior. Each of the two has its own critic. Critics are
  updated first. The loss of the predictor is

    the negative bound (see `Stochastic`), with latents from the posterior
    + adversarial_weight * the adversarial loss for each critic
    + feature_weight * cosine distance between features of the critic
      'posterior' for real clips and for clips with latents from the posterior

  A critic is given clips that consist of the first real frame, followed by
  predictions.

  Attributes:
    critic: {'prior': network, 'posterior': network}, as in
      families/adversarial/critics.py. Only those that `variant` needs are used.
    variant: 'vae_gan' (SAVP of the paper); 'vae', only the bound; 'gan', only
      the error and the adversarial loss of clips with latents from the prior,
      without a divergence.
    loss_kind: One of `gan_losses.KINDS`, except 'relativistic'.
    adversarial_weight: Weight of the adversarial loss for each critic.
    feature_weight: Weight of the distance of features, summed over layers.

  Reference: Lee et al., "Stochastic Adversarial Video Prediction", 2018,
  https://arxiv.org/abs/1804.01523, section 3. As in its code, the distance of
  features is taken for latents of the posterior only.
  """

  critic: Mapping[str, nn.Module] = dataclasses.field(default_factory=dict)
  variant: str = 'vae_gan'
  loss_kind: str = 'least_squares'
  adversarial_weight: float = 0.1
  feature_weight: float = 10.0

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('model.variant', self.variant, VARIANTS)
    gan_losses.check_unpaired(self.loss_kind, type(self).__name__)
    for name in self._critics:
      if name not in self.critic:
        raise ValueError(
          f'model.critic has the keys {sorted(self.critic)}; model.variant'
          f' {self.variant!r} also needs {name!r}. Add a network under this'
          ' key.'
        )
    for field in ('adversarial_weight', 'feature_weight'):
      checks.at_least(f'model.{field}', getattr(self, field), 0)

  @property
  def _critics(self) -> tuple[str, ...]:
    """Names of the critics of the variant."""
    return () if self.variant == 'vae' else VARIANTS[self.variant]

  @property
  def updates(self) -> tuple[Update, ...]:
    names = critics.players(dict.fromkeys(self._critics))
    return (*(Update(name) for name in names), Update('predictor'))

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    if player == 'predictor':
      return self._predictor_loss(batch, train)
    (source,) = (x for x in self._critics if player == f'critic_{x}')
    (prediction,) = self.training_predictions(batch, (source,), train=train)
    critic = critics.of_player(self.critic, player)
    key_b = self.clip_keys(batch)
    real_logit, fake_logit = (
      critics.split(critic(video_bthwc, {}, key_b, train=train))[0]
      for video_bthwc in (batch['video'], _whole(batch, prediction))
    )
    loss = gan_losses.critic(self.loss_kind, real_logit, fake_logit)
    return loss, gan_losses.logit_terms(self.loss_kind, real_logit, fake_logit)

  def _predictor_loss(self, batch: Batch, train: bool) -> tuple[Array, Metrics]:
    sources = VARIANTS[self.variant]
    predictions = dict(
      zip(
        sources,
        self.training_predictions(batch, sources, train=train),
        strict=True,
      )
    )
    if 'posterior' in predictions:
      loss, terms = self.negative_bound(batch, predictions['posterior'])
    else:
      target_bthwc = batch['video'][:, 1:]
      error = target_bthwc.shape[1] * reconstruction.distance(
        self.error, target_bthwc, predictions['prior'].frame_bhwc
      )
      loss, terms = self.error_weight * error, {'error': error}
    key_b = self.clip_keys(batch)
    for name in self._critics:
      fake_bthwc = _whole(batch, predictions[name])
      arguments = (self.critic[name], {}, key_b)
      if name == 'posterior' and self.feature_weight:
        logits_of = critics.with_features(*arguments, train=train)
        logit, fake_features = logits_of(fake_bthwc)
        _, real_features = logits_of(batch['video'])
        distance = sum(
          cosine_distance(real, fake)
          for real, fake in zip(real_features, fake_features, strict=True)
        )
        loss += self.feature_weight * distance
        terms['features'] = distance
      else:
        logit = critics.unbound(*arguments, train=train)(fake_bthwc)
      adversarial = gan_losses.generator(self.loss_kind, logit)
      loss += self.adversarial_weight * adversarial
      terms[f'adversarial_{name}'] = adversarial
    return loss, terms


def cosine_distance(one: Array, other: Array) -> Array:
  """Returns 1 minus the cosine of feature vectors, averaged over positions.

  Args:
    one: Features; vectors are along the last axis.
    other: Features of the same shape.
  """
  unit = lambda x: x / jnp.sqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-10)
  one, other = one.astype(jnp.float32), other.astype(jnp.float32)
  return 1 - (unit(one) * unit(other)).sum(-1).mean()


def _whole(batch: Batch, prediction: latent_prediction.Prediction) -> Array:
  """Returns the first frame of each clip, followed by predictions."""
  first_bthwc = batch['video'][:, :1]
  return jnp.concatenate([first_bthwc, prediction.frame_bhwc], axis=1)

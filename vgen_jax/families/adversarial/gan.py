"""Generative adversarial networks, with any number of critics."""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.adversarial import augment
from vgen_jax.families.adversarial import critics
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.families.adversarial import lipschitz
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel

_PENALTIES = ('none', 'r1', 'r2', 'gp')
_FAKE_LABELS = ('batch', 'uniform')

# Purposes of a clip's key.
_GENERATE, _CRITIC, _LABEL, _AUGMENT_REAL, _AUGMENT_FAKE, _INTERPOLATE = range(
  6
)


class _Clips(NamedTuple):
  """Clips that a critic classifies, and what it is conditioned on."""

  video_bthwc: Array
  condition: Condition


class GAN(VideoModel):
  """A generator that is trained against one critic or more.

  In a step critics are updated first, in the order of `critic`; then the
  generator is updated against all of them. Each update generates new clips.

  A critic may return `(logits, class_logits_bk)` if there are classes. It is
  then also trained to classify real clips by label, and the generator so that
  its clips are classified as their label.

  Batch and spectral norm of a part change in that part's own updates only. The
  power iteration of a spectral norm advances twice (real and generated clips)
  in each update of its critic, and not in penalties, in other updates or
  outside of training.

  Attributes:
    generator: `(key_b, condition, *, train) -> video_bthwc`, in [-1, 1].
    critic: Networks `(video_bthwc, condition, key_b, *, train) -> logits`, of
      any shape; a positive logit means "real". The critic under key 'image' is
      player 'critic_image'.
    num_classes: Number of labels that the parts are conditioned on, as
      `condition['label']`; 0 for unconditional parts.
    loss_kind: One of `gan_losses.KINDS`.
    penalty_kind: Penalty on the gradient of a clip's mean logit: 'none'; 'r1',
      zero-centred on real clips; 'r2', the same on generated clips; 'gp',
      one-centred on points between both, for 'wasserstein'. With batch norm,
      clips have no gradients of their own, so do not combine the two.
    penalty_weight: Gamma of 'r1' and 'r2', which is halved; lambda of 'gp'.
    penalty_every: 1 adds the penalty to the critic's loss. With more, the
      penalty is an update of its own every so many steps, and its weight is
      multiplied by that number (the lazy regularization of Karras et al.,
      "Analyzing and Improving the Image Quality of StyleGAN", 2019,
      https://arxiv.org/abs/1912.04958).
    num_critic_updates: Updates of each critic in a step; they share the batch.
    simultaneous: Whether all updates use the parameters from before the step,
      instead of the results of earlier updates of the step.
    augment: Names of `augment.POLICIES`, applied to all inputs of critics.
    fake_labels: Where the labels of generated clips come from during training:
      'batch', those of the real clips; 'uniform', random. `sample` without a
      label takes uniform random ones.
    class_weight: Weight of the cross-entropy of classes, for both sides.

  Reference: Goodfellow et al., "Generative Adversarial Nets", 2014,
  https://arxiv.org/abs/1406.2661; losses and penalties state their own.
  """

  generator: nn.Module
  critic: Mapping[str, nn.Module]
  num_classes: int = 0
  loss_kind: str = 'logistic'
  penalty_kind: str = 'none'
  penalty_weight: float = 1.0
  penalty_every: int = 1
  num_critic_updates: int = 1
  simultaneous: bool = False
  augment: tuple[str, ...] = ()
  fake_labels: str = 'batch'
  class_weight: float = 1.0

  def __post_init__(self):
    super().__post_init__()
    gan_losses.check(self.loss_kind)
    augment.check(self.augment)
    if not self.critic:
      raise ValueError(
        "model.critic is empty; a GAN needs one critic or more, as {'image':"
        ' network}.'
      )
    checks.one_of('model.penalty_kind', self.penalty_kind, _PENALTIES)
    checks.one_of('model.fake_labels', self.fake_labels, _FAKE_LABELS)
    checks.at_least('model.penalty_every', self.penalty_every, 1)
    checks.at_least('model.num_critic_updates', self.num_critic_updates, 1)

  @property
  def updates(self) -> tuple[Update, ...]:
    updates = []
    for player in critics.players(self.critic):
      updates.append(Update(player, times=self.num_critic_updates))
      if self.penalty_kind != 'none' and self.penalty_every > 1:
        updates.append(Update(player, 'penalty', every=self.penalty_every))
    updates.append(Update('generator'))
    if self.simultaneous:
      updates[1:] = [
        dataclasses.replace(x, with_previous=True) for x in updates[1:]
      ]
    return tuple(updates)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    return ('label',) if self.num_classes else ()

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    key_b = self.clip_keys(batch)
    fake = self._fake(batch, key_b, train)
    if player == 'generator':
      return self._generator_loss(fake, key_b, train)

    critic = critics.of_player(self.critic, player)
    real = self._real(batch, key_b)
    real_logit, class_logit_bk = self._logits(critic, real, key_b, train)
    fake_logit, _ = self._logits(critic, fake, key_b, train)
    loss = gan_losses.critic(self.loss_kind, real_logit, fake_logit)
    terms = {'adversarial': loss, **self._logit_terms(real_logit, fake_logit)}
    if class_logit_bk is not None:
      extra, extra_terms = self._class_loss(class_logit_bk, real)
      loss, terms = loss + extra, terms | extra_terms
    if self.penalty_kind != 'none' and self.penalty_every == 1:
      penalty = self._penalty(critic, real, fake, key_b, train)
      loss, terms = loss + penalty, terms | {'penalty': penalty}
    return loss, terms

  def penalty(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    """Returns the penalty times `penalty_every`, the loss of a lazy update."""
    key_b = self.clip_keys(batch)
    real = self._real(batch, key_b)
    needs_fake = self.penalty_kind != 'r1'
    fake = self._fake(batch, key_b, train) if needs_fake else real
    critic = critics.of_player(self.critic, player)
    penalty = self._penalty(critic, real, fake, key_b, train)
    return self.penalty_every * penalty, {'penalty': penalty}

  def sample(self, key_b: Array, condition: Condition) -> Array:
    return self.sample_unclipped(key_b, condition).clip(-1, 1)

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    self.check_condition(condition)
    if self.num_classes and 'label' not in condition:
      condition = {**condition, 'label': self._random_labels(key_b)}
    video_bthwc = self.generator(
      random.fold_in(key_b, _GENERATE), condition, train=False
    )
    return video_bthwc.astype(jnp.float32)

  def _generator_loss(
    self, fake: _Clips, key_b: Array, train: bool
  ) -> tuple[Array, Metrics]:
    """Returns the sum of the generator's losses against all critics."""
    loss, terms = jnp.zeros(()), {}
    for name, critic in self.critic.items():
      logit, class_logit_bk = self._logits(critic, fake, key_b, train)
      adversarial = gan_losses.generator(self.loss_kind, logit)
      loss += adversarial
      terms[f'adversarial_{name}'] = adversarial
      if class_logit_bk is not None:
        extra, extra_terms = self._class_loss(class_logit_bk, fake)
        loss += extra
        terms |= {f'{term}_{name}': x for term, x in extra_terms.items()}
    return loss, terms

  def _real(self, batch: Batch, key_b: Array) -> _Clips:
    """Returns the batch's clips, augmented."""
    video_bthwc = augment.augment(
      random.fold_in(key_b, _AUGMENT_REAL), batch['video'], self.augment
    )
    return _Clips(video_bthwc, self._condition(batch))

  def _fake(self, batch: Batch, key_b: Array, train: bool) -> _Clips:
    """Returns one generated clip for each real clip, augmented."""
    condition = self._condition(batch)
    if self.num_classes and self.fake_labels == 'uniform':
      condition = {**condition, 'label': self._random_labels(key_b)}
    video_bthwc = self.generator(
      random.fold_in(key_b, _GENERATE), condition, train=train
    )
    video_bthwc = augment.augment(
      random.fold_in(key_b, _AUGMENT_FAKE), video_bthwc, self.augment
    )
    return _Clips(video_bthwc, condition)

  def _condition(self, batch: Batch) -> Condition:
    if not self.num_classes:
      return {}
    if 'label' not in batch:
      raise ValueError(
        "The batch has no 'label', but model.num_classes of this GAN is"
        f' {self.num_classes}; train on a source with labels, or set it to 0.'
      )
    return {'label': batch['label']}

  def _random_labels(self, key_b: Array) -> Array:
    sample = lambda key: jax.random.randint(key, (), 0, self.num_classes)
    return jax.vmap(sample)(random.fold_in(key_b, _LABEL))

  def _logits(
    self, critic: nn.Module, clips: _Clips, key_b: Array, train: bool
  ) -> tuple[Array, Array | None]:
    """Returns a critic's logits, and its logits of classes or None."""
    key_b = random.fold_in(key_b, _CRITIC)
    logit, class_logit_bk = critics.split(critic(*clips, key_b, train=train))
    if class_logit_bk is not None and not self.num_classes:
      raise ValueError(
        f'{type(critic).__name__} classifies clips, but model.num_classes of'
        ' this GAN is 0; give both the same number.'
      )
    return logit, class_logit_bk

  def _logit_terms(self, real_logit: Array, fake_logit: Array) -> Metrics:
    """Returns mean logits and the critic's accuracies, for logs."""
    terms = critics.mean_logits(real_logit, fake_logit)
    boundary = gan_losses.boundary(self.loss_kind)
    if boundary is None:
      return terms | {'gap': terms['real_logit'] - terms['fake_logit']}
    return terms | {
      'real_accuracy': (real_logit > boundary).mean(),
      'fake_accuracy': (fake_logit < boundary).mean(),
    }

  def _class_loss(
    self, class_logit_bk: Array, clips: _Clips
  ) -> tuple[Array, Metrics]:
    label_b = clips.condition['label']
    loss = gan_losses.classification(class_logit_bk, label_b)
    accuracy = (class_logit_bk.argmax(axis=-1) == label_b).mean()
    return self.class_weight * loss, {
      'class_loss': loss,
      'class_accuracy': accuracy,
    }

  def _penalty(
    self,
    critic: nn.Module,
    real: _Clips,
    fake: _Clips,
    key_b: Array,
    train: bool,
  ) -> Array:
    """Returns the weighted mean penalty; statistics do not change."""
    clips = fake if self.penalty_kind == 'r2' else real
    score = critics.clip_scores(
      critics.unbound(
        critic, clips.condition, random.fold_in(key_b, _CRITIC), train=train
      )
    )
    if self.penalty_kind == 'gp':
      points_bthwc = lipschitz.interpolate(
        random.fold_in(key_b, _INTERPOLATE), real.video_bthwc, fake.video_bthwc
      )
      penalty_b = lipschitz.one_centred(score, points_bthwc)
    else:
      penalty_b = lipschitz.zero_centred(score, clips.video_bthwc)
    return self.penalty_weight * penalty_b.mean()

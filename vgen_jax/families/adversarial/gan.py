"""Generative adversarial networks, with any number of critics."""

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
from vgen_jax.families.adversarial import constraints
from vgen_jax.families.adversarial import critics
from vgen_jax.families.adversarial import gan_clips
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.families.adversarial import lipschitz
from vgen_jax.families.base import Update

_CONSTRAINTS = ('none', *constraints.KINDS)


class GAN(gan_clips.GANClips):
  """A generator that is trained against one critic or more.

  In a step critics are updated first, in the order of `critic`; then the
  generator is updated against all of them. Each update generates new clips.

  A critic may return `(logits, class_logits_bk)` if there are classes. The
  critic is then also trained to classify clips by label, and the generator is
  trained to generate clips that are classified as their labels.

  Batch and spectral norm of a part change in that part's own updates only. The
  power iteration of a spectral norm advances twice (real and generated clips)
  in each update of its critic, and not in penalties, in other updates or
  outside of training.

  See `GANClips` for the attributes of parts and conditions.

  Attributes:
    loss_kind: One of `gan_losses.KINDS`.
    penalty_kind: Penalty on the gradient of a clip's mean logit: 'none'; 'r1',
      zero-centred on real clips; 'r2', the same on generated clips; 'r1+r2',
      their sum; 'gp', one-centred on points between real and generated clips,
      for 'wasserstein'. Do not combine a penalty with batch norm in the critic,
      because the logit of a clip then also depends on other clips.
    penalty_weight: Gamma of 'r1' and 'r2', which is halved; lambda of 'gp'.
    penalty_every: 1 adds the penalty to the critic's loss. With more, the
      penalty is an update of its own every so many steps, and its weight is
      multiplied by that number (the lazy regularization of Karras et al.,
      "Analyzing and Improving the Image Quality of StyleGAN", 2019,
      https://arxiv.org/abs/1912.04958).
    constraint_kind: Projection of a critic's parameters after its updates,
      'none' or one of `constraints.KINDS`.
    constraint_limit: Limit of the projection: the largest weight of
      'clip_weights' (0.01 in the paper), the largest singular value of
      'clip_singular_values' (1 in the paper).
    constraint_every: Period of the projection, in steps.
    num_critic_updates: Number of updates of each critic in a step. The clips of
      the batch are divided among them.
    simultaneous: Whether all updates use the parameters from before the step,
      instead of the results of earlier updates of the step.
    class_weight: Weight of the cross-entropy of classes, in the losses of the
      critics and of the generator.
    context_weight: Weight of the mean absolute error of the generated clip's
      first `num_context` frames, in the generator's loss.

  Reference: Goodfellow et al., "Generative Adversarial Nets", 2014,
  https://arxiv.org/abs/1406.2661; the papers of losses and penalties are cited
  where these are defined.
  """

  loss_kind: str = 'logistic'
  penalty_kind: str = 'none'
  penalty_weight: float = 1.0
  penalty_every: int = 1
  constraint_kind: str = 'none'
  constraint_limit: float = 1.0
  constraint_every: int = 1
  num_critic_updates: int = 1
  simultaneous: bool = False
  class_weight: float = 1.0
  context_weight: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    gan_losses.check(self.loss_kind)
    for name, allowed in (
      ('penalty_kind', lipschitz.KINDS), ('constraint_kind', _CONSTRAINTS),
    ):  # fmt: skip
      checks.one_of(f'model.{name}', getattr(self, name), allowed)
    checks.at_least('model.penalty_every', self.penalty_every, 1)
    checks.at_least('model.num_critic_updates', self.num_critic_updates, 1)
    if self.loss_kind == 'relativistic' and self.has_random_labels:
      raise ValueError(
        "model.loss_kind is 'relativistic', which compares a generated clip"
        ' with a real clip of the same label, but model.fake_labels is'
        f' {self.fake_labels!r} and model.class_source {self.class_source!r};'
        " set model.fake_labels to 'batch' and model.class_source to 'real'."
      )

  @property
  def updates(self) -> tuple[Update, ...]:
    updates = []
    constraint = None
    if self.constraint_kind != 'none':
      constraint = constraints.Constraint(
        self.constraint_kind, self.constraint_limit, self.constraint_every
      )
    for player in critics.players(self.critic):
      updates.append(
        Update(player, times=self.num_critic_updates, constraint=constraint)
      )
      if self.penalty_kind != 'none' and self.penalty_every > 1:
        updates.append(
          Update(
            player,
            'penalty',
            every=self.penalty_every,
            constraint=constraint,
          )
        )
    updates.append(Update('generator'))
    if self.simultaneous:
      updates[1:] = [
        dataclasses.replace(x, with_previous=True) for x in updates[1:]
      ]
    return tuple(updates)

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    key_b = self.clip_keys(batch)
    real, fake = (
      self.real_clips(batch, key_b),
      self.fake_clips(batch, key_b, train),
    )
    if player == 'generator':
      return self._generator_loss(real, fake, key_b, train)

    critic = critics.of_player(self.critic, player)
    real_logit, real_class_bk = self._logits(critic, real, key_b, train)
    fake_logit, fake_class_bk = self._logits(critic, fake, key_b, train)
    loss = gan_losses.critic(self.loss_kind, real_logit, fake_logit)
    terms = {
      'adversarial': loss,
      **gan_losses.logit_terms(self.loss_kind, real_logit, fake_logit),
    }
    if real_class_bk is not None:
      if self.class_source == 'real':
        extra, extra_terms = self._class_loss(real_class_bk, real)
      else:
        extra, extra_terms = self._class_loss(fake_class_bk, fake)
      loss, terms = loss + extra, terms | extra_terms
    if self.penalty_kind != 'none' and self.penalty_every == 1:
      penalty = self._penalty(critic, real, fake, key_b, train)
      loss, terms = loss + penalty, terms | {'penalty': penalty}
    return loss, terms

  def penalty(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    """Returns the loss of a penalty update: the penalty times its period."""
    key_b = self.clip_keys(batch)
    real = self.real_clips(batch, key_b)
    needs_fake = self.penalty_kind != 'r1'
    fake = self.fake_clips(batch, key_b, train) if needs_fake else real
    critic = critics.of_player(self.critic, player)
    penalty = self._penalty(critic, real, fake, key_b, train)
    return self.penalty_every * penalty, {'penalty': penalty}

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    """Generates clips; see the base class.

    With `num_context`, `known_video` is required. Its first frames are given
    to the generator, and pixels where `known` is True are returned unchanged.
    """
    self.check_condition(condition)
    given = self.known_frames(condition)
    given |= self.further_conditions(condition, 'The condition')
    if self.num_classes:
      label_b = condition.get('label')
      given['label'] = self.random_labels(key_b) if label_b is None else label_b
    video_bthwc, _ = critics.split(
      self.generator(
        random.fold_in(key_b, gan_clips.GENERATE), given, train=False
      )
    )
    video_bthwc = video_bthwc.astype(jnp.float32)
    if 'known' in condition:
      video_bthwc = jnp.where(
        condition['known'], condition['known_video'], video_bthwc
      )
    return video_bthwc

  def _generator_loss(
    self, real: critics.Clips, fake: critics.Clips, key_b: Array, train: bool
  ) -> tuple[Array, Metrics]:
    """Returns the sum of the generator's losses against all critics."""
    loss, terms = jnp.zeros(()), dict(fake.terms)
    weights = {
      'context': self.context_weight,
      'reconstruction': self.reconstruction_weight,
    }
    for name, term in terms.items():
      loss += term * weights.get(name, 1)
    for name, critic in self.critic.items():
      logit, class_logit_bk = self._logits(critic, fake, key_b, train)
      real_logit = None
      if gan_losses.needs_real(self.loss_kind):
        real_logit, _ = self._logits(critic, real, key_b, train)
      adversarial = gan_losses.generator(self.loss_kind, logit, real_logit)
      loss += adversarial
      terms[f'adversarial_{name}'] = adversarial
      if class_logit_bk is not None:
        extra, extra_terms = self._class_loss(class_logit_bk, fake)
        loss += extra
        terms |= {f'{term}_{name}': x for term, x in extra_terms.items()}
    return loss, terms

  def _logits(
    self, critic: nn.Module, clips: critics.Clips, key_b: Array, train: bool
  ) -> tuple[Array, Array | None]:
    """Returns a critic's logits, and its logits of classes or None."""
    key_b = random.fold_in(key_b, gan_clips.CRITIC)
    logit, class_logit_bk = critics.split(
      critic(clips.video_bthwc, clips.condition, key_b, train=train)
    )
    if class_logit_bk is not None and self.num_classes:
      wanted = len(key_b), self.num_classes
      shapes.check_output('critic', critic, class_logit_bk, wanted)
    if class_logit_bk is not None and not self.num_classes:
      raise ValueError(
        f'{type(critic).__name__} classifies clips, but model.num_classes of'
        ' this GAN is 0; give both the same num_classes.'
      )
    return logit, class_logit_bk

  def _class_loss(
    self, class_logit_bk: Array, clips: critics.Clips
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
    real: critics.Clips,
    fake: critics.Clips,
    key_b: Array,
    train: bool,
  ) -> Array:
    """Returns the weighted mean penalty; statistics do not change."""
    critic_key_b = random.fold_in(key_b, gan_clips.CRITIC)
    score = lambda condition: critics.clip_scores(
      critics.unbound(critic, condition, critic_key_b, train=train)
    )
    if self.penalty_kind == 'gp':
      points_bthwc = lipschitz.interpolate(
        random.fold_in(key_b, gan_clips.INTERPOLATE),
        real.video_bthwc,
        fake.video_bthwc,
      )
      penalty_b = lipschitz.one_centred(score(real.condition), points_bthwc)
    else:
      kinds = self.penalty_kind.split('+')
      penalty_b = sum(
        lipschitz.zero_centred(score(clips.condition), clips.video_bthwc)
        for kind, clips in (('r1', real), ('r2', fake))
        if kind in kinds
      )
    return self.penalty_weight * penalty_b.mean()

"""Generative adversarial networks, with any number of critics."""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.adversarial import augment
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.families.adversarial import lipschitz
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel

_PENALTIES = ('none', 'r1', 'r2', 'gp')
_FAKE_LABELS = ('batch', 'uniform')

# Streams of a clip's key.
_GENERATE, _JUDGE, _LABEL, _CHANGE_REAL, _CHANGE_FAKE, _BETWEEN = range(6)


class _Clips(NamedTuple):
  """What a critic judges, and what it is told of it."""

  video_bthwc: Array
  condition: Condition


class GAN(VideoModel):
  """A generator that learns to pass for data before one critic or more.

  In a step critics move first, in the order of `critic`; the generator then
  answers them all. Each move draws fakes of its own.

  A critic may return `(logits, class_logits_bk)` if there are classes: it then
  learns to tell the labels of data, and the generator to be told by it.

  Batch and spectral norm of a part change in that part's own moves only: power
  iteration of a spectral norm goes on twice (data, fakes) in each move of its
  critic, and stands still in penalties, in other moves and out of training.

  Attributes:
    generator: `(key_b, condition, *, train) -> video_bthwc`, in [-1, 1].
    critic: Networks `(video_bthwc, condition, key_b, *, train) -> logits`, of
      any shape; a positive logit says "data". The critic under key 'image' is
      player 'critic_image'.
    num_classes: Labels that batches bear and the parts are told, as
      `condition['label']`; with 0 they are told nothing.
    loss_kind: One of `gan_losses.KINDS`.
    penalty_kind: On the gradient of a clip's mean logit: 'none'; 'r1', zero-
      centred at data; 'r2', the same at fakes; 'gp', one-centred in between,
      for 'wasserstein'. With batch norm no clip has a gradient of its own:
      avoid it.
    penalty_weight: Gamma of 'r1' and 'r2', which is halved; lambda of 'gp'.
    penalty_every: 1 adds the penalty to the critic's loss. With more it is a
      move of its own in every so many steps, and weighs so many times more
      (the lazy regularization of Karras et al., "Analyzing and Improving the
      Image Quality of StyleGAN", 2019, https://arxiv.org/abs/1912.04958).
    num_critic_updates: Moves of each critic in a step; they share the batch.
    simultaneous: Whether all move at once instead of one after the other.
    augment: Names of `augment.POLICIES`, changes before every critic.
    fake_labels: Whence fakes in training have their labels: the 'batch', or
      'uniform' chance. `sample` without a label draws by uniform chance.
    class_weight: Weight of the classes' cross-entropy, on both sides.

  Reference: Goodfellow et al., "Generative Adversarial Nets", 2014,
  https://arxiv.org/abs/1406.2661; losses and penalties say where they are from.
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
      raise ValueError('critic is empty; a GAN needs one or more, by name.')
    for field, choices in (
      ('penalty_kind', _PENALTIES),
      ('fake_labels', _FAKE_LABELS),
    ):
      if getattr(self, field) not in choices:
        raise ValueError(
          f'{field} is {getattr(self, field)!r}; it must be one of {choices}.'
        )
    for field in ('penalty_every', 'num_critic_updates'):
      if getattr(self, field) < 1:
        raise ValueError(
          f'{field} is {getattr(self, field)}; it must be 1 or more.'
        )

  @property
  def updates(self) -> tuple[Update, ...]:
    turns = []
    for key in self.critic:
      player = f'critic_{key}'
      turns.append(Update(player, times=self.num_critic_updates))
      if self.penalty_kind != 'none' and self.penalty_every > 1:
        turns.append(Update(player, 'penalty', every=self.penalty_every))
    turns.append(Update('generator'))
    if self.simultaneous:
      turns[1:] = [
        dataclasses.replace(x, with_previous=True) for x in turns[1:]
      ]
    return tuple(turns)

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

    critic = self._critic_of(player)
    real = self._real(batch, key_b)
    real_logit, class_logit_bk = self._judge(critic, real, key_b, train)
    fake_logit, _ = self._judge(critic, fake, key_b, train)
    loss = gan_losses.critic(self.loss_kind, real_logit, fake_logit)
    terms = {'adversarial': loss, **self._opinions(real_logit, fake_logit)}
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
    """Returns the loss of a lazy penalty's move, `penalty_every` times it."""
    key_b = self.clip_keys(batch)
    real = self._real(batch, key_b)
    needs_fake = self.penalty_kind != 'r1'
    fake = self._fake(batch, key_b, train) if needs_fake else real
    critic = self._critic_of(player)
    penalty = self._penalty(critic, real, fake, key_b, train)
    return self.penalty_every * penalty, {'penalty': penalty}

  def sample(self, key_b: Array, condition: Condition) -> Array:
    self.check_condition(condition)
    if self.num_classes and 'label' not in condition:
      condition = {**condition, 'label': self._draw_labels(key_b)}
    video_bthwc = self.generator(
      random.fold_in(key_b, _GENERATE), condition, train=False
    )
    return video_bthwc.astype(jnp.float32).clip(-1, 1)

  def _generator_loss(
    self, fake: _Clips, key_b: Array, train: bool
  ) -> tuple[Array, Metrics]:
    """Sums what all critics make of the fakes."""
    loss, terms = jnp.zeros(()), {}
    for key, critic in self.critic.items():
      logit, class_logit_bk = self._judge(critic, fake, key_b, train)
      adversarial = gan_losses.generator(self.loss_kind, logit)
      loss += adversarial
      terms[f'adversarial_{key}'] = adversarial
      if class_logit_bk is not None:
        extra, extra_terms = self._class_loss(class_logit_bk, fake)
        loss += extra
        terms |= {f'{name}_{key}': x for name, x in extra_terms.items()}
    return loss, terms

  def _critic_of(self, player: str) -> nn.Module:
    return self.critic[player.removeprefix('critic_')]

  def _real(self, batch: Batch, key_b: Array) -> _Clips:
    """Data, as critics see it."""
    video_bthwc = augment.augment(
      random.fold_in(key_b, _CHANGE_REAL), batch['video'], self.augment
    )
    return _Clips(video_bthwc, self._condition(batch))

  def _fake(self, batch: Batch, key_b: Array, train: bool) -> _Clips:
    """As many fakes, as critics see them."""
    condition = self._condition(batch)
    if self.num_classes and self.fake_labels == 'uniform':
      condition = {**condition, 'label': self._draw_labels(key_b)}
    video_bthwc = self.generator(
      random.fold_in(key_b, _GENERATE), condition, train=train
    )
    video_bthwc = augment.augment(
      random.fold_in(key_b, _CHANGE_FAKE), video_bthwc, self.augment
    )
    return _Clips(video_bthwc, condition)

  def _condition(self, batch: Batch) -> Condition:
    if not self.num_classes:
      return {}
    if 'label' not in batch:
      raise ValueError(
        f"The batch has no 'label', but GAN has {self.num_classes} classes;"
        ' train on a source with labels, or set num_classes to 0.'
      )
    return {'label': batch['label']}

  def _draw_labels(self, key_b: Array) -> Array:
    draw = lambda key: jax.random.randint(key, (), 0, self.num_classes)
    return jax.vmap(draw)(random.fold_in(key_b, _LABEL))

  def _judge(
    self, critic: nn.Module, clips: _Clips, key_b: Array, train: bool
  ) -> tuple[Array, Array | None]:
    """Returns a critic's logits, and those of classes if it gives any."""
    key = random.fold_in(key_b, _JUDGE)
    opinion = critic(*clips, key, train=train)
    if isinstance(opinion, tuple) and not self.num_classes:
      raise ValueError(
        f'{type(critic).__name__} classifies clips, but num_classes of GAN is'
        ' 0; give both the same number.'
      )
    return opinion if isinstance(opinion, tuple) else (opinion, None)

  def _opinions(self, real_logit: Array, fake_logit: Array) -> Metrics:
    """Logits to log, and how often they are right."""
    terms = {'real_logit': real_logit.mean(), 'fake_logit': fake_logit.mean()}
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
    """Returns the weighted mean of the penalty; statistics stay as they are."""
    at = fake if self.penalty_kind == 'r2' else real
    key = random.fold_in(key_b, _JUDGE)
    # Unbound, since jax.grad takes functions, and a bound module is none.
    network, variables = critic.unbind()
    kept = [kind for kind in variables if kind != 'params']
    drops = self.has_rng('dropout')
    rngs = {'dropout': self.make_rng('dropout')} if drops else {}

    def score(video_bthwc: Array) -> Array:
      opinion, _ = network.apply(
        variables,
        video_bthwc,
        at.condition,
        key,
        train=train,
        rngs=rngs,
        mutable=kept,
      )
      logit = opinion[0] if isinstance(opinion, tuple) else opinion
      return logit.reshape(len(video_bthwc), -1).mean(axis=1)

    if self.penalty_kind == 'gp':
      points_bthwc = lipschitz.between(
        random.fold_in(key_b, _BETWEEN), real.video_bthwc, fake.video_bthwc
      )
      penalty_b = lipschitz.one_centred(score, points_bthwc)
    else:
      penalty_b = lipschitz.zero_centred(score, at.video_bthwc)
    return self.penalty_weight * penalty_b.mean()

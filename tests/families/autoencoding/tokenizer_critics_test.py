"""Tests of the critics of tokenizer.py: their losses, start and weight."""

import dataclasses
import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import compiled
from tests.families import tiny_autoencoder as tiny
from vgen_jax.families.autoencoding import tokenizer
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib


class SlopeAndClasses(tiny.Slope):
  """A critic that classifies clips, too, as that of MoCoGAN with labels."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    logit = super().__call__(video_bthwc, condition, key_b, train=train)
    return logit, jnp.zeros((len(video_bthwc), 3))


def test_critic_loss_by_hand():
  model = tiny.make(critic={'clip': tiny.Slope()})
  loss, terms, grads, _ = tiny.run(model, tiny.BATCH, 'critic_clip')
  # Logits of real clips are 1.6 and .8, of reconstructions .8 and .4.
  assert loss == pytest.approx((0 + 0.2) / 2 + (1.8 + 1.4) / 2)
  assert terms['real_logit'] == pytest.approx(1.2)
  assert grads['critic_clip']['slope'] == pytest.approx(-0.4 / 2 + 0.3)
  logistic = tiny.make(critic={'clip': tiny.Slope()}, loss_kind='logistic')
  softplus = lambda x: float(np.log1p(np.exp(x)))
  expected = [softplus(x) for x in (-1.6, -0.8, 0.8, 0.4)]
  loss, _, _, _ = tiny.run(logistic, tiny.BATCH, 'critic_clip')
  assert loss == pytest.approx(sum(expected) / 2, rel=1e-5)


@pytest.mark.parametrize('player', ['autoencoder', 'critic_clip'])
def test_class_logits_of_a_critic_are_not_used(player):
  run = lambda critic: tiny.run(
    tiny.make(critic={'clip': critic}, r1_weight=0.5, lecam_weight=0.5),
    tiny.BATCH,
    player,
  )
  found, expected = run(SlopeAndClasses()), run(tiny.Slope())
  chex.assert_trees_all_close(found[:3], expected[:3], rtol=1e-6)


def test_adaptive_weight_by_hand():
  """For kernel k, l2 is mean (2 k x - x)^2, the adversarial loss -s 2 k x."""
  x = np.array([0.8, 0.4])
  by_distance = np.mean(2 * (0.5 * x - x) * 2 * x)
  for slope in (2.0, -5.0):
    by_adversary = np.mean(-slope * 2 * x)
    ratio = abs(by_distance) / (abs(by_adversary) + 1e-4)
    model = tiny.make(critic={'clip': tiny.Slope(slope)}, critic_weight=0.5)
    loss, terms, grads, _ = tiny.run(model, tiny.BATCH)
    assert terms['critic_weight'] == pytest.approx(0.5 * ratio, rel=1e-4)
    assert terms['adversarial'] == pytest.approx(-slope * 0.3, rel=1e-5)
    expected = 0.1 + 3 + 0.5 * ratio * -slope * 0.3
    assert loss == pytest.approx(expected, rel=1e-4)
    # The ratio itself has no gradient.
    total = by_distance + 0.5 * ratio * by_adversary
    kernel = grads['autoencoder']['decoder']['out']['kernel'].item()
    assert kernel == pytest.approx(total, rel=1e-4)
  fixed = tiny.make(
    critic={'clip': tiny.Slope(-5.0)},
    critic_weight=0.5,
    adaptive=False,
  )
  assert tiny.run(fixed, tiny.BATCH)[1]['critic_weight'] == 0.5


def test_adaptive_weight_is_the_ratio_of_gradients_at_the_last_kernel():
  """The networks have hidden layers; the losses of two critics are summed."""
  critics = {'a': tiny.Hidden(3), 'b': tiny.Hidden(5)}
  of_deep = functools.partial(
    tokenizer.Autoencoding,
    tiny.SHAPE,
    tiny.Doubler(is_deep=True),
    critics,
    reconstruction='l1',
  )
  plain = {'bottleneck_weight': 0.0, 'critic_weight': 1.0}
  balanced = of_deep(**plain)
  distance = of_deep(**(plain | {'critic_weight': 0.0}))
  adversary = of_deep(**plain, adaptive=False, reconstruction_weight=0.0)

  @compiled.jit
  def act(variables, batch):
    def loss(variables, model):
      return compiled.apply(
        model,
        variables,
        batch,
        player='autoencoder',
        train=False,
        method='loss',
        rngs=tiny.NOISE,
      )

    norms = []
    for model in (distance, adversary):
      whole = jax.grad(lambda x, model=model: loss(x, model)[0])(variables)
      out = whole['params']['autoencoder']['decoder']['out']
      norms.append(jnp.linalg.norm(out['kernel']))
    return loss(variables, balanced)[1]['critic_weight'], norms

  batch = tiny.batch_of([0.8, 0.4, -0.3])
  rngs = {'params': jax.random.key(0), **tiny.NOISE}
  variables = compiled.init(balanced, rngs, batch)
  weight, norms = act(variables, batch)
  by_distance, by_adversary = map(float, norms)
  assert min(by_distance, by_adversary) > 0.01
  expected = by_distance / (by_adversary + 1e-4)
  assert float(weight) == pytest.approx(expected, rel=1e-5)


def test_adaptive_weight_does_not_depend_on_the_batch_size():
  """Both losses are means over clips, so repeated clips change nothing."""
  model = tiny.make(critic={'clip': tiny.Slope()})
  weights = [
    float(
      tiny.run(model, tiny.batch_of([0.8, 0.4] * times))[1]['critic_weight']
    )
    for times in (1, 2)
  ]
  assert weights[0] == pytest.approx(weights[1], rel=1e-6)


def test_adaptive_weight_is_bounded():
  """A constant critic has a gradient of 0."""
  model = tiny.make(critic={'clip': tiny.Slope(0.0)}, reconstruction_weight=1e6)
  assert tiny.run(model, tiny.BATCH)[1]['critic_weight'] == pytest.approx(0.8e4)


def test_critics_have_no_influence_before_they_start():
  model = tiny.make(critic={'clip': tiny.Slope()}, critic_start=10)
  alone = tiny.run(tiny.make(), tiny.BATCH)
  for step, has_started in ((9, False), (10, True)):
    batch = tiny.batch_of([0.8, 0.4], step)
    loss, terms, grads, _ = tiny.run(model, batch)
    assert bool(terms['critic_weight'] > 0) == has_started
    assert bool(terms['adversarial'] != 0) == has_started
    kernel, plain = (
      x['autoencoder']['decoder']['out']['kernel'] for x in (grads, alone[2])
    )
    assert (loss == alone[0] and kernel == plain) == (not has_started)
    # Their own loss is always defined, but they are not updated.
    _, _, grads, _ = tiny.run(model, batch, 'critic_clip')
    assert grads['critic_clip']['slope'] != 0
  del batch['step']  # Outside of training.
  assert tiny.run(model, batch)[1]['critic_weight'] > 0
  variables = compiled.init(
    model, {'params': jax.random.key(0), **tiny.NOISE}, batch
  )
  losses = compiled.apply(model, variables, batch, rngs=tiny.NOISE)
  assert len(losses) == 2
  assert all(np.isfinite(x) and x != 0 for x, _ in losses)
  assert losses[0][1]['adversarial'] != 0


def test_critics_are_not_computed_before_they_start():
  """The branch of the early steps only creates zeros."""
  model = tiny.make(critic={'clip': tiny.Slope()}, critic_start=10)
  rngs = {'params': jax.random.key(0), **tiny.NOISE}
  variables = compiled.init(model, rngs, tiny.BATCH)
  fields = {'player': 'autoencoder', 'train': False, 'method': 'loss'}
  jaxpr = jax.make_jaxpr(
    lambda batch: model.apply(variables, batch, rngs=tiny.NOISE, **fields)
  )(tiny.BATCH)
  (cond,) = (x for x in jaxpr.eqns if x.primitive.name == 'cond')
  early, late = (
    {x.primitive.name for x in branch.jaxpr.eqns}
    for branch in cond.params['branches']
  )
  assert early <= {'broadcast_in_dim'} < late


class Zeroed(tokenizer.Autoencoding):
  """A wrong variant: critics are updated from step 0, with a loss of 0."""

  @property
  def updates(self):
    return tuple(dataclasses.replace(x, start=0) for x in super().updates)

  def loss(self, batch, *, player, train):
    loss, terms = super().loss(batch, player=player, train=train)
    has_started = (
      batch.get('step', jnp.ones(1) * np.inf)[0] >= self.critic_start
    )
    return (loss * has_started if player != 'autoencoder' else loss), terms


def test_the_first_update_of_a_late_critic_is_that_of_a_new_optimizer():
  """If its loss were 0 until then, Adam's second moment would be too small.

  After n steps without a gradient the first gradient is divided by the root of
  (1 - b2) / (1 - b2^(n + 1)) times its square: with n = 3 the update is twice
  too large, for large n 31 times (b1 = 0; 3 times with b1 = 0.9).
  """
  optimizers = {
    'autoencoder': optax.sgd(0.0),  # So that all reconstructions are equal.
    'critic_clip': optax.adam(0.1, b1=0.0, b2=0.999),
  }

  def updates(kind, start: int) -> tuple[list[float], list[bool], list]:
    model = kind(
      tiny.SHAPE,
      tiny.Doubler(),
      critic={'clip': tiny.Slope()},
      critic_start=start,
    )
    batch = {'video': tiny.BATCH['video']}
    state = first = state_lib.create(model, optimizers, (), batch, seed=0)
    step = compiled.jit(step_lib.make_train_step(model, optimizers))
    own = lambda x: [
      np.asarray(leaf).tobytes()
      for leaf in jax.tree.leaves(
        (x.params['critic_clip'], x.opt['critic_clip'])
      )
    ]
    is_unchanged, metrics = [], []
    for _ in range(start + 1):
      is_unchanged.append(own(state) == own(first))
      before = state.params['critic_clip']['slope']
      state, terms = step(state, batch)
      metrics.append(terms)
    change = abs(float(state.params['critic_clip']['slope'] - before))
    return change, is_unchanged, metrics

  once, _, (reference,) = updates(tokenizer.Autoencoding, 0)
  late, is_unchanged, metrics = updates(tokenizer.Autoencoding, 3)
  assert is_unchanged == [True] * 4
  assert late == pytest.approx(once, rel=1e-5)
  weights = [float(x['autoencoder/critic_weight']) for x in metrics]
  assert weights[:3] == [0, 0, 0]
  assert weights[3] == pytest.approx(
    float(reference['autoencoder/critic_weight'])
  )
  losses = [float(x['autoencoder/loss']) for x in metrics]
  assert losses[0] == losses[2] != losses[3]
  assert losses[3] == pytest.approx(float(reference['autoencoder/loss']))
  zeroed, is_unchanged, _ = updates(Zeroed, 3)
  assert is_unchanged == [True, False, False, False]
  assert zeroed / once == pytest.approx(((1 - 0.999**4) / 0.001) ** 0.5, 1e-3)


class Moody(tiny.Slope):
  """A critic whose logit has the opposite sign in training."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    logit = super().__call__(video_bthwc, condition, key_b, train=train)
    return -logit if train else logit


@pytest.mark.parametrize('player', ['autoencoder', 'critic_clip'])
def test_critics_train_when_the_model_trains(player):
  """Dropout and batch norm of a critic depend on this, for both players."""
  model = tiny.make(critic={'clip': Moody()}, adaptive=False)
  plain = tiny.make(critic={'clip': tiny.Slope(-2.0)}, adaptive=False)
  in_training, outside = (
    tiny.run(model, tiny.BATCH, player, train=train)[1]['adversarial']
    for train in (True, False)
  )
  expected = tiny.run(plain, tiny.BATCH, player)[1]['adversarial']
  assert in_training == pytest.approx(float(expected))
  assert abs(in_training - outside) > 0.1


@pytest.mark.parametrize('field', ['loss_kind', 'reconstruction'])
def test_unknown_losses_are_reported_at_once(field):
  with pytest.raises(ValueError, match="'hing'"):
    tiny.make(**{field: 'hing'})

"""Tests of tokenizer.py: when critics are heard, and how loud."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.families import tiny_autoencoder
from vgen_jax.families.autoencoding import tokenizer
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib


def test_critic_tells_reconstructions_from_data():
  model = tiny_autoencoder.make(critic={'clip': tiny_autoencoder.Slope()})
  loss, terms, grads, _ = tiny_autoencoder.run(
    model, tiny_autoencoder.BATCH, 'critic_clip'
  )
  # Logits of data are 1.6 and .8, of what came back .8 and .4.
  assert loss == pytest.approx((0 + 0.2) / 2 + (1.8 + 1.4) / 2)
  assert terms['real_logit'] == pytest.approx(1.2)
  assert grads['critic_clip']['slope'] == pytest.approx(-0.4 / 2 + 0.3)
  logistic = tiny_autoencoder.make(
    critic={'clip': tiny_autoencoder.Slope()}, loss_kind='logistic'
  )
  softplus = lambda x: float(np.log1p(np.exp(x)))
  expected = [softplus(x) for x in (-1.6, -0.8, 0.8, 0.4)]
  loss, _, _, _ = tiny_autoencoder.run(
    logistic, tiny_autoencoder.BATCH, 'critic_clip'
  )
  assert loss == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_adversary_is_balanced_at_the_last_kernel():
  """By the kernel k: l2 is mean (2 k x - x)^2, and the adversary -s 2 k x."""
  x = np.array([0.8, 0.4])
  by_distance = np.mean(2 * (0.5 * x - x) * 2 * x)
  for slope in (2.0, -5.0):
    by_adversary = np.mean(-slope * 2 * x)
    ratio = abs(by_distance) / (abs(by_adversary) + 1e-4)
    model = tiny_autoencoder.make(
      critic={'clip': tiny_autoencoder.Slope(slope)}, critic_weight=0.5
    )
    loss, terms, grads, _ = tiny_autoencoder.run(model, tiny_autoencoder.BATCH)
    assert terms['critic_weight'] == pytest.approx(0.5 * ratio, rel=1e-4)
    assert terms['adversarial'] == pytest.approx(-slope * 0.3, rel=1e-5)
    expected = 0.1 + 3 + 0.5 * ratio * -slope * 0.3
    assert loss == pytest.approx(expected, rel=1e-4)
    # The ratio itself has no gradient.
    total = by_distance + 0.5 * ratio * by_adversary
    kernel = grads['autoencoder']['decoder']['out']['kernel'].item()
    assert kernel == pytest.approx(total, rel=1e-4)
  fixed = tiny_autoencoder.make(
    critic={'clip': tiny_autoencoder.Slope(-5.0)},
    critic_weight=0.5,
    adaptive=False,
  )
  assert (
    tiny_autoencoder.run(fixed, tiny_autoencoder.BATCH)[1]['critic_weight']
    == 0.5
  )


def test_balance_is_the_ratio_of_whole_gradients_at_the_last_kernel():
  """By all parameters of networks with hidden layers; two critics are one."""
  critics = {'a': tiny_autoencoder.Hidden(3), 'b': tiny_autoencoder.Hidden(5)}
  of_deep = functools.partial(
    tokenizer.Autoencoding,
    tiny_autoencoder.SHAPE,
    tiny_autoencoder.Doubler(is_deep=True),
    critics,
    reconstruction='l1',
  )
  plain = {'bottleneck_weight': 0.0, 'critic_weight': 1.0}
  balanced = of_deep(**plain)
  distance = of_deep(**(plain | {'critic_weight': 0.0}))
  adversary = of_deep(**plain, adaptive=False, reconstruction_weight=0.0)

  @jax.jit
  def act(batch):
    variables = balanced.init(
      {'params': jax.random.key(0), **tiny_autoencoder.NOISE}, batch
    )

    def loss(variables, model):
      return model.apply(
        variables,
        batch,
        player='autoencoder',
        train=False,
        method='loss',
        rngs=tiny_autoencoder.NOISE,
      )

    norms = []
    for model in (distance, adversary):
      whole = jax.grad(lambda x, model=model: loss(x, model)[0])(variables)
      out = whole['params']['autoencoder']['decoder']['out']
      norms.append(jnp.linalg.norm(out['kernel']))
    return loss(variables, balanced)[1]['critic_weight'], norms

  weight, norms = act(tiny_autoencoder.batch_of([0.8, 0.4, -0.3]))
  by_distance, by_adversary = map(float, norms)
  assert min(by_distance, by_adversary) > 0.01
  expected = by_distance / (by_adversary + 1e-4)
  assert float(weight) == pytest.approx(expected, rel=1e-5)


def test_balance_does_not_depend_on_the_size_of_a_batch():
  """Both sides are means over clips: twice the same clips change nothing."""
  model = tiny_autoencoder.make(critic={'clip': tiny_autoencoder.Slope()})
  weights = [
    float(
      tiny_autoencoder.run(
        model, tiny_autoencoder.batch_of([0.8, 0.4] * times)
      )[1]['critic_weight']
    )
    for times in (1, 2)
  ]
  assert weights[0] == pytest.approx(weights[1], rel=1e-6)


def test_adaptive_weight_is_clamped():
  """A critic that is sure of nothing has no gradient to divide by."""
  model = tiny_autoencoder.make(
    critic={'clip': tiny_autoencoder.Slope(0.0)}, reconstruction_weight=1e6
  )
  assert tiny_autoencoder.run(model, tiny_autoencoder.BATCH)[1][
    'critic_weight'
  ] == pytest.approx(0.8e4)


def test_critics_are_not_heard_before_their_time():
  model = tiny_autoencoder.make(
    critic={'clip': tiny_autoencoder.Slope()}, critic_start=10
  )
  alone = tiny_autoencoder.run(tiny_autoencoder.make(), tiny_autoencoder.BATCH)
  for step, heard in ((9, False), (10, True)):
    batch = tiny_autoencoder.batch_of([0.8, 0.4], step)
    loss, terms, grads, _ = tiny_autoencoder.run(model, batch)
    assert bool(terms['critic_weight'] > 0) == heard
    assert bool(terms['adversarial'] != 0) == heard
    kernel, plain = (
      x['autoencoder']['decoder']['out']['kernel'] for x in (grads, alone[2])
    )
    assert (loss == alone[0] and kernel == plain) == (not heard)
    # Their own loss is there at any time: it is their turns that are not.
    _, _, grads, _ = tiny_autoencoder.run(model, batch, 'critic_clip')
    assert grads['critic_clip']['slope'] != 0
  del batch['step']  # Outside of training.
  assert tiny_autoencoder.run(model, batch)[1]['critic_weight'] > 0
  variables = model.init(
    {'params': jax.random.key(0), **tiny_autoencoder.NOISE}, batch
  )
  losses = model.apply(variables, batch, rngs=tiny_autoencoder.NOISE)
  assert len(losses) == 2
  assert all(np.isfinite(x) and x != 0 for x, _ in losses)
  assert losses[0][1]['adversarial'] != 0


def test_what_is_not_heard_is_not_computed():
  """In the branch of the early steps there is nothing but zeros."""
  model = tiny_autoencoder.make(
    critic={'clip': tiny_autoencoder.Slope()}, critic_start=10
  )
  variables = model.init(
    {'params': jax.random.key(0), **tiny_autoencoder.NOISE},
    tiny_autoencoder.BATCH,
  )
  jaxpr = jax.make_jaxpr(
    lambda batch: model.apply(
      variables,
      batch,
      player='autoencoder',
      train=False,
      method='loss',
      rngs=tiny_autoencoder.NOISE,
    )
  )(tiny_autoencoder.BATCH)
  (cond,) = (x for x in jaxpr.eqns if x.primitive.name == 'cond')
  early, late = (len(x.jaxpr.eqns) for x in cond.params['branches'])
  assert early == 0 < late


class Zeroed(tokenizer.Autoencoding):
  """The way not to do it: critics play from the first step, for nothing."""

  @property
  def updates(self):
    return tuple(dataclasses.replace(x, start=0) for x in super().updates)

  def loss(self, batch, *, player, train):
    loss, terms = super().loss(batch, player=player, train=train)
    heard = batch.get('step', jnp.ones(1) * np.inf)[0] >= self.critic_start
    return (loss * heard if player != 'autoencoder' else loss), terms


def test_the_first_update_of_a_late_critic_is_as_any_first_update():
  """Where its loss was 0 until then, Adam has learnt not to expect much.

  After n steps without a gradient the first real one is divided by the root of
  (1 - b2) / (1 - b2^(n + 1)) times its square: with n = 3 updates are twice
  too large, in the long run 31 times (b1 = 0; 3 times with b1 = 0.9).
  """
  optimizers = {
    'autoencoder': optax.sgd(0.0),  # So that all see the same clips.
    'critic_clip': optax.adam(0.1, b1=0.0, b2=0.999),
  }

  def updates(kind, start: int) -> tuple[list[float], list[bool], list]:
    model = kind(
      tiny_autoencoder.SHAPE,
      tiny_autoencoder.Doubler(),
      critic={'clip': tiny_autoencoder.Slope()},
      critic_start=start,
    )
    batch = {'video': tiny_autoencoder.BATCH['video']}
    state = first = state_lib.create(model, optimizers, (), batch, seed=0)
    step = jax.jit(step_lib.make_train_step(model, optimizers))
    own = lambda x: [
      np.asarray(leaf).tobytes()
      for leaf in jax.tree.leaves(
        (x.params['critic_clip'], x.opt['critic_clip'])
      )
    ]
    still, metrics = [], []
    for _ in range(start + 1):
      still.append(own(state) == own(first))
      before = state.params['critic_clip']['slope']
      state, terms = step(state, batch)
      metrics.append(terms)
    moved = abs(float(state.params['critic_clip']['slope'] - before))
    return moved, still, metrics

  once, _, (told,) = updates(tokenizer.Autoencoding, 0)
  late, still, metrics = updates(tokenizer.Autoencoding, 3)
  assert still == [True] * 4
  assert late == pytest.approx(once, rel=1e-5)
  weights = [float(x['autoencoder/critic_weight']) for x in metrics]
  assert weights[:3] == [0, 0, 0]
  assert weights[3] == pytest.approx(float(told['autoencoder/critic_weight']))
  losses = [float(x['autoencoder/loss']) for x in metrics]
  assert losses[0] == losses[2] != losses[3]
  assert losses[3] == pytest.approx(float(told['autoencoder/loss']))
  zeroed, still, _ = updates(Zeroed, 3)
  assert still == [True, False, False, False]
  assert zeroed / once == pytest.approx(((1 - 0.999**4) / 0.001) ** 0.5, 1e-3)


def test_penalties_on_critics():
  model = tiny_autoencoder.make(
    critic={'clip': tiny_autoencoder.Slope()}, r1_weight=3.0
  )
  plain = tiny_autoencoder.run(
    tiny_autoencoder.make(critic={'clip': tiny_autoencoder.Slope()}),
    tiny_autoencoder.BATCH,
    'critic_clip',
  )[0]
  loss, terms, grads, _ = tiny_autoencoder.run(
    model, tiny_autoencoder.BATCH, 'critic_clip'
  )
  # The logit's gradient by each of two pixels is 1; half its square is 1.
  assert terms['r1'] == pytest.approx(1)
  assert loss - plain == pytest.approx(3, rel=1e-5)
  # Of (slope^2 / 4), the derivative by slope 2 is 1.
  assert grads['critic_clip']['slope'] == pytest.approx(0.1 + 3, rel=1e-4)


def test_lecam_keeps_logits_near_the_others_mean():
  model = tiny_autoencoder.make(
    critic={'clip': tiny_autoencoder.Slope()}, lecam_weight=0.5
  )
  stats = {
    'lecam': {'critic_clip': {'logits': jnp.array([1.2, 0.6])}},
    'latent_moments': tiny_autoencoder.run(model, tiny_autoencoder.BATCH)[3][
      'latent_moments'
    ],
  }
  loss, terms, _, changed = tiny_autoencoder.run(
    model, tiny_autoencoder.BATCH, 'critic_clip', stats=stats
  )
  # Data: 1.6 and .8 from .6; what came back: .8 and .4 from 1.2.
  expected = (1 + 0.04) / 2 + (0.16 + 0.64) / 2
  assert terms['lecam'] == pytest.approx(expected, rel=1e-5)
  assert loss == pytest.approx(1.7 + 0.5 * expected, rel=1e-5)
  moved = changed['lecam']['critic_clip']['logits']
  np.testing.assert_allclose(moved, [1.2, 0.6], rtol=1e-6)  # As they are now.
  first = tiny_autoencoder.run(model, tiny_autoencoder.BATCH, 'critic_clip')[3][
    'lecam'
  ]['critic_clip']['logits']
  np.testing.assert_allclose(first, [0.012, 0.006], rtol=1e-4)
  still = tiny_autoencoder.run(
    model, tiny_autoencoder.BATCH, 'critic_clip', train=False
  )[3]
  assert not still['lecam']['critic_clip']['logits'].any()

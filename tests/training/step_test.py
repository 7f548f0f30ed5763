"""Tests of training/step.py on models whose steps are computed by hand."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.training import chase
from vgen_jax.core import random
from vgen_jax.families import base
from vgen_jax.families.base import Update
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib

BATCH = chase.BATCH


def train(*order, steps=1, batch=BATCH, rates=(0.5, 0.1), **kwargs):
  model = chase.Chase(
    (1, 1, 1, 1),
    chase.Scalar(),
    chase.Scalar(),
    chase.Scalar(),
    order or chase.Chase.order,
  )
  optimizers = {'cat': optax.sgd(rates[0]), 'mouse': optax.sgd(rates[1])}
  kwargs = {'averages': {'slow': {'decay': 0.9}}} | kwargs
  state = state_lib.create(model, optimizers, ('slow',), batch, seed=0)
  step = jax.jit(step_lib.make_train_step(model, optimizers, **kwargs))
  for _ in range(steps):
    state, metrics = step(state, batch)
  values = {part: float(tree['value']) for part, tree in state.params.items()}
  return values, metrics, state


def test_players_are_updated_in_order_and_other_parts_are_frozen():
  values, metrics, state = train()
  assert state.opt.keys() == state.ema['slow'].keys() == {'cat', 'mouse'}
  # Cat: 1 - 0.5 * d/dcat (cat - 2)^2 = 2. Then mouse: 1 - 0.1 * -2 = 1.2.
  np.testing.assert_allclose(
    [values['cat'], values['mouse'], values['cheese']], [2.0, 1.2, 1.0]
  )
  # Each update uses the result of the one before.
  np.testing.assert_allclose(metrics['cat/gap'], -1.0)
  np.testing.assert_allclose(metrics['mouse/gap'], 0.0)
  np.testing.assert_allclose(
    state.ema['slow']['cat']['value'], 0.9 * 1 + 0.1 * 2, rtol=1e-6
  )
  assert state.step == 1


def test_simultaneous_updates_use_the_same_parameters():
  values, metrics, _ = train(Update('cat'), Update('mouse', with_previous=True))
  assert metrics['mouse/gap'] == metrics['cat/gap'] == -1.0
  np.testing.assert_allclose([values['cat'], values['mouse']], [2.0, 1.2])


def test_repeated_updates_split_the_batch():
  sizes = []

  class RecordSizes(chase.Chase):
    def loss(self, batch, *, player, train):
      sizes.append(len(batch['video']))
      return super().loss(batch, player=player, train=train)

  model = RecordSizes(
    (1, 1, 1, 1),
    chase.Scalar(),
    chase.Scalar(),
    chase.Scalar(),
    (Update('mouse', times=2),),
  )
  optimizer = {'mouse': optax.sgd(0.1)}
  state = state_lib.create(model, optimizer, (), BATCH, seed=0)
  sizes.clear()
  step = step_lib.make_train_step(model, optimizer)
  state, _ = step(state, BATCH)
  assert sizes == [2, 2]
  np.testing.assert_allclose(state.params['mouse']['value'], 1.4, rtol=1e-6)


def test_an_update_that_is_not_due_changes_nothing():
  lazy = Update('cat', loss='penalty', every=2)
  one, metrics, state = train(lazy, rates=(0.5, 0.5))
  np.testing.assert_allclose(one['cat'], 0.5)
  assert np.isfinite(metrics['cat_penalty/loss'])
  two, metrics, state = train(lazy, steps=2, rates=(0.5, 0.5))
  np.testing.assert_allclose(two['cat'], 0.5)
  assert np.isnan(metrics['cat_penalty/loss'])
  assert int(state.step) == 2


def test_statistics_are_kept_from_the_update_of_their_player():
  """Every part is called in both updates, but counts only in its own."""
  _, _, state = train(steps=3)
  calls = {k: float(v['calls']) for k, v in state.stats['batch_stats'].items()}
  assert calls == {'cat': 3, 'mouse': 3, 'cheese': 0}


class Fit(base.VideoModel):
  """Least squares with noise that depends on the clip."""

  net: nn.Module

  @property
  def updates(self):
    return (Update('net'),)

  def loss(self, batch, *, player, train):
    noise_bd = random.normal(self.clip_keys(batch), (3,))
    video_bd = batch['video'].reshape(len(noise_bd), -1)
    error_bd = self.net(video_bd + noise_bd) - noise_bd
    return jnp.square(error_bd).mean(), {'first': error_bd.mean()}


VIDEO = np.random.default_rng(0).normal(size=(12, 1, 1, 1, 3))


@functools.cache
def fit(accumulate: int, steps=2, **kwargs):
  model = Fit((1, 1, 1, 3), nn.Dense(3))
  optimizers = {'net': optax.adam(1e-2)}
  batch = {'video': np.float32(VIDEO)}
  create = lambda: state_lib.create(model, optimizers, (), batch, seed=0)
  state = jax.jit(create)()
  step = jax.jit(
    step_lib.make_train_step(model, optimizers, accumulate=accumulate, **kwargs)
  )
  for _ in range(steps):
    state, metrics = step(state, batch)
  return state, metrics


@pytest.mark.parametrize('accumulate', [2, 3])
def test_micro_batches_give_the_result_of_the_whole_batch(accumulate: int):
  whole, metrics = fit(1)
  pieces, metrics_of_pieces = fit(accumulate)
  for a, b in zip(
    jax.tree.leaves((whole.params, metrics)),
    jax.tree.leaves((pieces.params, metrics_of_pieces)),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_an_update_that_is_not_finite_is_not_applied():
  """Adam without epsilon divides 0 by 0 where a gradient is 0."""
  model = chase.Chase(
    (1, 1, 1, 1),
    chase.Scalar(),
    chase.Scalar(),
    chase.Scalar(),
    (Update('cat'),),
  )
  optimizers = {'cat': optax.adam(0.1, eps=0.0)}
  state = state_lib.create(model, optimizers, (), BATCH, seed=0)
  state = state.replace(  # Gap 0, so gradient 0.
    params={**state.params, 'mouse': {'value': jnp.float32(0.5)}}
  )
  after, metrics = jax.jit(step_lib.make_train_step(model, optimizers))(
    state, BATCH
  )
  assert np.isfinite(metrics['cat/loss'] + metrics['cat/grad_norm'])
  assert float(after.params['cat']['value']) == 1.0
  assert int(after.guard['cat']['skipped']) == 1


def test_noise_that_depends_on_the_batch_is_noticed(monkeypatch):
  """Without positions, micro-batches would repeat the same noise."""
  whole, _ = fit(1)
  monkeypatch.setattr(
    random, 'keys', lambda key, p: jax.random.split(key, len(p))
  )
  pieces, _ = fit.__wrapped__(2)
  gap = jnp.abs(whole.params['net']['kernel'] - pieces.params['net']['kernel'])
  assert gap.max() > 1e-4


def test_prepare_converts_uint8_to_minus_one_to_one():
  video = jnp.array([0, 255], jnp.uint8)[:, None, None, None, None]
  batch = step_lib.prepare({'video': video}, 0)
  np.testing.assert_allclose(batch['video'].ravel(), [-1, 1])
  np.testing.assert_array_equal(batch['position'], [0, 1])


@pytest.mark.parametrize(
  ('bad', 'spike', 'skipped'),
  [(np.nan, 0, 1), (1e4, 3.0, 1), (1e4, 0, 0)],
  ids=['nan', 'spike', 'unguarded'],
)
def test_the_guard_skips_harmful_updates(
  bad: float, spike: float, skipped: int
):
  state, _ = fit(1, steps=5, spike=spike)
  model = Fit((1, 1, 1, 3), nn.Dense(3))
  step = step_lib.make_train_step(model, {'net': optax.adam(1e-2)}, spike=spike)
  video = VIDEO.copy()
  video[3] = bad
  after, _ = jax.jit(step)(state, {'video': jnp.float32(video)})
  changed = jnp.any(
    after.params['net']['kernel'] != state.params['net']['kernel']
  )
  assert bool(changed) == (not skipped)
  assert int(after.guard['net']['skipped']) == skipped
  assert int(after.guard['net']['streak']) == skipped
  assert int(after.step) == int(state.step) + 1
  if skipped:
    assert after.opt['net'][0].count == state.opt['net'][0].count

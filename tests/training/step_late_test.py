"""Tests of training/step.py: updates that start in a later step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.training import chase
from vgen_jax.families.base import Update
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib


def bits(tree) -> list[bytes]:
  return [np.asarray(x).tobytes() for x in jax.tree.leaves(tree)]


def of_cat(state) -> list[list[bytes]]:
  """Returns all parts of a state that belong to the cat."""
  trees = (state.params, state.opt, state.guard, state.stats['batch_stats'])
  return [bits(tree['cat']) for tree in (*trees, *state.ema.values())]


AVERAGES = {'slow': {'decay': 0.9}, 'warm': {'decay': 0.9, 'warmup': True}}
CAT = 0.43330464  # A float32 x with 0.9 x + 0.1 x != x after rounding.


class Game:
  """A compiled step of a cat with Adam, a mouse with SGD, and two averages."""

  def __init__(self, *order, **kwargs):
    parts = (chase.Scalar(), chase.Scalar(), chase.Scalar())
    model = chase.Chase((1, 1, 1, 1), *parts, order)
    optimizers = {'cat': optax.adam(0.5), 'mouse': optax.sgd(0.1)}
    first = state_lib.create(
      model, optimizers, tuple(AVERAGES), chase.BATCH, seed=0
    )
    own = {'cat': {'value': jnp.float32(CAT)}}
    self.first = first.replace(
      params=first.params | own,
      ema={name: of | own for name, of in first.ema.items()},
    )
    self.step = jax.jit(
      step_lib.make_train_step(model, optimizers, averages=AVERAGES, **kwargs)
    )

  def states(self, num: int, state=None):
    """Returns the states before each of `num` steps and after, with metrics."""
    state, states, metrics = state or self.first, [], []
    for _ in range(num):
      states.append(state)
      state, terms = self.step(state, chase.BATCH)
      metrics.append(terms)
    return [*states, state], metrics


LATE = (Update('mouse'), Update('cat', start=3, with_previous=True))


def test_nothing_of_a_player_changes_before_its_start():
  game = Game(*LATE)
  states, metrics = game.states(5)
  for state in states[:4]:  # After 0, 1, 2 and 3 steps.
    assert of_cat(state) == of_cat(game.first)
  pairs = zip(of_cat(states[4]), of_cat(states[3]), strict=True)
  assert all(a != b for a, b in pairs)
  missing = [bool(np.isnan(x['cat/loss'])) for x in metrics]
  assert missing == [True, True, True, False, False]
  assert all(np.isfinite(x['mouse/loss']) for x in metrics)
  assert [int(state.opt['cat'][0].count) for state in states[3:]] == [0, 1, 2]
  # The mouse is updated in every step; the cat uses its previous value.
  mice = [1 + 0.1 * 2 * i for i in range(5)]
  got = [float(state.params['mouse']['value']) for state in states[:5]]
  np.testing.assert_allclose(got, mice, rtol=1e-6)
  gap = CAT - 2 * mice[3]
  np.testing.assert_allclose(metrics[3]['cat/gap'], gap, rtol=1e-6)


def test_averages_of_a_late_player_start_with_it():
  """Otherwise the warm-up, which forgets the first values, would be over."""
  states, _ = Game(*LATE).states(4)
  value = float(states[4].params['cat']['value'])
  for name, past in (('slow', 0.9), ('warm', 2 / 11)):
    average = float(states[4].ema[name]['cat']['value'])
    expected = past * CAT + (1 - past) * value
    np.testing.assert_allclose(average, expected, rtol=1e-6)


def test_the_period_of_a_late_update_counts_from_its_start():
  lazy = Update('cat', loss='penalty', every=2, start=3)
  assert [lazy.is_due(step) for step in range(8)] == (
    [False] * 3 + [True, False] * 2 + [True]
  )
  states, metrics = Game(Update('mouse'), lazy).states(6)
  counts = [int(state.opt['cat'][0].count) for state in states]
  assert counts == [0, 0, 0, 0, 1, 1, 2]
  applied = [bool(np.isfinite(x['cat_penalty/loss'])) for x in metrics]
  assert applied == [False, False, False, True, False, True]


def test_a_late_update_repeated_and_in_micro_batches():
  """The update equals one that starts at step 0 from the same state."""
  many = {'times': 2, 'with_previous': True}
  late = Game(Update('mouse'), Update('cat', start=2, **many), accumulate=2)
  always = Game(Update('mouse'), Update('cat', **many), accumulate=2)
  states, _ = late.states(3)
  assert of_cat(states[2]) == of_cat(late.first)
  assert int(states[3].opt['cat'][0].count) == 2
  same, _ = always.step(states[2], chase.BATCH)
  for field in ('params', 'opt', 'guard', 'stats'):
    for a, b in zip(
      jax.tree.leaves(getattr(same, field)),
      jax.tree.leaves(getattr(states[3], field)),
      strict=True,
    ):
      np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize('stop', [2, 3, 4])
def test_a_late_update_of_a_resumed_run(stop: int):
  """A run can be resumed from its state before, at or after the start."""
  game = Game(*LATE)
  straight, _ = game.states(5)
  halves, _ = game.states(stop)
  saved = jax.device_get(halves[-1].replace(rng=None))
  resumed = jax.tree.map(jnp.asarray, saved).replace(rng=game.first.rng)
  again, _ = Game(*LATE).states(5 - stop, resumed)
  drop = lambda state: bits(state.replace(rng=None))
  assert drop(again[-1]) == drop(straight[-1])


@pytest.mark.parametrize(
  ('field', 'least'), [('start', 0), ('every', 1), ('times', 1)]
)
def test_wrong_fields_of_an_update_are_reported(field: str, least: int):
  message = (
    f"{field} of the update 'cat' is {least - 1}; it must be at least {least}"
  )
  with pytest.raises(ValueError, match=message):
    Update('cat', **{field: least - 1})

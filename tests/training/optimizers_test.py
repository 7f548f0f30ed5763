"""Tests of training/optimizers.py: specs by player, rates, and Muon."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vgen_jax.families.base import Update
from vgen_jax.training import optimizers as optim

_CONSTANT = {'name': 'constant', 'peak': 0.5}
_SGD = {'name': 'sgd', 'schedule': _CONSTANT}


def _step_of(optimizer, grads, params=None, num=1):
  """Returns the `num`-th update if all gradients are equal."""
  params = grads if params is None else params
  state = optimizer.init(params)
  for _ in range(num):
    updates, state = optimizer.update(grads, state, params)
  return updates


def test_a_player_has_the_common_spec_with_its_own_changes():
  spec = {
    'name': 'adam',
    'schedule': {'name': 'linear', 'peak': 0.5, 'warmup_steps': 1},
    'b1': 0.5,
    'players': {
      'critic': {'name': 'sgd', 'schedule': {'peak': 0.25}},
      'prior': {'schedule': {'name': 'constant', 'peak': 2.0}},
    },
  }
  players = ('generator', 'critic', 'prior')
  optimizers = optim.make(spec, players, 10)
  assert list(optimizers) == list(players)
  # `sgd` has no `b1`: another optimizer drops the common arguments.
  np.testing.assert_allclose(
    _step_of(optimizers['critic'], jnp.array([3.0])), [-3.0 * 0.125]
  )
  np.testing.assert_allclose(  # Adam's first step has length 1.
    _step_of(optimizers['generator'], jnp.array([3.0])), [-0.25], rtol=1e-5
  )
  rates = optim.schedules(spec, players, 10)
  got = [float(rates[player](0)) for player in players]
  np.testing.assert_allclose(got, [0.25, 0.125, 2.0])


def test_clipping_bounds_the_norm_of_the_whole_gradient():
  grads = {'a': jnp.array([3.0]), 'b': jnp.array([4.0])}
  clipped = optim.make(_SGD | {'clip_norm': 1.0}, ['x'], 10)['x']
  free = optim.make(_SGD, ['x'], 10)['x']
  norm = lambda optimizer: optax.global_norm(_step_of(optimizer, grads))
  np.testing.assert_allclose(norm(clipped), 0.5, rtol=1e-6)
  np.testing.assert_allclose(norm(free), 2.5, rtol=1e-6)


def test_schedules_count_steps_and_not_updates():
  order = [
    Update('critic', times=4),
    Update('critic', loss='penalty', every=2),
    Update('generator'),
  ]
  updates = optim.updates_per_step(order)
  assert updates == {'critic': 4.5, 'generator': 1.0}
  spec = _SGD | {'schedule': {'name': 'linear', 'peak': 1.0}}
  optimizers = optim.make(spec, ['critic', 'generator'], 10, updates)
  grads = jnp.array([1.0])
  # After 4 steps, of 18 and of 4 updates.
  for player, num in (('critic', 18), ('generator', 4)):
    update = _step_of(optimizers[player], grads, num=num + 1)
    np.testing.assert_allclose(update, [-0.6], rtol=1e-5)
  # If updates were counted as steps, the schedule would have ended.
  naive = optim.make(spec, ['critic'], 10)['critic']
  np.testing.assert_allclose(_step_of(naive, grads, num=19), [0.0])


def test_the_schedule_of_a_late_player_starts_with_it():
  """The schedule warms up at the player's start and ends with the run."""
  line = {'name': 'linear', 'peak': 1.0, 'warmup_steps': 1}
  spec = _SGD | {'schedule': line}
  players, starts = ('critic', 'generator'), {'critic': 6}
  rates = optim.schedules(spec, players, 10, starts)
  own = [float(rates['critic'](step)) for step in (6, 7, 8, 10)]
  np.testing.assert_allclose(own, [0.5, 1.0, 2 / 3, 0.0], atol=1e-6)
  np.testing.assert_allclose(rates['generator'](7), 1 - 6 / 9, rtol=1e-5)
  # Its optimizer does not count the steps before.
  critic = optim.make(spec, players, 10, starts=starts)['critic']
  grads = jnp.array([1.0])
  for num, rate in ((1, 0.5), (2, 1.0), (3, 2 / 3)):
    update = _step_of(critic, grads, num=num)
    np.testing.assert_allclose(update, [-rate], rtol=1e-5)
  long = {'schedule': line | {'warmup_steps': 4}}
  with pytest.raises(
    ValueError, match='of critic, which starts at step 6 of 10'
  ):
    optim.make(_SGD | long, players, 10, starts=starts)
  optim.make(
    _SGD | long, players, 10, starts={'critic': 10}
  )  # Is never updated.


@pytest.mark.parametrize('name', sorted(optim.names()))
def test_every_supported_optimizer_needs_only_gradients(name):
  optimizer = optim.make(_SGD | {'name': name}, ['x'], 10)['x']
  params = {'kernel': jnp.ones((4, 2)), 'bias': jnp.ones(2)}

  def update(params):
    updates, state = optimizer.update(params, optimizer.init(params), params)
    return optax.apply_updates(params, updates), state

  moved, _ = jax.eval_shape(update, params)
  assert jax.tree.map(jnp.shape, moved) == jax.tree.map(jnp.shape, params)


def _orthogonality(matrix) -> float:
  """Returns the largest singular value divided by the smallest."""
  values = np.linalg.svd(matrix, compute_uv=False)
  return float(values[0] / values[-1])


def test_muon_orthogonalizes_kernels_and_adam_updates_the_rest():
  params = {
    'dense': {'kernel': (6, 4), 'bias': (4,)},
    'conv': {'kernel': (2, 1, 1, 3, 4)},
    'depthwise': {'kernel': (3, 3, 1, 4)},
    'blocks': {'mlp': {'kernel': (2, 6, 4), 'bias': (2, 4)}},
    'embed': {'embedding': (6, 4)},
  }
  shapes = jax.tree.map(
    lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
    params,
    is_leaf=lambda x: isinstance(x, tuple),
  )
  # Columns of very different length, which only Muon makes similar.
  key = jax.random.key(0)
  grads = jax.tree.map(
    lambda x: (
      jax.random.normal(key, x.shape)
      * jnp.array([1, 0.5, 0.2, 0.1]).reshape([1] * (len(x.shape) - 1) + [4])
    ),
    shapes,
  )
  spec = {'name': 'muon', 'schedule': _CONSTANT, 'adam_ratio': 0.25}
  spec['nesterov'] = False
  update = jax.jit(
    lambda grads: _step_of(optim.make(spec, ['x'], 10)['x'], grads)
  )(grads)

  even = 2.0  # Muon's five iterations make singular values about .7 to 1.2.
  uneven = _orthogonality(grads['dense']['kernel'])
  assert uneven > 2 * even
  assert _orthogonality(update['dense']['kernel']) < even
  assert _orthogonality(update['conv']['kernel'].reshape(6, 4)) < even
  for layer in update['blocks']['mlp']['kernel']:
    assert _orthogonality(layer) < even
  # Adam's first update is the sign of the gradient, at a rate of its own.
  for part, leaf in (
    ('dense', 'bias'),
    ('depthwise', 'kernel'),
    ('embed', 'embedding'),
  ):
    want = -0.125 * np.sign(grads[part][leaf])
    np.testing.assert_allclose(update[part][leaf], want, rtol=1e-4)


def test_unrolled_layers_are_not_treated_as_stacked():
  shape = jax.ShapeDtypeStruct((3, 8, 4), jnp.float32)  # Taps of a convolution.
  names = ('blocks_0', 'blocks', 'ScanBlock_0')
  axes = optim.muon_axes({name: {'kernel': shape} for name in names})
  assert axes['blocks_0']['kernel'] == ((0, 1), 2)
  assert axes['blocks']['kernel'] == ((1,), 2)
  assert axes['ScanBlock_0']['kernel'] == ((1,), 2)


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ({'name': 'adamm', 'schedule': _CONSTANT}, "mean 'adam"),
    ({'name': 'lbfgs', 'schedule': _CONSTANT}, 'more than gradients'),
    ({'name': 'adam'}, "no 'schedule'"),
    (_SGD | {'momentun': 0.9}, r"unknown key 'momentun'.* mean 'momentum'"),
    (
      _SGD | {'learning_rate': 0.9},
      r'learning_rate cannot be set: it is set by config\.optim\.schedule',
    ),
    (
      {'name': 'muon', 'schedule': _CONSTANT, 'adam_learning_rate': 1e-3},
      'adam_learning_rate cannot be set: .* adam_ratio',
    ),
    (
      {'name': 'muon', 'schedule': _CONSTANT}
      | {'muon_weight_dimension_numbers': None},
      'cannot be set: the arrays that Muon updates are chosen',
    ),
    (_SGD | {'adam_ratio': 0.9}, "unknown key 'adam_ratio'"),
    (_SGD | {'clip_norm': -1.0}, 'clip_norm is -1.0'),
    (_SGD | {'players': {'citric': {}}}, "mean 'critic'"),
  ],
)
def test_wrong_specs_are_reported(spec, message):
  with pytest.raises(ValueError, match=message):
    optim.make(spec, ['critic', 'generator'], 10)

"""Tests of constraints.py, and of the hook that applies them in a step."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import compiled
from vgen_jax.families.adversarial import constraints
from vgen_jax.families.adversarial import gan
from vgen_jax.nn import spectral
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib

SHAPE = (1, 1, 1, 2)
CLIP = constraints.Constraint('clip_weights', 0.01)
SINGULAR = constraints.Constraint('clip_singular_values', 1.0)


def test_weights_are_clipped():
  params = {'layer': {'kernel': jnp.array([-3.0, 0.004, 0.5])}}
  clipped = CLIP(params, {}, 0)
  np.testing.assert_allclose(
    clipped['layer']['kernel'], [-0.01, 0.004, 0.01], rtol=1e-6
  )


def test_singular_values_are_clipped_and_small_ones_kept():
  kernel = jax.random.normal(jax.random.key(0), (2, 4, 4, 3, 5))
  small = 0.5 * kernel / spectral.norm(kernel)
  params = {'a': {'kernel': kernel, 'bias': jnp.full(5, 7.0)}}
  params['b'] = {'kernel': small}
  clipped = SINGULAR(params, {}, 0)
  values = jnp.linalg.svd(
    clipped['a']['kernel'].reshape(-1, 5), compute_uv=False
  )
  assert values.max() <= 1 + 1e-4
  # All five were above 1, so all are 1 now; directions are kept.
  assert np.allclose(values, 1, atol=1e-4)
  np.testing.assert_allclose(clipped['b']['kernel'], small, atol=1e-5)
  assert (clipped['a']['bias'] == 7).all()
  overlap = jnp.vdot(clipped['a']['kernel'], kernel)
  assert overlap > 0
  # Weight clipping does not have this property.
  only_clipped = constraints.Constraint('clip_weights', 1.0)(params, {}, 0)
  assert spectral.norm(only_clipped['a']['kernel']) > 2


def test_scales_of_batch_norm_are_clipped_by_the_running_deviation():
  params = {'norm': {'scale': jnp.array([5.0, -1.0, 1.0]), 'bias': jnp.ones(3)}}
  var = jnp.array([4.0, 4.0, 4.0])
  stats = {'batch_stats': {'norm': {'mean': jnp.zeros(3), 'var': var}}}
  clipped = SINGULAR(params, stats, 0)['norm']
  np.testing.assert_allclose(clipped['scale'], [2, 0.02, 1], rtol=1e-4)
  assert (clipped['bias'] == 1).all()
  # Scales of a norm without running statistics do not change.
  assert SINGULAR(params, {}, 0)['norm']['scale'][0] == 5


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (('clip_weight', 0.1), "Did you mean 'clip_weights'"),
    (('clip_weights', 0.0), 'limit is 0.0'),
    (('clip_weights', float('nan')), 'limit is nan'),
    (('clip_weights', 0.1, 0), 'every is 0'),
  ],
)
def test_wrong_constraints(fields, match: str):
  with pytest.raises(ValueError, match=match):
    constraints.Constraint(*fields)


class Point(nn.Module):
  """Generates clips of one value, a parameter that training does not reach."""

  @nn.compact
  def __call__(self, key_b, condition, *, train):
    at = self.param('at', nn.initializers.zeros, (2,))
    return jnp.broadcast_to(at, (len(key_b), *SHAPE))


class Linear(nn.Module):
  """The logit is linear in the pixels."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    ones = nn.initializers.ones
    return nn.Dense(1, use_bias=False, kernel_init=ones)(
      video_bthwc.reshape(-1, 2)
    )


def gap_after(distance: float, num_steps: int, **fields) -> list[float]:
  """Returns the gap of a linear Wasserstein critic after each step.

  Real clips are one point, and generated clips another at `distance`.
  """
  model = gan.GAN(
    SHAPE, Point(), {'clip': Linear()}, loss_kind='wasserstein', **fields
  )
  optimizers = {'critic_clip': optax.sgd(0.02), 'generator': optax.sgd(0.0)}
  point = distance * jnp.array([0.6, 0.8])
  batch = {'video': jnp.broadcast_to(point, (4, *SHAPE))}
  state = state_lib.create(model, optimizers, (), batch, seed=0)
  step = step_lib.make_train_step(model, optimizers)
  body = lambda state, _: (
    lambda result: (result[0], result[1]['critic_clip/gap'])
  )(step(state, batch))
  _, gaps = compiled.jit(lambda s: jax.lax.scan(body, s, None, num_steps))(
    state
  )
  return np.asarray(gaps)


@pytest.mark.parametrize(
  'fields',
  [
    dict(constraint_kind='clip_singular_values'),
    dict(penalty_kind='gp', penalty_weight=20.0),
  ],
)
@pytest.mark.parametrize('distance', [0.3, 2.0])
def test_the_gap_of_two_points_is_their_distance(fields, distance: float):
  """The Wasserstein distance of two points is their distance."""
  gaps = gap_after(distance, 400, **fields)
  assert 0.9 < gaps[-1] / distance < 1.1


def test_without_a_constraint_the_gap_diverges():
  gaps = gap_after(2.0, 400)
  assert gaps[-1] > 10 * 2.0
  # A weight limit bounds the gap without making it the distance.
  clipped = gap_after(2.0, 400, constraint_kind='clip_weights',
                      constraint_limit=0.01)  # fmt: skip
  assert clipped[-1] < 0.1


def test_a_constraint_applies_after_each_update_in_steps_that_are_due():
  """Between projections the weights grow."""
  norms = gap_after(
    2.0, 10, constraint_kind='clip_singular_values', constraint_every=5
  )
  # The gap in a step uses weights from before its update: those of steps 0, 5
  # and 10 were projected just before.
  assert norms[4] > 1.1 * norms[5]
  assert norms[5] == pytest.approx(2.0, rel=0.02)
  assert (np.diff(norms[5:]) > 0).all()

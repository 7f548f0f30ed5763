"""Tests of families/adversarial/lipschitz.py with known gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.core import random
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.families.adversarial import lipschitz

SHAPE = (3, 2, 2, 1)
WEIGHT = arrays.normal(SHAPE)
VIDEO = arrays.normal((5, *SHAPE), 1)
KEYS = arrays.keys(5, 2)


def linear(video_bthwc):
  return jnp.einsum('bthwc,thwc->b', video_bthwc, WEIGHT)


def quadratic(video_bthwc):
  return 1.5 * jnp.square(video_bthwc).sum(axis=(1, 2, 3, 4))


def test_penalties_on_a_linear_critic():
  norm = float(jnp.linalg.norm(WEIGHT))
  np.testing.assert_allclose(
    lipschitz.zero_centred(linear, VIDEO), np.full(5, norm**2 / 2), rtol=1e-5
  )
  np.testing.assert_allclose(
    lipschitz.one_centred(linear, VIDEO), np.full(5, (norm - 1) ** 2), rtol=1e-5
  )


def test_penalty_depends_on_the_clip_only():
  squares_b = np.square(VIDEO).sum(axis=(1, 2, 3, 4))
  np.testing.assert_allclose(
    lipschitz.zero_centred(quadratic, VIDEO), 9 * squares_b / 2, rtol=1e-5
  )
  # This does not hold for a critic that mixes clips, as batch norm does.
  mixing = lambda video: quadratic(video - video.mean(axis=0, keepdims=True))
  penalty_b = lipschitz.zero_centred(mixing, VIDEO)
  assert not np.allclose(penalty_b, 9 * squares_b / 2, rtol=0.01)


def test_a_constant_critic_has_a_finite_gradient():
  def penalty(scale):
    return lipschitz.one_centred(lambda x: scale * linear(x), VIDEO).mean()

  value, slope = compiled.jit(jax.value_and_grad(penalty))(0.0)
  assert value == pytest.approx(1, abs=1e-5)
  assert np.isfinite(slope)


def test_interpolated_points_lie_on_lines():
  fake = VIDEO + np.ones_like(VIDEO)
  offset = lipschitz.interpolate(KEYS, VIDEO, fake) - VIDEO
  flat = np.asarray(offset).reshape(5, -1)
  np.testing.assert_allclose(flat, flat[:, :1] * np.ones(12), atol=1e-5)
  assert flat.min() >= 0
  assert flat.max() <= 1
  assert np.ptp(flat[:, 0]) > 0.2
  alone = lipschitz.interpolate(KEYS[3:4], VIDEO[3:4], fake[3:4])
  np.testing.assert_allclose(alone[0] - VIDEO[3], offset[3], atol=1e-6)


def gap_of_trained_critic(distance: float, weight: float) -> float:
  """Trains a small critic on two point masses; returns E real - E fake."""
  real = jnp.zeros((16, 1, 1, 1, 2)).at[..., 0].set(distance)
  fake = jnp.zeros((16, 1, 1, 1, 2))
  keys = random.keys(jax.random.key(0), jnp.arange(16))
  first, second = jax.random.split(jax.random.key(1))
  params = {
    'inner': jax.random.normal(first, (2, 16)),
    'bias': jnp.zeros((1, 16)),
    'outer': jax.random.normal(second, (16,)) / 4,
  }
  optimizer = optax.adam(1e-2)

  def score(params, x):
    inner = x.reshape(len(x), 2) @ params['inner'] + params['bias']
    return jax.nn.leaky_relu(inner, 0.2) @ params['outer']

  def loss(params, step):
    at = lipschitz.interpolate(random.fold_in(keys, step), real, fake)
    penalty = lipschitz.one_centred(lambda x: score(params, x), at).mean()
    return weight * penalty + gan_losses.critic(
      'wasserstein', score(params, real), score(params, fake)
    )

  def update(carry, step):
    params, opt = carry
    updates, opt = optimizer.update(jax.grad(loss)(params, step), opt)
    return (optax.apply_updates(params, updates), opt), None

  (params, _), _ = jax.lax.scan(
    update, (params, optimizer.init(params)), jnp.arange(400)
  )
  return (score(params, real) - score(params, fake)).mean()


def test_wasserstein_critic_estimates_the_distance_of_two_points():
  gap = compiled.jit(gap_of_trained_critic)
  assert 0.9 < gap(1.0, 10.0) / 1.0 < 1.1
  assert 0.9 < gap(0.5, 10.0) / 0.5 < 1.1
  assert gap(1.0, 0.0) > 5  # Without a constraint it is unbounded.

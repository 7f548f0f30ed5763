"""Tests of nn/distributions.py, by sums, integrals and samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.core import random
from vgen_jax.nn import distributions

KEY_B = random.keys(jax.random.key(0), jnp.arange(200_000))
AXIS = jnp.linspace(-30, 30, 60_001)
LEVELS = jnp.arange(256) * 2 / 255 - 1


def constants(*numbers):
  return [jnp.full((len(KEY_B),), x) for x in numbers]


@pytest.mark.parametrize(
  'distribution',
  [
    distributions.Gaussian(jnp.array(0.3), jnp.array(-0.5)),
    distributions.Laplace(jnp.array(0.3), jnp.array(-0.5)),
  ],
  ids=lambda x: type(x).__name__,
)
def test_densities_have_integral_one_and_the_right_moments(distribution):
  density = jnp.exp(distribution.log_prob(AXIS))
  assert jnp.trapezoid(density, AXIS) == pytest.approx(1, abs=1e-4)
  assert jnp.trapezoid(density * AXIS, AXIS) == pytest.approx(0.3, abs=1e-4)
  spread = jnp.trapezoid(density * np.abs(AXIS - 0.3), AXIS)
  # Mean absolute deviation: the scale of a Laplace distribution; sqrt(2 / pi)
  # standard deviations of a Gaussian.
  known = {'Gaussian': np.exp(-0.25) * np.sqrt(2 / np.pi), 'Laplace': None}
  expected = known[type(distribution).__name__] or np.exp(-0.5)
  assert spread == pytest.approx(expected, abs=1e-4)


def test_divergence_equals_an_estimate_from_samples():
  mean, log_variance = constants(0.4, -1.2)
  posterior = distributions.Gaussian(mean, log_variance)
  prior = distributions.Gaussian(*constants(0.0, 0.0))
  samples = posterior.sample(KEY_B)
  estimate = (posterior.log_prob(samples) - prior.log_prob(samples)).mean()
  exact = float(posterior.divergence()[0])
  assert estimate == pytest.approx(exact, abs=5e-3)
  assert exact == pytest.approx(
    0.5 * (np.exp(-1.2) + 0.4**2 - 1 + 1.2), abs=1e-6
  )
  assert not np.any(prior.divergence())


def test_divergence_of_two_gaussians_equals_an_estimate_from_samples():
  one = distributions.Gaussian(*constants(0.4, -1.2))
  other = distributions.Gaussian(*constants(-0.3, 0.5))
  samples = one.sample(KEY_B)
  estimate = (one.log_prob(samples) - other.log_prob(samples)).mean()
  exact = float(one.divergence(other)[0])
  assert estimate == pytest.approx(exact, abs=5e-3)
  assert exact != pytest.approx(float(other.divergence(one)[0]), rel=0.1)
  standard = distributions.standard_normal(one.mean.shape)
  np.testing.assert_array_equal(one.divergence(), one.divergence(standard))
  assert not np.any(one.divergence(one))


def test_samples_are_differentiable():
  """E z^2 is mean^2 + deviation^2, which has known derivatives."""

  def second_moment(mean, deviation):
    posterior = distributions.Gaussian(*constants(mean, 2 * jnp.log(deviation)))
    return jnp.square(posterior.sample(KEY_B)).mean()

  slopes = compiled.jit(jax.grad(second_moment, (0, 1)))(0.7, 0.5)
  assert slopes[0] == pytest.approx(2 * 0.7, abs=0.01)
  assert slopes[1] == pytest.approx(2 * 0.5, abs=0.01)


@pytest.mark.parametrize('mean', [-1.4, -0.98, 0.1234, 1.0])
@pytest.mark.parametrize('log_scale', [-9.0, -4.0, 0.0, 3.0])
def test_probabilities_of_levels_sum_to_one(mean, log_scale):
  at = lambda x: distributions.DiscretizedLogistic(
    jnp.array(mean), jnp.array(log_scale)
  ).log_prob(x)
  log_prob_k = at(LEVELS)
  assert np.all(np.isfinite(log_prob_k))
  assert jnp.exp(log_prob_k).sum() == pytest.approx(1, abs=1e-4)
  # Without the special case of the outermost levels the sum would be less.
  inner = jnp.exp(log_prob_k[1:-1]).sum()
  if log_scale > -1:
    assert inner < 0.8
  # A value has the probability of the nearest level.
  np.testing.assert_array_equal(at(LEVELS + 1e-3), log_prob_k)
  # The plain formula agrees where it is numerically safe.
  if log_scale == 0:
    sigmoid = lambda x: 1 / (1 + np.exp(-np.asarray(x, np.float64)))
    low, high = LEVELS[1:-1] - 1 / 255, LEVELS[1:-1] + 1 / 255
    np.testing.assert_allclose(
      jnp.exp(log_prob_k[1:-1]),
      sigmoid(high - mean) - sigmoid(low - mean),
      rtol=1e-4,
    )


def test_pixels_far_from_the_mean_have_gradients():
  """Where both sigmoids round to 1, the difference must not become 0."""
  log_prob = lambda mean: distributions.DiscretizedLogistic(
    mean, jnp.array(-6.0)
  ).log_prob(LEVELS[20])
  value, slope = compiled.jit(jax.value_and_grad(log_prob))(jnp.array(0.9))
  assert -np.inf < value < -100
  assert slope == pytest.approx(-np.exp(6), rel=1e-3)

"""Tests of nn/distributions.py, by sums, integrals and samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tests import compiled
from vgen_jax.core import random
from vgen_jax.nn import distributions

KEY_B = compiled.call(
  lambda: random.keys(jax.random.key(0), jnp.arange(200_000))
)
AXIS = np.linspace(-30, 30, 60_001)
MIXTURE_MEANS = ((-5.0, 1.0), (1.0, 6.0), (5.0, -3.0))
LEVELS = np.float32(np.arange(256) * 2 / 255 - 1)


def constants(*numbers):
  return [jnp.full((len(KEY_B),), x) for x in numbers]


def estimates(one, other):
  """Returns divergences of two distributions, and an estimate from samples."""
  one = distributions.Gaussian(*constants(*one))
  other = distributions.Gaussian(*constants(*other))
  samples = one.sample(KEY_B)
  standard = distributions.standard_normal(one.mean.shape)
  return {
    'estimate': (one.log_prob(samples) - other.log_prob(samples)).mean(),
    'one_other': one.divergence(other),
    'other_one': other.divergence(one),
    'one': one.divergence(),
    'other': other.divergence(),
    'one_standard': one.divergence(standard),
    'one_one': one.divergence(one),
  }


@pytest.mark.parametrize(
  'distribution',
  [
    distributions.Gaussian(jnp.array(0.3), jnp.array(-0.5)),
    distributions.Laplace(jnp.array(0.3), jnp.array(-0.5)),
  ],
  ids=lambda x: type(x).__name__,
)
def test_densities_have_integral_one_and_the_right_moments(distribution):
  density = np.exp(compiled.call(distribution.log_prob, AXIS))
  assert np.trapezoid(density, AXIS) == pytest.approx(1, abs=1e-4)
  assert np.trapezoid(density * AXIS, AXIS) == pytest.approx(0.3, abs=1e-4)
  spread = np.trapezoid(density * np.abs(AXIS - 0.3), AXIS)
  # Mean absolute deviation: the scale of a Laplace distribution; sqrt(2 / pi)
  # standard deviations of a Gaussian.
  known = {'Gaussian': np.exp(-0.25) * np.sqrt(2 / np.pi), 'Laplace': None}
  expected = known[type(distribution).__name__] or np.exp(-0.5)
  assert spread == pytest.approx(expected, abs=1e-4)


def test_divergence_equals_an_estimate_from_samples():
  found = compiled.call(estimates, (0.4, -1.2), (0.0, 0.0))
  exact = float(found['one'][0])
  assert found['estimate'] == pytest.approx(exact, abs=5e-3)
  assert exact == pytest.approx(
    0.5 * (np.exp(-1.2) + 0.4**2 - 1 + 1.2), abs=1e-6
  )
  assert not np.any(found['other'])


def test_divergence_of_two_gaussians_equals_an_estimate_from_samples():
  found = compiled.call(estimates, (0.4, -1.2), (-0.3, 0.5))
  exact = float(found['one_other'][0])
  assert found['estimate'] == pytest.approx(exact, abs=5e-3)
  assert exact != pytest.approx(float(found['other_one'][0]), rel=0.1)
  np.testing.assert_array_equal(found['one'], found['one_standard'])
  assert not np.any(found['one_one'])


def mixture():
  # Logits need not be normalized.
  logit_k = jnp.log(jnp.array([0.5, 0.3, 0.2])) + 7
  whitening_kdd = jnp.array(
    [
      [[1.6, 0.0], [0.8, 1.0]],
      [[0.8, 0.0], [-2.0, 2.7]],
      [[4.5, 0.0], [0.3, 0.6]],
    ]
  )
  return distributions.GaussianMixture(
    logit_k, jnp.array(MIXTURE_MEANS), whitening_kdd
  )


def test_density_of_a_mixture():
  x_n2 = np.array([[-4.5, 0.3], [1.1, 5.2], [2.0, 1.0]])
  whitening_kdd = np.asarray(mixture().whitening_kdd, np.float64)
  expected = sum(
    weight
    * scipy.stats.multivariate_normal(mean, np.linalg.inv(w_22.T @ w_22)).pdf(
      x_n2
    )
    for weight, mean, w_22 in zip(
      (0.5, 0.3, 0.2), MIXTURE_MEANS, whitening_kdd, strict=True
    )
  )
  found = compiled.call(lambda x: mixture().log_prob(x), np.float32(x_n2))
  np.testing.assert_allclose(np.exp(found), expected, rtol=1e-4)


def test_density_of_a_mixture_has_integral_one():
  axis = np.linspace(-12, 12, 601)
  x_nn2 = np.stack(np.meshgrid(axis, axis), axis=-1)
  density = np.exp(compiled.call(lambda x: mixture().log_prob(x), x_nn2))
  step = axis[1] - axis[0]
  assert density.sum() * step**2 == pytest.approx(1, abs=1e-4)
  mean_2 = np.einsum('ij,ijd->d', density, x_nn2) * step**2
  expected_2 = np.array([0.5, 0.3, 0.2]) @ MIXTURE_MEANS
  np.testing.assert_allclose(mean_2, expected_2, atol=1e-3)


def test_samples_of_a_mixture():
  sample = compiled.call(lambda key_b: mixture().sample(key_b, (2,)), KEY_B)
  assert sample.shape == (len(KEY_B), 2, 2)
  for x_b2 in (sample[:, 0], sample[:, 1]):  # Positions are independent.
    distance_bk2 = x_b2[:, None] - np.asarray(MIXTURE_MEANS)
    nearest_b = np.square(distance_bk2).sum(-1).argmin(1)
    share_k = np.bincount(nearest_b) / len(x_b2)
    np.testing.assert_allclose(share_k, [0.5, 0.3, 0.2], atol=5e-3)
  assert abs(np.corrcoef(sample[:, 0, 0], sample[:, 1, 0])[0, 1]) < 0.01
  of_last_n2 = x_b2[nearest_b == 2]
  w_22 = np.asarray(mixture().whitening_kdd[2])
  white_n2 = (of_last_n2 - np.float32(MIXTURE_MEANS[2])) @ w_22.T
  np.testing.assert_allclose(np.cov(white_n2.T), np.eye(2), atol=0.05)
  # The density of the samples is the largest on average (Gibbs' inequality).
  own, shifted = compiled.call(
    lambda x: [mixture().log_prob(x + d).mean() for d in (0.0, 0.1)], sample
  )
  assert own > shifted + 5e-3


def test_entropy_is_the_mean_negative_log_density():
  def estimate():
    gaussian = distributions.Gaussian(*constants(0.4, -1.2))
    samples = gaussian.sample(KEY_B)
    return gaussian.entropy()[0], -gaussian.log_prob(samples).mean()

  exact, estimated = compiled.call(estimate)
  assert estimated == pytest.approx(float(exact), abs=5e-3)


def test_samples_are_differentiable():
  """E z^2 is mean^2 + deviation^2, which has known derivatives."""

  def second_moment(mean, deviation):
    posterior = distributions.Gaussian(*constants(mean, 2 * jnp.log(deviation)))
    return jnp.square(posterior.sample(KEY_B)).mean()

  slopes = compiled.jit(jax.grad(second_moment, (0, 1)))(0.7, 0.5)
  assert slopes[0] == pytest.approx(2 * 0.7, abs=0.01)
  assert slopes[1] == pytest.approx(2 * 0.5, abs=0.01)


@compiled.jit
def level_log_prob(mean, log_scale, x):
  return distributions.DiscretizedLogistic(mean, log_scale).log_prob(x)


@pytest.mark.parametrize('mean', [-1.4, -0.98, 0.1234, 1.0])
@pytest.mark.parametrize('log_scale', [-9.0, -4.0, 0.0, 3.0])
def test_probabilities_of_levels_sum_to_one(mean, log_scale):
  at = lambda x: level_log_prob(np.float32(mean), np.float32(log_scale), x)
  log_prob_k = at(LEVELS)
  assert np.all(np.isfinite(log_prob_k))
  assert np.exp(log_prob_k).sum() == pytest.approx(1, abs=1e-4)
  # Without the special case of the outermost levels the sum would be less.
  inner = np.exp(log_prob_k[1:-1]).sum()
  if log_scale > -1:
    assert inner < 0.8
  # A value has the probability of the nearest level.
  np.testing.assert_array_equal(at(LEVELS + np.float32(1e-3)), log_prob_k)
  # The plain formula agrees where it is numerically safe.
  if log_scale == 0:
    sigmoid = lambda x: 1 / (1 + np.exp(-np.asarray(x, np.float64)))
    low, high = LEVELS[1:-1] - 1 / 255, LEVELS[1:-1] + 1 / 255
    np.testing.assert_allclose(
      np.exp(log_prob_k[1:-1]),
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

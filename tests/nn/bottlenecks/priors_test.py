"""Tests of nn/bottlenecks/priors.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tests import arrays
from tests import compiled
from vgen_jax.nn.bottlenecks import priors

KEY = jax.random.key(0)


def test_initial_mixture_has_the_spread_and_the_scale():
  module = priors.Mixture(4_000, spread=2.0, scale=0.25)
  mixture, variables = compiled.call(lambda: module.init_with_output(KEY, 3))
  assert variables['params']['mean'].shape == (4_000, 3)
  np.testing.assert_allclose(mixture.mean_kd.std(axis=0), 2.0, rtol=0.05)
  np.testing.assert_allclose(
    mixture.whitening_kdd,
    np.broadcast_to(np.eye(3) / 0.25, (4_000, 3, 3)),
    rtol=1e-5,
  )
  np.testing.assert_array_equal(mixture.logit_k, 0)


def test_components_have_correlations():
  raw_kd = np.float32([[0.3, -0.6, 0.1]])
  lower_kdd = arrays.uniform((1, 3, 3), low=-1)
  params = {
    'mean': np.float32([[1, 2, 3]]),
    'log_scale': raw_kd,
    'lower': lower_kdd,
    'logit': np.zeros(1, np.float32),
  }
  x_n3 = np.float32([[1, 2, 3], [0.5, 2.5, 2.0]])
  found = compiled.call(
    lambda x: priors.Mixture(1).apply({'params': params}, 3).log_prob(x), x_n3
  )
  scale_d = np.exp(5 * np.tanh(raw_kd[0].astype(np.float64) / 5))
  white_dd = np.diag(1 / scale_d) @ (np.tril(lower_kdd[0], -1) + np.eye(3))
  covariance = np.linalg.inv(white_dd.T @ white_dd)
  expected = scipy.stats.multivariate_normal([1, 2, 3], covariance).logpdf(x_n3)
  np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_scales_are_bounded_and_have_gradients():
  module = priors.Mixture(1)
  initial = compiled.call(lambda: module.init(KEY, 2))['params']

  def log_scale(raw):
    params = initial | {'log_scale': jnp.full((1, 2), raw)}
    mixture = module.apply({'params': params}, 2)
    return -jnp.log(mixture.whitening_kdd[0, 0, 0])

  value = compiled.jit(jax.value_and_grad(log_scale))
  for raw in (-20.0, -8.0, 8.0, 20.0):
    found, slope = value(raw)
    assert 4.5 < abs(found) <= 5.001
    assert slope > 0


def test_samples_for_each_position():
  module = priors.Mixture(5)
  sample = compiled.call(
    lambda key_b: module.init_with_output(KEY, 3)[0].sample(key_b, (2, 1, 4)),
    arrays.keys(6, 1),
  )
  assert sample.shape == (6, 2, 1, 4, 3)
  assert len(np.unique(sample)) == sample.size


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('num_components', 0),
    ('scale', 0.0),
    ('scale', 1e3),
    ('scale', float('nan')),
    ('spread', -1.0),
  ],
)
def test_wrong_fields(field, value):
  with pytest.raises(ValueError, match=f'{field} is {value}'):
    priors.Mixture(**{field: value})

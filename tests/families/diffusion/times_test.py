"""Tests of families/diffusion/times.py, by the distributions that it names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tests import compiled
from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import times

PATH = paths.VarianceExploding()


def sample(density, path=PATH, num=4000):
  key_b = jax.random.split(jax.random.key(0), num)
  return np.asarray(compiled.jit(lambda k: density.sample(k, path))(key_b))


def p_value(sample_b, distribution):
  return scipy.stats.kstest(sample_b, distribution.cdf).pvalue


def test_uniform():
  assert p_value(sample(times.Uniform()), scipy.stats.uniform()) > 0.01
  assert p_value(sample(times.Uniform(2.0)), scipy.stats.uniform()) < 1e-6


def test_logit_normal():
  time_b = sample(times.LogitNormal(0.4, 0.8))
  logit_b = np.log(time_b / (1 - time_b))
  assert p_value(logit_b, scipy.stats.norm(0.4, 0.8)) > 0.01
  assert p_value(logit_b, scipy.stats.norm(-0.4, 0.8)) < 1e-6


def test_log_normal_is_a_distribution_of_sigma():
  sigma_b = PATH.scales(sample(times.LogNormal(-1.2, 1.2)))[1]
  assert p_value(np.log(sigma_b), scipy.stats.norm(-1.2, 1.2)) > 0.01
  assert p_value(np.log(sigma_b), scipy.stats.norm(1.2, 1.2)) < 1e-6


def test_log_normal_times_are_clipped_to_the_path():
  time_b = sample(times.LogNormal(0.0, 20.0))
  assert time_b.min() == 0
  assert time_b.max() == 1


def test_shift_multiplies_the_ratio_of_noise_to_data():
  """The ratio is sigma / alpha of the straight path."""
  time_n = jnp.linspace(0.1, 0.9, 5)
  shifted_n = times.shift(time_n, 3.0)
  np.testing.assert_allclose(
    (1 - shifted_n) / shifted_n, 3 * (1 - time_n) / time_n, rtol=1e-5
  )
  assert times.shift(0.0, 3.0) == 0
  assert times.shift(1.0, 3.0) == 1


def test_a_time_depends_on_its_own_key():
  density = times.LogitNormal()
  key_b = jax.random.split(jax.random.key(0), 8)[3:5]
  np.testing.assert_allclose(
    sample(density, num=8)[3:5], density.sample(key_b, PATH), rtol=1e-6
  )


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (
      lambda: times.Uniform(shift=0.0),
      'families.diffusion.times.Uniform: shift is 0.0',
    ),
    (
      lambda: times.Uniform(shift=float('nan')),
      'families.diffusion.times.Uniform: shift is nan',
    ),
    (
      lambda: times.LogitNormal(std=float('inf')),
      'families.diffusion.times.LogitNormal: std is inf',
    ),
    (
      lambda: times.LogitNormal(std=0.0),
      'families.diffusion.times.LogitNormal: std is 0.0',
    ),
    (
      lambda: times.LogNormal(std=-1.0),
      'families.diffusion.times.LogNormal: std is -1.0',
    ),
  ],
)
def test_wrong_fields(make, message: str):
  with pytest.raises(ValueError, match=message):
    make()

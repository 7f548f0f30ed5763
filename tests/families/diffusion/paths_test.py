"""Tests of paths.py, by the formulas of papers and numerical derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.families.diffusion import paths

PATHS = [
  paths.Linear(),
  paths.Cosine(),
  paths.LinearBeta(),
  paths.VarianceExploding(),
]
TIME_N = np.linspace(0.02, 0.98, 25)


@pytest.mark.parametrize('path', PATHS)
def test_time_inverts_log_snr_which_increases(path: paths.Path):
  def compute(time_n):
    log_snr_n = path.log_snr(time_n)
    return log_snr_n, path.time(log_snr_n), path.time(jnp.array([-1e3, 1e3]))

  log_snr_n, time_n, ends = compiled.call(compute, TIME_N)
  assert (np.diff(log_snr_n) > 0).all()
  np.testing.assert_allclose(time_n, TIME_N, atol=2e-5)
  assert ends.tolist() == [0, 1]


@pytest.mark.parametrize('path', PATHS)
def test_rates_are_derivatives(path: paths.Path):
  dt = 1e-6
  with jax.enable_x64(True):
    rates, late, early = compiled.call(
      lambda time_n: (
        path.rates(time_n), path.scales(time_n + dt), path.scales(time_n - dt)
      ),
      TIME_N,
    )  # fmt: skip
  for rate_n, after_n, before_n in zip(rates, late, early, strict=True):
    slope_n = (after_n - before_n) / (2 * dt)
    np.testing.assert_allclose(rate_n, slope_n, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('path', PATHS)
def test_tangent_is_of_second_order(path: paths.Path):
  """A tenth of the step has a hundredth of the error."""

  @compiled.jit
  def compute(start, end):
    tangent = path.tangent(start, start, end)
    return path.scales(start), path.scales(end), tangent

  def error(dt):
    first, last, tangent = compute(np.asarray(0.4), np.asarray(0.4 + dt))
    return np.abs(np.subtract(last, first) - np.array(tangent)).max()

  with jax.enable_x64(True):
    assert error(1e-4) <= 0.011 * error(1e-3) + 1e-12


@pytest.mark.parametrize('path', PATHS)
def test_ends(path: paths.Path):
  """Almost pure noise at time 0, almost pure data at time 1."""
  alpha_n, sigma_n = compiled.call(path.scales, np.array([0.0, 1.0]))
  assert alpha_n[0] / sigma_n[0] < 0.013
  assert alpha_n[1] == pytest.approx(1, abs=1e-4)
  assert sigma_n[1] < 0.013
  assert (sigma_n[1] == 0) == path.reaches_data


@pytest.mark.parametrize('path', PATHS)
def test_first_time_has_the_smallest_ratio(path: paths.Path):
  def compute():
    first = path.first_time()
    return first, *path.scales(first)

  first, alpha, sigma = compiled.call(compute)
  assert alpha > 0
  # It is 0 if the path begins with a larger ratio.
  assert first == 0 or alpha / sigma == pytest.approx(1e-3, rel=1e-2)
  assert (first == 0) == isinstance(
    path, paths.LinearBeta | paths.VarianceExploding
  )


@pytest.mark.parametrize('path', PATHS)
def test_network_time_is_in_0_to_1(path: paths.Path):
  time_n = compiled.call(path.network_time, np.linspace(0, 1, 11))
  assert time_n[0] == pytest.approx(0, abs=1e-5)
  assert time_n[-1] == pytest.approx(1, abs=1e-4)
  assert (np.diff(time_n) > 0).all()


def test_exploding_network_time_is_the_papers_up_to_scale():
  """c_noise of Karras et al., 2022, is log(sigma) / 4."""
  path = paths.VarianceExploding()
  (_, sigma_n), time_n = compiled.call(
    lambda time_n: (path.scales(time_n), path.network_time(time_n)), TIME_N
  )
  c_noise = np.log(sigma_n) / 4
  slope, _ = np.polyfit(time_n, c_noise, 1)
  fit = np.poly1d(np.polyfit(time_n, c_noise, 1))
  np.testing.assert_allclose(fit(time_n), c_noise, atol=1e-4)
  assert slope < 0  # Here time runs towards the data.


def test_cosine_is_the_papers():
  """alpha_bar of Nichol and Dhariwal, 2021, without its division by f(0)."""
  s = 0.008
  f = np.cos((1 - TIME_N + s) / (1 + s) * np.pi / 2) ** 2
  alpha_n, sigma_n = compiled.call(paths.Cosine().scales, TIME_N)
  np.testing.assert_allclose(alpha_n**2, f, atol=1e-6)
  np.testing.assert_allclose(alpha_n**2 + sigma_n**2, 1, atol=1e-6)


def test_linear_beta_is_the_limit_of_the_papers_1000_steps():
  beta_n = np.linspace(1e-4, 0.02, 1000)
  alpha_n = np.sqrt(np.cumprod(1 - beta_n))
  # Its step 1 is our time 1, its step 1,000 our time 0.
  time_n = np.linspace(1, 0, 1000)
  ours_n, sigma_n = compiled.call(paths.LinearBeta().scales, time_n)
  np.testing.assert_allclose(ours_n, alpha_n, atol=3e-3)
  np.testing.assert_allclose(ours_n**2 + sigma_n**2, 1, atol=1e-6)
  assert sigma_n[0] == pytest.approx(0.01, rel=0.06)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (
      lambda: paths.Cosine(-1.0),
      r'families.diffusion.paths.Cosine: offset is -1.0',
    ),
    (lambda: paths.LinearBeta(20.0, 0.1), 'beta_min is 20.0 and beta_max 0.1'),
    (lambda: paths.LinearBeta(margin=0.0), 'margin is 0.0; it must lie'),
    (
      lambda: paths.VarianceExploding(80, 0.002),
      'must be positive and increasing',
    ),
    (lambda: paths.VarianceExploding(rho=0), 'rho is 0; it must be positive'),
  ],
)
def test_wrong_fields(make, message: str):
  with pytest.raises(ValueError, match=message):
    make()

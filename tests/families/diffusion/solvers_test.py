"""Tests of solvers.py, on data with known optimal estimates."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import solvers

PATHS = {
  'linear': paths.Linear(),
  'cosine': paths.Cosine(),
  'linear_beta': paths.LinearBeta(),
  'exploding': paths.VarianceExploding(),
}


def slow(*values):
  """Returns values that only `make test-slow` runs."""
  return pytest.param(*values, marks=pytest.mark.slow)


# A mixture of three isotropic Gaussians in the plane.
WEIGHTS_K = np.array([0.5, 0.3, 0.2])
MEANS_KN = np.array([[1.0, 0.5], [-0.5, 0.8], [-0.3, -0.9]])
STDS_K = np.array([0.15, 0.2, 0.1])

# A Gaussian on a line, whose flow from noise has a closed form.
MEAN, VARIANCE = 0.3, 0.49


@dataclasses.dataclass(frozen=True)
class Wrong(solvers.Solver):
  """A wrong solver: the clean estimate becomes the next noisy clip."""

  def advance(self, noisy, step):
    clean = step.estimate(noisy, step.time)
    return clean, clean


def estimate_mixture(path):
  """Returns the posterior mean of the mixture, given a noisy point."""

  def estimate(noisy_bthwc, time):
    alpha, sigma = path.scales(time)
    x_bn = noisy_bthwc.reshape(-1, 2)
    variance_k = (alpha * STDS_K) ** 2 + sigma**2
    off_bkn = x_bn[:, None] - alpha * MEANS_KN[None]
    logit_bk = jnp.log(WEIGHTS_K / variance_k)[None]
    logit_bk -= jnp.square(off_bkn).sum(-1) / (2 * variance_k)[None]
    gain_k = alpha * STDS_K**2 / variance_k
    clean_bkn = MEANS_KN[None] + gain_k[None, :, None] * off_bkn
    posterior_bk = jax.nn.softmax(logit_bk)
    clean_bn = (posterior_bk[..., None] * clean_bkn).sum(1)
    return clean_bn.reshape(noisy_bthwc.shape)

  return estimate


def estimate_two_points(path, probability):
  """Returns the posterior mean of a variable that is +1 or -1."""

  def estimate(noisy_bthwc, time):
    alpha, sigma = path.scales(time)
    prior = jnp.log(probability / (1 - probability)) / 2
    return jnp.tanh(alpha * noisy_bthwc / sigma**2 + prior)

  return estimate


def estimate_gaussian(path):
  def estimate(noisy_bthwc, time):
    alpha, sigma = path.scales(time)
    gain = VARIANCE * alpha / (alpha**2 * VARIANCE + sigma**2)
    return MEAN + gain * (noisy_bthwc - alpha * MEAN)

  return estimate


def samples(several, estimate, path, num, width=1):
  """Returns points `[num, width]` for each of several solvers."""
  noise_bthwc = arrays.normal((num, 1, 1, width, 1))
  solve = lambda x, k: [s.solve(estimate(path), x, k, path) for s in several]
  found = compiled.jit(solve)(noise_bthwc, arrays.keys(num))
  return [x[:, 0, 0, :, 0] for x in found]


def sample(solver, *args, **kwargs):
  """Returns the points of one solver; see `samples`."""
  return samples([solver], *args, **kwargs)[0]


@pytest.mark.parametrize(
  ('path', 'solver'),
  [
    ('linear', solvers.Euler(80)), ('linear', solvers.Heun(30)),
    ('linear', solvers.DPMSolverPP2M(50)),
    slow('linear', solvers.Ancestral(400)), slow('cosine', solvers.Euler(80)),
    slow('cosine', solvers.DDIM(200)), ('cosine', solvers.DDIM(300, eta=0.5)),
    slow('cosine', solvers.DPMSolverPP2M(50)),
    slow('linear_beta', solvers.Heun(40)),
    ('linear_beta', solvers.DDIM(250)),
    slow('linear_beta', solvers.Ancestral(1000)),
    ('exploding', solvers.Heun(30)),
    slow('exploding', solvers.DPMSolverPP2M(50)),
    ('exploding', solvers.Ancestral(400, variance='large')),
  ],
  ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_samples_follow_the_mixture(path: str, solver: solvers.Solver):
  num = 4096
  x_bn = sample(solver, estimate_mixture, PATHS[path], num, width=2)
  # The components are at least 5 standard deviations apart.
  distance_bk = np.linalg.norm(x_bn[:, None] - MEANS_KN, axis=-1)
  nearest_b = distance_bk.argmin(1)
  fraction_k = np.bincount(nearest_b, minlength=3) / num
  # Four standard errors: 4 sqrt(.5 * .5 / 4096) and 4 / sqrt(4096), and so on.
  np.testing.assert_allclose(fraction_k, WEIGHTS_K, atol=0.032)
  mean_n = WEIGHTS_K @ MEANS_KN
  spread_kn = MEANS_KN - mean_n
  covariance_nn = (spread_kn.T * WEIGHTS_K) @ spread_kn
  covariance_nn += WEIGHTS_K @ STDS_K**2 * np.eye(2)
  np.testing.assert_allclose(x_bn.mean(0), mean_n, atol=0.06)
  np.testing.assert_allclose(np.cov(x_bn.T), covariance_nn, atol=0.06)
  for k in range(3):
    off_bn = x_bn[nearest_b == k] - MEANS_KN[k]
    np.testing.assert_allclose(off_bn.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(off_bn.std(), STDS_K[k], rtol=0.08)


# On the variance-exploding path the wrong solver passes this test, but not the
# next one.
@pytest.mark.parametrize(
  ('probability', 'path'),
  [
    (0.5, 'linear'), slow(0.5, 'cosine'), slow(0.5, 'linear_beta'),
    slow(0.7, 'linear'), (0.7, 'cosine'), (0.7, 'linear_beta'),
  ],
)  # fmt: skip
def test_samples_follow_two_points(path: str, probability: float):
  def is_right(solver):
    estimate = lambda path: estimate_two_points(path, probability)
    x_bn = sample(solver, estimate, PATHS[path], 2000)
    converges = (np.abs(np.abs(x_bn) - 1) < 0.02).mean() > 0.98
    return converges and abs((x_bn > 0).mean() - probability) < 0.045

  assert is_right(solvers.Euler(50))
  assert is_right(solvers.DDIM(50, eta=1.0))
  assert not is_right(solvers.Euler(1))
  # It converges to one point from any noise.
  assert not is_right(Wrong(50))


@pytest.mark.parametrize('path', PATHS)
def test_the_wrong_solver_loses_the_variance(path: str):
  def spread(solver):
    return sample(solver, estimate_gaussian, PATHS[path], 2000).var()

  assert spread(solvers.Heun(20)) == pytest.approx(VARIANCE, rel=0.15)
  assert spread(Wrong(20)) < 0.1 * VARIANCE


# Log SNR is unbounded on the straight path, so there the order of the last one
# approaches 2 from below, like log(n) / n^2.
ORDERS = {
  solvers.Euler: 1, solvers.DDIM: 1, solvers.Heun: 2, solvers.DPMSolverPP2M: 2,
}  # fmt: skip


# `make test` has each solver on one path, and one solver on each path.
@pytest.mark.parametrize(
  ('solver', 'path'),
  [
    (solver, path) if 2 in (i, n) else slow(solver, path)
    for i, solver in enumerate(ORDERS) for n, path in enumerate(PATHS)
  ],
)  # fmt: skip
def test_order_of_convergence(solver: type, path: str):
  """On a Gaussian each clip keeps its rank, so the exact result is known."""
  path = PATHS[path]
  rank = np.linspace(-2, 2, 9).reshape(9, 1, 1, 1, 1)

  def at(time):  # The clip of each rank at a time.
    alpha, sigma = path.scales(time)
    return alpha * MEAN + jnp.sqrt(alpha**2 * VARIANCE + sigma**2) * rank

  def errors():
    start, estimate = path.scales(0.0)[1], estimate_gaussian(path)
    clean = MEAN + np.sqrt(VARIANCE) * rank
    if not path.reaches_data:  # The optimal estimate there differs from data.
      clean = estimate(at(1.0), 1.0)
    key_b = jax.random.split(jax.random.key(0), 9)
    for num in (512, 1024):
      found = solver(num).solve(estimate, at(0.0) / start, key_b, path)
      yield jnp.abs(found - clean).max()

  with jax.enable_x64(True):
    few, many = compiled.call(lambda: list(errors()))
    measured = np.log2(few / many)
  assert measured == pytest.approx(ORDERS[solver], abs=0.2)


@pytest.mark.parametrize(
  ('path', 'variance'),
  [('linear', 'small'), slow('cosine', 'small'), ('cosine', 'large')],
)
def test_ancestral_moments_converge(path: str, variance: str):
  def errors(num_steps):
    solver = solvers.Ancestral(num_steps, variance=variance)
    x_bn = sample(solver, estimate_gaussian, PATHS[path], 2**15)
    return abs(x_bn.mean() - MEAN), abs(x_bn.var() - VARIANCE)

  (_, few), (mean, many) = errors(4), errors(128)
  assert mean < 0.016  # Four standard errors.
  assert few > 0.05
  assert many < 0.03


@pytest.mark.parametrize('path', ['linear', 'exploding'])
def test_ddim_with_eta_1_is_ancestral_sampling(path: str):
  large = solvers.Ancestral(7, variance='large')
  several = solvers.DDIM(7, eta=1.0), solvers.Ancestral(7), large
  ddim, ancestral, large = samples(several, estimate_gaussian, PATHS[path], 64)
  np.testing.assert_allclose(ddim, ancestral, atol=2e-5)
  assert np.abs(large - ancestral).max() > 0.1


def test_only_solvers_that_add_noise_use_keys():
  path = paths.Cosine()
  noise = arrays.normal((5, 1, 1, 1, 1))
  several = (
    solvers.DDIM(4), solvers.Heun(4), solvers.DDIM(4, eta=0.3),
    solvers.Ancestral(4),
  )  # fmt: skip
  estimate = estimate_gaussian(path)
  solve = lambda key_b: [s.solve(estimate, noise, key_b, path) for s in several]
  one, two = map(compiled.jit(solve), (arrays.keys(5, 1), arrays.keys(5, 2)))
  same = [(x == y).all() for x, y in zip(one, two, strict=True)]
  assert same == [True, True, False, False]


def test_variance_exploding_steps_are_those_of_the_paper():
  """sigma_i of Karras et al., 2022, for 18 steps from 80 to 0.002, rho 7."""
  path = paths.VarianceExploding()
  i = np.arange(18)
  high, low = 80 ** (1 / 7), 0.002 ** (1 / 7)
  expected = (high + i / 17 * (low - high)) ** 7
  sigma = compiled.call(lambda: path.scales(solvers.Heun(18).times(path))[1])
  np.testing.assert_allclose(sigma, expected, rtol=2e-4)


def test_steps_on_the_straight_path_are_even_and_shift_towards_noise():
  path = paths.Linear()
  several = solvers.Euler(4), solvers.Euler(2, shift=3.0)
  even, shifted = compiled.call(lambda: [s.times(path) for s in several])
  np.testing.assert_allclose(even, [0, 0.25, 0.5, 0.75], atol=1e-6)
  # Time 1 / 2 becomes .5 / (.5 + 3 * .5).
  np.testing.assert_allclose(shifted, [0, 0.25], atol=1e-6)


@pytest.mark.parametrize('solver', [solvers.Euler, solvers.DPMSolverPP2M])
def test_one_step_is_one_estimate(solver: type):
  path = paths.Linear()
  x_bn = sample(solver(1), estimate_gaussian, path, 5)
  np.testing.assert_allclose(x_bn, MEAN, atol=1e-6)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (
      lambda: solvers.Euler(0),
      'families.diffusion.solvers.Euler: num_steps is 0; .* at least 1',
    ),
    (
      lambda: solvers.Heun(5, shift=0.0),
      'families.diffusion.solvers.Heun: shift is 0.0',
    ),
    (lambda: solvers.DDIM(5, eta=2.0), r'eta is 2.0; it must be from 0 to 1'),
    (
      lambda: solvers.Ancestral(variance='big'),
      "'big'; it must be one of 'small', 'large'",
    ),
  ],
)
def test_wrong_fields(make, message: str):
  with pytest.raises(ValueError, match=message):
    make()

"""Tests of predictions.py: all targets determine the same clean clip."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import predictions

PATHS = [
  paths.Linear(),
  paths.Cosine(),
  paths.LinearBeta(),
  paths.VarianceExploding(),
]
TIME_N = np.linspace(0.1, 0.95, 18)
CLEAN_N, NOISE_N = np.random.default_rng(0).normal(size=(2, 18)).astype('f')


def noisy(path, time=TIME_N, clean=CLEAN_N, noise=NOISE_N):
  alpha, sigma = path.scales(time)
  return alpha * clean + sigma * noise


def each_clean(path):
  """Returns {target: clips from the right and from a wrong output}."""

  def compute(clean_n, noise_n, time_n):
    noisy_n = noisy(path, time_n, clean_n, noise_n)
    found = {}
    for name in predictions.NAMES:
      prediction = predictions.Prediction(name, path)
      output_n = prediction.target(clean_n, noise_n, time_n)
      found[name] = tuple(
        prediction.clean(x, noisy_n, time_n) for x in (output_n, output_n + 1)
      )
    return found

  return compiled.call(compute, CLEAN_N, NOISE_N, TIME_N)


@pytest.mark.parametrize('path', PATHS)
def test_target_determines_the_clean_clip(path: paths.Path):
  with jax.enable_x64(True):
    found = each_clean(path)
  assert found.keys() == set(predictions.NAMES)
  for name, (clean_n, wrong_n) in found.items():
    np.testing.assert_allclose(clean_n, CLEAN_N, atol=1e-5, err_msg=name)
    # A wrong output gives a wrong clip.
    assert np.abs(wrong_n - CLEAN_N).min() > 1e-4, name


@pytest.mark.parametrize('path', PATHS[:3])
def test_float32_is_enough(path: paths.Path):
  for name, (clean_n, _) in each_clean(path).items():
    assert clean_n.dtype == np.float32
    np.testing.assert_allclose(clean_n, CLEAN_N, atol=1e-4, err_msg=name)


def test_targets_are_the_papers():
  straight, circle = paths.Linear(), paths.Cosine()
  make = predictions.Prediction
  alpha_n, sigma_n = compiled.call(circle.scales, TIME_N)
  expected = {
    make('velocity', straight): CLEAN_N - NOISE_N,
    make('noise', circle): NOISE_N,
    make('x0', circle): CLEAN_N,
    make('v', circle): alpha_n * NOISE_N - sigma_n * CLEAN_N,
  }
  targets = compiled.call(
    lambda *args: [prediction.target(*args) for prediction in expected],
    *(CLEAN_N, NOISE_N, TIME_N),
  )
  for target_n, expected_n in zip(targets, expected.values(), strict=True):
    np.testing.assert_allclose(target_n, expected_n, atol=1e-6)


@pytest.mark.parametrize('sigma', [0.002, 0.1, 0.5, 2.0, 80.0])
def test_edm_coefficients_are_the_papers(sigma: float):
  """The table of Karras et al., 2022: c_skip, c_out, c_in; lambda too."""
  with jax.enable_x64(True):
    data = 0.5
    path = paths.VarianceExploding(1e-3, 100.0)
    edm = predictions.Prediction('edm', path, data)

    def compute(log_snr):
      time = path.time(log_snr)
      weight = edm.weight('unit', time, 5.0)
      return *edm.coefficients(time), edm.input_scale(time), weight

    log_snr = np.asarray(-2 * np.log(sigma))
    skip, out, scale, weight = compiled.jit(compute)(log_snr)
  total = sigma**2 + data**2
  assert skip == pytest.approx(data**2 / total)
  assert out == pytest.approx(sigma * data / np.sqrt(total))
  assert scale == pytest.approx(1 / np.sqrt(total))
  # The paper's loss, lambda |clean error|^2, is the plain one of the output.
  assert 1 / out**2 == pytest.approx(total / (sigma * data) ** 2)
  assert weight == 1


@pytest.mark.parametrize('path', PATHS)
def test_edm_has_unit_variance_in_and_out(path: paths.Path):
  data = 0.3
  edm = predictions.Prediction('edm', path, data)
  x0 = predictions.Prediction('x0', path, data)
  clean_bn, noise_bn = (
    np.random.default_rng(1).normal(size=(2, 20000, 1)).astype('f')
  )
  clean_bn *= data

  def compute(clean_bn, noise_bn, time_bn):
    noisy_bn = noisy(path, time_bn, clean_bn, noise_bn)
    scale_bn = edm.input_scale(time_bn)
    target_bn = edm.target(clean_bn, noise_bn, time_bn)
    stds = (noisy_bn * scale_bn).std(0), target_bn.std(0)
    return *stds, scale_bn, x0.input_scale(time_bn)

  input_n, target_n, scale_bn, other_bn = compiled.call(
    compute, clean_bn, noise_bn, TIME_N[None]
  )
  np.testing.assert_allclose(input_n, 1, atol=0.03)
  np.testing.assert_allclose(target_n, 1, atol=0.03)
  if path.variance_explodes:  # Other inputs would be as large as 80.
    np.testing.assert_allclose(other_bn, scale_bn, rtol=1e-6)


@pytest.mark.parametrize(
  ('path', 'target'),
  [
    *((path, target) for path in PATHS for target in ('x0', 'noise')),
    *((path, 'v') for path in PATHS if not path.variance_explodes),
  ],
)
def test_weight_gives_the_error_of_another_target(
  path: paths.Path, target: str
):
  """Outputs that determine the same clip have the same weighted error."""
  # Times at which the weight is below its bound.
  time_n = TIME_N[compiled.call(path.scales, TIME_N)[1] > 0.06]

  def errors(prediction, clean_n, noise_n, time_n):
    """Returns the squared error of a clip that is 0.1 off."""
    alpha, sigma = path.scales(time_n)
    noisy_n = noisy(path, time_n, clean_n, noise_n)
    true_n, wrong_n = (
      prediction.target(x_n, (noisy_n - alpha * x_n) / sigma, time_n)
      for x_n in (clean_n, clean_n + 0.1)
    )
    return (true_n - wrong_n) ** 2

  def compute(*args):
    found = {}
    for name in predictions.NAMES:
      prediction = predictions.Prediction(name, path)
      weight_n = prediction.weight(target, args[-1], 5.0)
      found[name] = weight_n * errors(prediction, *args)
    return errors(predictions.Prediction(target, path), *args), found

  with jax.enable_x64(True):
    args = CLEAN_N[: len(time_n)], NOISE_N[: len(time_n)], time_n
    expected_n, found = compiled.call(compute, *args)
  assert found.keys() == set(predictions.NAMES)
  for name, error_n in found.items():
    np.testing.assert_allclose(error_n, expected_n, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize('path', PATHS)
def test_min_snr_is_the_papers(path: paths.Path):
  """With m = min(SNR, 5): m for x0, m / SNR for noise, m / (SNR + 1) for v."""
  names = ('x0', 'noise', 'v')
  log_snr_n, weights = compiled.call(
    lambda time_n: (
      path.log_snr(time_n),
      {
        name: predictions.Prediction(name, path).weight('min_snr', time_n, 5.0)
        for name in names
      },
    ),
    TIME_N,
  )
  snr_n = np.exp(log_snr_n)
  bounded_n = np.minimum(snr_n, 5.0)
  expected = {'x0': bounded_n, 'noise': bounded_n / snr_n}
  if isinstance(path, paths.Cosine | paths.LinearBeta):
    expected['v'] = bounded_n / (snr_n + 1)
  for name, expected_n in expected.items():
    np.testing.assert_allclose(weights[name], expected_n, rtol=1e-4)


@pytest.mark.parametrize('path', PATHS)
def test_weights_are_finite_at_all_times(path: paths.Path):
  def compute(first):
    found = {}
    for name in predictions.NAMES:
      time_n = jnp.linspace(first if name == 'noise' else 0.0, 1, 33)
      prediction = predictions.Prediction(name, path)
      for weight in predictions.WEIGHTS:
        found[name, weight] = prediction.weight(weight, time_n, 5.0)
    return found

  first = np.asarray(compiled.call(path.first_time))
  found = compiled.call(compute, first)
  assert len(found) == len(predictions.NAMES) * len(predictions.WEIGHTS)
  for names, weight_n in found.items():
    assert np.isfinite(weight_n).all(), names
    assert (weight_n >= 0).all(), names

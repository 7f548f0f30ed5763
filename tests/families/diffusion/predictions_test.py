"""Tests of predictions.py: all targets determine the same clean clip."""

import jax
import numpy as np
import pytest

from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import predictions

PATHS = [
  paths.Linear(),
  paths.Cosine(),
  paths.LinearBeta(),
  paths.VarianceExploding(),
]
TIME_N = np.linspace(0.1, 0.95, 18)
CLEAN_N, NOISE_N = jax.random.normal(jax.random.key(0), (2, 18))


def noisy(path, time=TIME_N, clean=CLEAN_N, noise=NOISE_N):
  alpha, sigma = path.scales(time)
  return alpha * clean + sigma * noise


@pytest.mark.parametrize('path', PATHS)
@pytest.mark.parametrize('name', predictions.NAMES)
def test_target_determines_the_clean_clip(path: paths.Path, name: str):
  with jax.enable_x64(True):
    prediction = predictions.Prediction(name, path)
    output_n = prediction.target(CLEAN_N, NOISE_N, TIME_N)
    clean_n = prediction.clean(output_n, noisy(path), TIME_N)
    np.testing.assert_allclose(clean_n, CLEAN_N, atol=1e-5)
    # A wrong output gives a wrong clip.
    wrong_n = prediction.clean(output_n + 1, noisy(path), TIME_N)
    assert np.abs(wrong_n - CLEAN_N).min() > 1e-4


@pytest.mark.parametrize('name', predictions.NAMES)
@pytest.mark.parametrize('path', PATHS[:3])
def test_float32_is_enough(path: paths.Path, name: str):
  prediction = predictions.Prediction(name, path)
  output_n = prediction.target(CLEAN_N, NOISE_N, TIME_N)
  clean_n = prediction.clean(output_n, noisy(path), TIME_N)
  np.testing.assert_allclose(clean_n, CLEAN_N, atol=1e-4)


def test_targets_are_the_papers():
  straight, circle = paths.Linear(), paths.Cosine()
  make = predictions.Prediction
  args = CLEAN_N, NOISE_N, TIME_N
  alpha_n, sigma_n = circle.scales(TIME_N)
  for prediction, expected_n in (
    (make('velocity', straight), CLEAN_N - NOISE_N),
    (make('noise', circle), NOISE_N),
    (make('x0', circle), CLEAN_N),
    (make('v', circle), alpha_n * NOISE_N - sigma_n * CLEAN_N),
  ):
    np.testing.assert_allclose(prediction.target(*args), expected_n, atol=1e-6)


@pytest.mark.parametrize('sigma', [0.002, 0.1, 0.5, 2.0, 80.0])
def test_edm_coefficients_are_the_papers(sigma: float):
  """The table of Karras et al., 2022: c_skip, c_out, c_in; lambda too."""
  with jax.enable_x64(True):
    data = 0.5
    path = paths.VarianceExploding(1e-3, 100.0)
    time = path.time(-2 * np.log(np.float64(sigma)))
    edm = predictions.Prediction('edm', path, data)
    skip, out = edm.coefficients(time)
    total = sigma**2 + data**2
    assert skip == pytest.approx(data**2 / total)
    assert out == pytest.approx(sigma * data / np.sqrt(total))
    assert edm.input_scale(time) == pytest.approx(1 / np.sqrt(total))
    # The paper's loss, lambda |clean error|^2, is the plain one of the output.
    assert 1 / out**2 == pytest.approx(total / (sigma * data) ** 2)
    assert edm.weight('unit', time, 5.0) == 1


@pytest.mark.parametrize('path', PATHS)
def test_edm_has_unit_variance_in_and_out(path: paths.Path):
  data = 0.3
  edm = predictions.Prediction('edm', path, data)
  clean_bn, noise_bn = jax.random.normal(jax.random.key(1), (2, 20000, 1))
  clean_bn *= data
  time_bn = TIME_N[None]
  noisy_bn = noisy(path, time_bn, clean_bn, noise_bn)
  input_n = (noisy_bn * edm.input_scale(time_bn)).std(0)
  target_n = edm.target(clean_bn, noise_bn, time_bn).std(0)
  np.testing.assert_allclose(input_n, 1, atol=0.03)
  np.testing.assert_allclose(target_n, 1, atol=0.03)
  if path.variance_explodes:  # Other inputs would be as large as 80.
    x0 = predictions.Prediction('x0', path, data)
    np.testing.assert_allclose(
      x0.input_scale(TIME_N), edm.input_scale(TIME_N), rtol=1e-6
    )


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
  time_n = TIME_N[path.scales(TIME_N)[1] > 0.06]
  clean_n, noise_n = CLEAN_N[: len(time_n)], NOISE_N[: len(time_n)]
  noisy_n = noisy(path, time_n, clean_n, noise_n)
  other = predictions.Prediction(target, path)

  def targets(prediction):  # Of the true clip, and of one that is 0.1 off.
    alpha, sigma = path.scales(time_n)
    for wrong_n in (clean_n, clean_n + 0.1):
      implied_n = (noisy_n - alpha * wrong_n) / sigma
      yield prediction.target(wrong_n, implied_n, time_n)

  with jax.enable_x64(True):
    true_n, wrong_n = targets(other)
    expected_n = (true_n - wrong_n) ** 2
    for name in predictions.NAMES:
      prediction = predictions.Prediction(name, path)
      true_n, wrong_n = targets(prediction)
      weight_n = prediction.weight(target, time_n, 5.0)
      error_n = weight_n * (true_n - wrong_n) ** 2
      np.testing.assert_allclose(error_n, expected_n, rtol=1e-3)


@pytest.mark.parametrize('path', PATHS)
def test_min_snr_is_the_papers(path: paths.Path):
  """With m = min(SNR, 5): m for x0, m / SNR for noise, m / (SNR + 1) for v."""
  snr_n = np.exp(path.log_snr(TIME_N))
  bounded_n = np.minimum(snr_n, 5.0)
  expected = {'x0': bounded_n, 'noise': bounded_n / snr_n}
  if isinstance(path, paths.Cosine | paths.LinearBeta):
    expected['v'] = bounded_n / (snr_n + 1)
  for name, expected_n in expected.items():
    prediction = predictions.Prediction(name, path)
    weight_n = prediction.weight('min_snr', TIME_N, 5.0)
    np.testing.assert_allclose(weight_n, expected_n, rtol=1e-4)


@pytest.mark.parametrize('path', PATHS)
@pytest.mark.parametrize('weight', predictions.WEIGHTS)
def test_weights_are_finite_at_all_times(path: paths.Path, weight: str):
  for name in predictions.NAMES:
    first = path.first_time() if name == 'noise' else 0.0
    time_n = np.linspace(first, 1, 33)
    prediction = predictions.Prediction(name, path)
    weight_n = prediction.weight(weight, time_n, 5.0)
    assert np.isfinite(weight_n).all()
    assert (weight_n >= 0).all()

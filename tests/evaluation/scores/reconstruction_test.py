"""Tests of scores/reconstruction.py: PSNR and SSIM against plain loops."""

import numpy as np
import pytest
import scipy.ndimage

from tests import compiled
from vgen_jax.core import pixels
from vgen_jax.evaluation.scores import reconstruction

frame_metric = compiled.jit(reconstruction.frame_metric, static_argnums=(0, 3))


def pair(shape=(2, 2, 20, 24, 3), noise=12.0):
  rng = np.random.default_rng(0)
  clean = scipy.ndimage.gaussian_filter(rng.normal(size=shape), (0, 0, 3, 3, 0))
  clean = 128 + 400 * clean
  noisy = clean + rng.normal(0, noise, shape)
  return [np.uint8(np.clip(x, 0, 255)) for x in (noisy, clean)]


def slow_ssim(x, y, window, extent):
  """Returns the SSIM of a grey frame, window by window, in float64."""
  if window == 'uniform7':
    weight, ddof = np.full((7, 7), 1 / 49), 49 / 48
  else:
    row = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    weight, ddof = np.outer(row, row) / row.sum() ** 2, 1
  size = len(weight)
  c1, c2 = (0.01 * extent) ** 2, (0.03 * extent) ** 2
  values = []
  for i in range(x.shape[0] - size + 1):
    for j in range(x.shape[1] - size + 1):
      a, b = (z[i : i + size, j : j + size] for z in (x, y))
      m, n = (weight * a).sum(), (weight * b).sum()
      v = ddof * (weight * (a - m) ** 2).sum()
      u = ddof * (weight * (b - n) ** 2).sum()
      cov = ddof * (weight * (a - m) * (b - n)).sum()
      top = (2 * m * n + c1) * (2 * cov + c2)
      values.append(top / ((m * m + n * n + c1) * (v + u + c2)))
  return np.mean(values)


@pytest.mark.parametrize('window', ['gaussian11', 'uniform7'])
@pytest.mark.parametrize('channels', ['rgb', 'luma'])
def test_ssim_equals_plain_loops(window, channels):
  video, truth = pair()
  found = frame_metric(f'ssim-{window}-{channels}', video, truth, None)
  x, y = np.float64(video[1, 0]), np.float64(truth[1, 0])
  if channels == 'luma':
    luma = [0.299, 0.587, 0.114]
    wanted = slow_ssim(x @ luma, y @ luma, window, 255)
  else:
    each = [slow_ssim(x[..., c], y[..., c], window, 255) for c in range(3)]
    wanted = np.mean(each)
  assert found.shape == (2, 2)
  assert float(found[1, 0]) == pytest.approx(wanted, abs=2e-5)


def test_definitions_of_ssim_differ():
  video, truth = pair()
  names = [n for n in reconstruction.FRAME_METRICS if n.startswith('ssim')]
  values = [float(frame_metric(n, video, truth, None).mean()) for n in names]
  # Much more than the 2e-5 of the test above.
  assert np.diff(np.sort(values)).min() > 1e-3


def test_floats_need_a_range():
  video, truth = pair()
  signed = [np.float32(x) / 127.5 - 1 for x in (video, truth)]
  for name in ('psnr', 'ssim-uniform7-rgb'):
    wanted = frame_metric(name, video, truth, None)
    np.testing.assert_allclose(
      frame_metric(name, *signed, (-1.0, 1.0)), wanted, rtol=1e-4
    )
    # A common mistake: a range of 1 for pixels in [-1, 1].
    wrong = frame_metric(name, *signed, (0.0, 1.0))
    assert np.abs(wrong / wanted - 1).min() > 0.01
  with pytest.raises(ValueError, match='give value_range'):
    reconstruction.frame_metric('psnr', *signed)


def test_the_two_definitions_of_the_psnr_of_clips():
  truth = np.zeros((1, 2, 4, 4, 1), np.float32)
  video = truth + np.float32([0.1, 0.01])[None, :, None, None, None]
  psnr_bt = frame_metric('psnr', video, truth, (0.0, 1.0))
  np.testing.assert_allclose(psnr_bt, [[20, 40]], rtol=1e-5)
  frames = reconstruction.mean_of_frames(psnr_bt)
  errors = reconstruction.of_mean_error(psnr_bt)
  assert float(frames[0]) == pytest.approx(30, rel=1e-5)
  wanted = -10 * np.log10((0.01 + 0.0001) / 2)
  assert float(errors[0]) == pytest.approx(wanted, rel=1e-5)
  assert float(frame_metric('psnr', truth, truth, (0.0, 1.0)).min()) == (
    pytest.approx(pixels.MAX_PSNR)
  )


def slow_ms_ssim(x, y):
  row = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
  row /= row.sum()

  def blur(z):
    for axis in (0, 1):
      z = scipy.ndimage.correlate1d(z, row, axis)
    return z[5:-5, 5:-5]

  product = 1
  for i, power in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
    m, n = blur(x), blur(y)
    v, u, cov = blur(x * x) - m * m, blur(y * y) - n * n, blur(x * y) - m * n
    value = (2 * cov + 58.5225) / (v + u + 58.5225)
    if i == 4:
      value *= (2 * m * n + 6.5025) / (m * m + n * n + 6.5025)
    product *= max(value.mean(), 0) ** power
    h, w = x.shape
    x, y = (
      z[: h // 2 * 2, : w // 2 * 2].reshape(h // 2, 2, w // 2, 2).mean((1, 3))
      for z in (x, y)
    )
  return product


def test_ms_ssim_equals_scipy():
  video, truth = pair((1, 1, 177, 178, 1), 40.0)
  found = frame_metric('ms-ssim-gaussian11-luma', video, truth, None)
  wanted = slow_ms_ssim(*(np.float64(x[0, 0, ..., 0]) for x in (video, truth)))
  assert float(found[0, 0]) == pytest.approx(wanted, abs=1e-4)
  assert wanted < 0.98


def futures(rng, which_b, noise):
  """Returns clips with a line at one of two positions, and noise."""
  video = np.zeros((len(which_b), 3, 8, 8, 1), np.float32)
  for clip, which in zip(video, which_b, strict=True):
    clip[:, :, 1 if which else 6] = 0.5
  return video + rng.normal(0, noise, video.shape).astype(np.float32)


def test_the_mean_of_all_futures_wins_by_the_sample_mean_only():
  rng = np.random.default_rng(0)
  b, n = 60, 12
  which_b = rng.integers(0, 2, b)
  truth = futures(rng, which_b, 0.0)

  def score(samples):
    value = [
      reconstruction.mean_of_frames(frame_metric('psnr', x, truth, (0.0, 1.0)))
      for x in samples
    ]
    return reconstruction.best_of(np.stack(value))

  draws = rng.integers(0, 2, (n, b))
  sampler = score([futures(rng, draw, 0.09) for draw in draws])
  both = (futures(rng, 0 * which_b, 0) + futures(rng, 0 * which_b + 1, 0)) / 2
  blurry = score([both] * n)
  one_mode = score([futures(rng, 0 * which_b, 0.09) for _ in range(n)])
  assert blurry.sample_mean > sampler.sample_mean
  assert sampler.best > blurry.best
  assert sampler.worst_decile > blurry.worst_decile + 1
  assert sampler.worst_decile > one_mode.worst_decile + 5
  assert abs(one_mode.sample_mean - sampler.sample_mean) < 1
  assert sampler.num_samples == n


def test_the_best_sample_is_chosen_for_each_clip():
  value_nb = np.float32([[1.0, 5.0], [3.0, 2.0]])
  found = reconstruction.best_of(value_nb)
  assert (found.best, found.worst_decile, found.sample_mean) == (4.0, 3.0, 2.75)
  found = reconstruction.best_of(value_nb, higher_is_better=False)
  assert (found.best, found.worst_decile, found.sample_mean) == (1.5, 2.0, 2.75)


def test_diversity_is_the_mean_over_all_pairs():
  sample = np.random.default_rng(0).uniform(size=(4, 2, 2, 3, 3, 1))
  pairs = [(i, j) for i in range(4) for j in range(i)]
  wanted = np.mean(
    [((sample[i] - sample[j]) ** 2).mean((1, 2, 3, 4)) for i, j in pairs], 0
  )
  diversity = compiled.jit(reconstruction.diversity, static_argnums=1)
  found = diversity(sample, (0.0, 1.0))
  np.testing.assert_allclose(found, wanted, rtol=1e-5)
  same = np.repeat(sample[:1], 4, 0)
  assert diversity(same, (0.0, 1.0)).max() < 1e-9


@pytest.mark.parametrize(
  ('name', 'shape', 'words'),
  [
    ('ssim', (1, 1, 16, 16, 3), 'Choose from psnr, ssim-gaussian11-rgb'),
    ('ssim-gaussian11-rgb', (1, 1, 10, 16, 3), 'smaller window'),
    ('ssim-uniform7-luma', (1, 1, 10, 16, 2), '2 channels'),
    ('ms-ssim-gaussian11-rgb', (1, 1, 175, 200, 3), 'needs 176'),
  ],
)
def test_clips_that_do_not_fit_are_errors(name, shape, words):
  video = np.zeros(shape, np.uint8)
  with pytest.raises(ValueError, match=words):
    reconstruction.frame_metric(name, video, video)

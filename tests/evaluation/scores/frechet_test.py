"""Tests of scores/frechet.py against scipy and closed forms."""

import jax
import numpy as np
import pytest
import scipy.linalg

from tests import compiled
from vgen_jax.evaluation.scores import frechet

update = compiled.jit(frechet.update)


def draw(n, d, seed, shift=0.0, scale=1.0):
  rng = np.random.default_rng(seed)
  mix_dd = np.random.default_rng(99).normal(size=(d, d)) / np.sqrt(d)
  return shift + scale * rng.normal(size=(n, d)) @ mix_dd


def by_scipy(a, b):
  cov_a, cov_b = np.cov(a.T), np.cov(b.T)
  root = scipy.linalg.sqrtm(cov_a @ cov_b).real
  gap = a.mean(0) - b.mean(0)
  return gap @ gap + np.trace(cov_a + cov_b - 2 * root)


def gather(features, size, step=update, padding=0.0):
  """Returns moments from batches of one size, the last one padded."""
  moments = compiled.call(frechet.empty, features.shape[1])
  for start in range(0, len(features), size):
    part = features[start : start + size].astype(np.float32)
    mask = np.arange(size) < len(part)
    filled = np.full((size, features.shape[1]), padding, np.float32)
    filled[: len(part)] = part
    moments = step(moments, filled, mask)
  return moments


def raw_moments(features, size):
  """Returns moments from sums of x and x x^T in float32, centred at the end."""
  total, squares = 0, 0
  for start in range(0, len(features), size):
    part = np.float32(features[start : start + size])
    total, squares = total + part.sum(0), squares + part.T @ part
  n = np.float32(len(features))
  mean = total / n
  return frechet.Moments(n, mean, squares - n * np.outer(mean, mean))


@pytest.mark.parametrize(
  ('n', 'd', 'tolerance'),
  [(400, 48, 1e-6), (40, 48, 1e-5), (60, 48, 1e-6)],
)
def test_the_distance_equals_scipy(n, d, tolerance):
  a, b = draw(n, d, 0), draw(n + 3, d, 1, 0.3, 1.4)
  wanted = by_scipy(a, b)
  assert frechet.distance_of_features(a, b) == pytest.approx(wanted, tolerance)
  by_eigh = frechet.distance(frechet.of_features(a), frechet.of_features(b))
  assert by_eigh == pytest.approx(wanted, tolerance)


@pytest.mark.parametrize('n', [300, 20])
def test_the_distance_of_equal_sets_is_0(n):
  a = draw(n, 32, 0, 5.0)
  m = frechet.of_features(a)
  assert abs(frechet.distance(m, m)) < 1e-8
  assert abs(frechet.distance_of_features(a, a)) < 1e-8


def test_diagonal_gaussians_have_a_closed_form():
  deviation_a, deviation_b = np.array([1.0, 2, 3]), np.array([2.0, 2, 0.5])
  gap = np.array([1.0, -1, 0.5])
  moments = lambda mean, sd: frechet.Moments(11.0, mean, 10 * np.diag(sd**2))
  found = frechet.distance(
    moments(gap, deviation_a), moments(0 * gap, deviation_b)
  )
  wanted = np.sum(gap**2) + np.sum((deviation_a - deviation_b) ** 2)
  assert found == pytest.approx(wanted, 1e-12)
  biased = frechet.distance(
    moments(gap, deviation_a), moments(0 * gap, deviation_b), ddof=0
  )
  spread = np.sum((deviation_a - deviation_b) ** 2)
  assert biased == pytest.approx(np.sum(gap**2) + spread * 10 / 11, 1e-12)


def test_features_far_from_0_keep_their_precision():
  a = draw(1500, 32, 0, 1000.0, 3.0).astype(np.float32)
  exact = frechet.of_features(a)
  assert abs(frechet.distance(gather(a, 64), exact)) < 1e-4
  assert abs(frechet.distance(raw_moments(a, 64), exact)) > 1e-4


def test_padding_and_devices_do_not_change_the_moments():
  a = draw(157, 16, 0, 10.0)
  wanted = gather(a, 157)
  mesh = jax.make_mesh(
    (8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  name = lambda *axes: jax.sharding.NamedSharding(
    mesh, jax.sharding.PartitionSpec(*axes)
  )
  sharded = compiled.jit(
    frechet.update,
    in_shardings=(name(), name('data'), name('data')),
    out_shardings=name(),
  )
  for moments in (
    gather(a, 32, padding=np.nan),
    gather(a, 64, padding=1e9),
    gather(a, 32, sharded, padding=np.nan),
  ):
    assert float(moments.count) == 157
    for got, want in zip(moments, wanted, strict=True):
      np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
  part = compiled.call(frechet.merge, gather(a[:50], 32), gather(a[50:], 32))
  np.testing.assert_allclose(
    part.scatter_de, wanted.scatter_de, rtol=1e-5, atol=1e-4
  )


def test_padding_counts_without_a_mask():
  none = compiled.call(frechet.empty, 3)
  padded = np.zeros((8, 3), np.float32)
  padded[:5] = draw(5, 3, 0, 4.0)
  masked = update(none, padded, np.arange(8) < 5)
  careless = update(none, padded)
  assert frechet.distance(masked, careless) > 1


@pytest.mark.parametrize(
  ('act', 'words'),
  [
    (lambda a: frechet.distance(frechet.of_features(a[:1]), a), '1 rows'),
    (lambda a: frechet.distance_of_features(a, a[:, :2]), "Axis 'd'"),
    (lambda a: frechet.distance_of_features(a * np.nan, a), 'finite'),
    (lambda a: frechet.distance_of_features(a[:2] * np.nan, a[:2]), 'finite'),
  ],
)
def test_bad_sets_are_errors(act, words):
  with pytest.raises(ValueError, match=words):
    act(draw(9, 3, 0))


@pytest.mark.parametrize('n', [300, 20])
def test_the_distance_of_equal_features_is_0_for_each_size(n):
  a = draw(n, 32, 0) * np.logspace(-8, 1, 32)
  m = frechet.of_features(a)
  assert abs(frechet.distance(m, m)) < 1e-8

"""Tests of scores/frechet_finite.py against repeated experiments."""

import numpy as np
import pytest

from vgen_jax.evaluation.scores import frechet
from vgen_jax.evaluation.scores import frechet_finite


def bootstrap(a, b, rng):
  again = lambda x: x[rng.integers(0, len(x), len(x))]
  return frechet.distance_of_features(again(a), again(b))


def test_the_extrapolated_distance_is_unbiased():
  rng = np.random.default_rng(0)
  d, gap = 32, 0.15
  true = d * gap**2
  a, b = rng.normal(size=(1200, d)), gap + rng.normal(size=(1200, d))
  plain = frechet.distance_of_features(a, b)
  endless = frechet_finite.at_infinity(a, b)
  assert plain - true > 0.2
  assert abs(endless - true) < 0.12
  same = [
    frechet_finite.at_infinity(a, rng.normal(size=a.shape)) for _ in range(3)
  ]
  assert abs(np.mean(same)) < 0.06 < frechet_finite.floor(a).value


@pytest.mark.parametrize(('gap', 'slack'), [(0.5, 1.25), (0.0, 1.7)])
def test_half_sampling_estimates_the_deviation_of_repetitions(gap, slack):
  rng = np.random.default_rng(0)
  one = lambda: (rng.normal(size=(200, 8)), gap + rng.normal(size=(200, 8)))
  repeats = [frechet.distance_of_features(*one()) for _ in range(100)]
  wanted = np.std(repeats)
  pairs = [one() for _ in range(12)]
  found = [
    frechet_finite.estimate(*p, num_splits=6, seed=1).deviation for p in pairs
  ]
  deviation = np.sqrt(np.mean(np.square(found)))
  assert 1 / 1.25 < deviation / wanted < slack
  centres = [np.mean([bootstrap(*p, rng) for _ in range(10)]) for p in pairs]
  values = [frechet_finite.estimate(*p, num_splits=1).value for p in pairs]
  error = wanted / np.sqrt(len(pairs))
  assert abs(np.mean(values) - np.mean(repeats)) < 3.3 * error
  # Distances of the bootstrap have a larger mean.
  bias = np.subtract(centres, values)
  assert np.mean(bias) > 3.3 * np.std(bias) / np.sqrt(len(pairs))
  assert np.mean(bias) > 0.1


def test_the_floor_falls_with_n():
  real = np.random.default_rng(0).normal(size=(1024, 16))
  low, high = frechet_finite.floor(real), frechet_finite.floor(real, 128)
  assert low.num_a == 512
  assert 3 < high.value / low.value < 5.5


@pytest.mark.parametrize(
  ('act', 'words'),
  [
    (
      lambda a: frechet_finite.at_infinity(a, a, sizes=(5, 50)),
      'two or more different',
    ),
    (lambda a: frechet_finite.floor(a, 8), 'disjoint'),
    (lambda a: frechet_finite.estimate(a[:3], a), '4 or more'),
  ],
)
def test_too_few_rows_are_an_error(act, words):
  with pytest.raises(ValueError, match=words):
    act(np.random.default_rng(0).normal(size=(9, 3)))

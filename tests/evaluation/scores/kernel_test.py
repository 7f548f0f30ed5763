"""Tests of scores/kernel.py: closed forms, bias and uncertainty."""

import numpy as np
import pytest

from vgen_jax.evaluation.scores import kernel


def biased(a, b):
  """Returns the biased distance, which compares rows with themselves too."""
  k = lambda x, y: ((x @ y.T / x.shape[1] + 1) ** 3).mean()
  return k(a, a) + k(b, b) - 2 * k(a, b)


def test_mmd_is_the_double_sum_over_pairs():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=(5, 3)), rng.normal(size=(7, 3))
  k = lambda x, y: (np.dot(x, y) / 3 + 1) ** 3
  among = lambda x: np.mean(
    [k(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j]
  )
  wanted = among(a) + among(b) - 2 * np.mean([k(p, q) for p in a for q in b])
  assert kernel.mmd(a, b) == pytest.approx(wanted, 1e-12)


def test_mmd_is_unbiased_for_each_size():
  rng = np.random.default_rng(0)
  for n in (10, 60):
    pairs = rng.normal(size=(200, 2, n, 4))
    values = [kernel.mmd(a, b) for a, b in pairs]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3.3 * error
    assert np.mean([biased(a, b) for a, b in pairs]) > 3.3 * error


def test_a_shift_has_a_closed_form():
  # In one dimension with a = 0 and b = c: (0 + 1)^3 + (c^2 + 1)^3 - 2.
  a, b = np.zeros((4, 1)), np.full((5, 1), 2.0)
  assert kernel.mmd(a, b) == pytest.approx(1 + 5**3 - 2)


def test_the_error_of_blocks_equals_that_of_repetitions():
  rng = np.random.default_rng(0)
  draw = lambda: (rng.normal(size=(128, 8)), 0.5 + rng.normal(size=(128, 8)))
  repeats = np.std([kernel.mmd(*draw()) for _ in range(100)])
  errors = [kernel.block_error(*draw()) for _ in range(10)]
  assert 0.75 < np.sqrt(np.mean(np.square(errors))) / repeats < 1.33
  a, b = draw()
  found = kernel.distance(a, b, num_subsets=40, subset_size=64)
  assert found.value == pytest.approx(kernel.mmd(a, b), abs=repeats)
  assert found.deviation > repeats
  with pytest.raises(ValueError, match='smaller subsets'):
    kernel.distance(a, b)


def test_the_inception_score_of_equal_classes_is_their_number():
  eye = np.eye(6)[np.arange(60) % 6]
  assert kernel.inception_score(eye, num_splits=1).value == pytest.approx(6)
  same = np.tile([[0.2, 0.5, 0.3]], (60, 1))
  assert kernel.inception_score(same).value == pytest.approx(1)
  soft = 0.5 * eye + 0.5 / 6
  p, q = 0.5 + 0.5 / 6, 0.5 / 6
  wanted = 6 * np.exp(p * np.log(p) + 5 * q * np.log(q))
  found = kernel.inception_score(soft, num_splits=1)
  assert found.value == pytest.approx(wanted)


def test_splits_are_shuffled_and_biased_low():
  eye = np.eye(6)[np.repeat(np.arange(6), 20)]
  in_order = kernel.inception_score(eye, num_splits=6, seed=None)
  assert in_order.value == pytest.approx(1)
  shuffled = kernel.inception_score(eye, num_splits=6)
  assert 5 < shuffled.value < 6
  with pytest.raises(ValueError, match='softmax'):
    kernel.inception_score(4 * eye)

"""Tests of tests/arrays.py."""

import jax
import numpy as np

from tests import arrays


def test_numbers_are_of_their_range_and_seed():
  x = arrays.uniform((1000,), low=-3.0)
  assert -3 <= x.min() < -2.9
  assert 0.9 < x.max() < 1
  assert x.dtype == arrays.normal((2,)).dtype == np.float32
  codes = arrays.integers((1000,), 3)
  assert sorted(set(codes.tolist())) == [0, 1, 2]
  assert codes.dtype == np.int32
  np.testing.assert_array_equal(codes, arrays.integers((1000,), 3))
  assert (codes != arrays.integers((1000,), 3, seed=1)).any()


def test_changes_are_made_in_copies():
  x = np.ones((2, 3))
  rows = {
    'put': arrays.put(x, np.s_[:, 1], 5)[0].tolist(),
    'add': arrays.add(x, np.s_[:, 1], 5)[0].tolist(),
    'multiply': arrays.multiply(x, np.s_[:, 1], 5)[0].tolist(),
  }
  assert rows == {'put': [1, 5, 1], 'add': [1, 6, 1], 'multiply': [1, 5, 1]}
  np.testing.assert_array_equal(x, np.ones((2, 3)))


def test_keys_are_keys_of_jax_that_differ():
  key_b = arrays.keys(4)
  assert key_b.dtype == jax.random.key(0).dtype
  data = np.asarray(jax.random.key_data(key_b))
  assert len(np.unique(data, axis=0)) == 4
  other = np.asarray(jax.random.key_data(arrays.keys(4, seed=1)))
  assert (data != other).any(1).all()
  some = arrays.take_keys(key_b, np.array([3, 1]))
  np.testing.assert_array_equal(jax.random.key_data(some), data[[3, 1]])

"""Tests of digests: their values are stored in files and must not change."""

import os

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from vgen_jax.core import digests

GRID = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_the_digest_of_a_text_does_not_change():
  wanted = 'ba7816bf8f01cfea414140de5dae2223'
  assert digests.text('abc') == wanted[:16]
  assert digests.text('abc', 12) == wanted[:12]


def test_the_digest_of_a_tree_does_not_change():
  variables = {'x': {'a': GRID, 'b': np.int32(4), 'c': np.arange(6)[::2]}}
  assert digests.tree(variables) == '5870d3f5d7d8dca4'
  assert digests.tree({'w': np.ones((2, 3), np.float32)}) == '9345cebeaa0093e8'


def test_names_types_shapes_and_values_of_a_batch_count():
  zeros = np.zeros((2, 2), np.int32)
  same = digests.tree({'b': zeros, 'a': zeros})
  assert digests.tree({'a': zeros, 'b': jnp.asarray(zeros)}) == same
  others = [
    {'a': zeros},
    {'a': zeros, 'c': zeros},
    {'a': zeros, 'b': zeros.astype(np.float32)},
    {'a': zeros, 'b': zeros.ravel()},
    {'a': zeros, 'b': np.eye(2, dtype=np.int32)},
  ]
  assert len({same, *map(digests.tree, others)}) == 6


@pytest.mark.parametrize(
  ('name', 'array'),
  [
    ('b', GRID),
    ('a', GRID + 1),
    ('a', GRID.reshape(3, 2)),
    ('a', GRID.T),
    ('a', GRID.astype(ml_dtypes.bfloat16)),
    ('a', GRID.view(np.int32)),
    ('a', np.float32(0)),
  ],
)
def test_name_values_shape_and_dtype_count(name, array):
  assert digests.tree({name: array}) != digests.tree({'a': GRID})


def test_the_fraction_of_a_name_does_not_change():
  # The first 8 bytes of the SHA-256 of 'abc', by 2 ** 64.
  assert digests.fraction('abc') == 0xBA7816BF8F01CFEA / 2**64
  assert 0 <= digests.fraction(os.fsdecode(b'\xff')) < 1

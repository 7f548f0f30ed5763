"""Tests of families/autoencoding/warmup.py."""

import numpy as np
import pytest

from vgen_jax.families.autoencoding import warmup


@pytest.mark.parametrize(
  ('start', 'num_steps', 'expected'),
  [
    (0, 0, [4, 4, 4, 4, 4]),
    (0, 4, [0, 1, 2, 3, 4]),
    (2, 2, [0, 0, 0, 2, 4]),
    (2, 0, [0, 0, 4, 4, 4]),
  ],
)
def test_the_weight_rises_linearly_after_the_start(start, num_steps, expected):
  found = [
    warmup.weight(
      4.0, {'step': np.array([i, i])}, start=start, num_steps=num_steps
    )
    for i in range(5)
  ]
  np.testing.assert_allclose(found, expected)
  assert warmup.weight(4.0, {}, start=start, num_steps=num_steps) == 4

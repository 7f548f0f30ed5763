"""Tests of families/autoencoding/warmup.py."""

import numpy as np
import pytest

from vgen_jax.families.autoencoding import warmup


def test_the_weight_changes_from_its_initial_value():
  weight = lambda step, **kwargs: warmup.weight(
    4.0, {'step': np.array([step])}, initial=6.0, start=2, **kwargs
  )
  found = [weight(i, num_steps=2) for i in range(6)]
  np.testing.assert_allclose(found, [6, 6, 6, 5, 4, 4])
  np.testing.assert_allclose([weight(i) for i in range(4)], [6, 6, 4, 4])
  assert warmup.weight(4.0, {}, initial=6.0, start=2) == 4


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

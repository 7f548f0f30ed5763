"""Tests of tests/sharded_steps.py."""

import numpy as np
import pytest

from tests import sharded_steps


def difference(x, y, path='grads/net') -> float:
  one, other = (
    sharded_steps.Result({'net': np.array(a)}, {}, {'loss': np.float32(2)})
    for a in (x, y)
  )
  return sharded_steps.differences(one, other)[path]


def test_differences_are_relative_to_the_norm():
  assert difference([3.0, 4.0], [3.0, 4.5]) == pytest.approx(0.1)
  assert difference([3.0, 4.0], [3.0, 4.5], 'metrics/loss') == 0


@pytest.mark.parametrize('special', [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite(special):
  assert difference([special, 4.0], [special, 5.0]) == pytest.approx(0.25)
  assert difference([special, 4.0], [1.0, 4.0]) == np.inf
  assert difference([1.0, 4.0], [special, 4.0]) == np.inf
  assert difference([special, 4.0], [4.0, special]) == np.inf
  other = np.inf if special != np.inf else np.nan
  assert difference([special, 4.0], [other, 4.0]) == np.inf


def test_arrays_without_gradient_are_compared_with_the_others():
  one, other = (
    sharded_steps.Result({'net': {'a': np.array(a), 'b': np.ones(4)}}, {}, {})
    for a in (1e-9, 2e-9)
  )
  found = sharded_steps.differences(one, other)
  assert found["grads/net['a']"] == pytest.approx(5e-8)


def test_counts_of_updates_are_no_gradients():
  def result(bias, count):
    gradients = {'bias': np.float32(bias), 'kernel': np.ones(4, np.float32)}
    opt = {'count': np.int32(count), 'trace': gradients}
    return sharded_steps.Result({'net': opt}, {}, {})

  found = sharded_steps.differences(result(0.0, 1000), result(1e-3, 1001))
  assert found["grads/net['trace']['bias']"] == pytest.approx(0.05)
  assert found["grads/net['count']"] == pytest.approx(1e-3)

"""Tests of finite.py."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from tests import finite

NAN = {'a': jnp.zeros(2), 'b': [jnp.array([1.0, jnp.nan])]}
BAD = (np.array([np.nan]), jnp.array([jnp.inf]), np.float32('nan'))


def test_comparisons_pass_on_nan_unless_they_are_checked(monkeypatch):
  compare = (
    np.testing.assert_allclose,
    np.testing.assert_array_equal,
    chex.assert_trees_all_close,
    chex.assert_trees_all_equal,
  )
  for function in compare:
    function(BAD[0], BAD[0])
  finite.check_comparisons(monkeypatch)
  for name in ('assert_allclose', 'assert_array_equal'):
    function = getattr(np.testing, name)
    for bad in BAD:
      with pytest.raises(AssertionError, match='not finite'):
        function(bad, bad)
    function(np.ones(2), np.ones(2))
    function([1, 2], jnp.array([1, 2]))
    with pytest.raises(AssertionError, match='Mismatch'):
      function(np.ones(2), np.zeros(2))
  np.testing.assert_array_equal(np.array(['a']), np.array(['a']))
  for function in compare[2:]:
    function({'a': np.ones(2)}, {'a': np.ones(2)})
    with pytest.raises(AssertionError, match='not finite'):
      function(NAN, NAN)


def test_the_place_of_a_number_is_named():
  finite.assert_finite({'a': jnp.zeros(2), 'b': ['text', 3, True, None]})
  with pytest.raises(AssertionError, match=r"1 of 2 .*\['b'\]\[0\]"):
    finite.assert_finite(NAN)

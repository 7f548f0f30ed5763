"""Tests of evaluation/metrics/curves.py."""

import math

import pytest

from vgen_jax.evaluation.metrics import curves


def test_a_curve_has_a_number_for_each_x():
  with pytest.raises(ValueError, match="'a' has 1 numbers; x has 2"):
    curves.Curve('x', 'y', [0, 1], {'a': [1]})
  with pytest.raises(ValueError, match='limit of its band'):
    curves.Curve('x', 'y', [0, 1], {'a': [1, 2]}, {'a': ([0, 1], [2])})
  with pytest.raises(ValueError, match="A band of 'b' has no series"):
    curves.Curve('x', 'y', [0], {'a': [1]}, {'b': ([0], [2])})


def test_x_of_a_curve_is_finite():
  with pytest.raises(ValueError, match='x of a curve'):
    curves.Curve('x', 'y', [0, math.nan], {'a': [1, 2]})

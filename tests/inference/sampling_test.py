"""Tests of inference/sampling.py; runs_test.py tests generated clips."""

import pytest

from vgen_jax.core import types
from vgen_jax.inference import sampling


def test_classes_without_names_are_given_by_their_numbers():
  schema = types.Schema((2, 8, 8, 3), num_classes=12)
  for label in (0, 3, 11):
    assert sampling.class_id(schema, str(label)) == label
  for wrong in ('12', '-1', 'left', '', '1.0'):
    with pytest.raises(ValueError, match=f"There is no class '{wrong}'"):
      sampling.class_id(schema, wrong)
  named = types.Schema((2, 8, 8, 3), num_classes=3, class_names=('1', 'b', '0'))
  assert [sampling.class_id(named, x) for x in ('1', 'b', '0', '2')] == [
    0, 1, 2, 2
  ]  # fmt: skip

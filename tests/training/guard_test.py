"""Tests of training/guard.py."""

import types

import pytest

from vgen_jax.config import sections
from vgen_jax.training import guard


def state_with(skipped: int, streak: int) -> types.SimpleNamespace:
  """Returns a stand-in for a state of one player, 'cat'."""
  return types.SimpleNamespace(
    guard={'cat': {'skipped': skipped, 'streak': streak}}
  )


def test_the_policy_raise_suggests_to_skip():
  with pytest.raises(FloatingPointError, match="policy='skip'"):
    guard.check(sections.Guard(), state_with(1, 1), 7, {'cat': 0})


def test_too_many_skips_suggest_a_larger_limit():
  policy = sections.Guard(policy='skip', max_skips=2)
  guard.check(policy, state_with(2, 2), 7, {'cat': 0})
  with pytest.raises(
    FloatingPointError, match='max_skips, which is 2: 3 updates'
  ) as caught:
    guard.check(policy, state_with(3, 3), 8, {'cat': 0})
  assert 'policy' not in str(caught.value)

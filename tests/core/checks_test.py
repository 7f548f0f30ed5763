"""Each check accepts allowed values and raises an error for others."""

import math

import pytest

from vgen_jax.core import checks


def test_one_of_accepts_allowed_values():
  checks.one_of('split', 'train', ('train', 'valid'))
  checks.one_of('dtype', None, [None, 'float32'])


def test_one_of_lists_allowed_values_and_suggests_the_closest():
  with pytest.raises(ValueError, match="split is 'Vald'") as error:
    checks.one_of('split', 'Vald', ('train', 'valid'))
  assert str(error.value) == (
    "split is 'Vald'; it must be one of 'train', 'valid'. Did you mean 'valid'?"
  )


def test_one_of_suggests_nothing_if_no_value_is_close():
  with pytest.raises(ValueError, match=r"one of 'train', 'valid'\.$"):
    checks.one_of('split', 'zzz', ('train', 'valid'))
  with pytest.raises(ValueError, match=r'groups is 3; it must be one of 1, 2'):
    checks.one_of('groups', 3, (1, 2))


def test_clip_index_states_the_allowed_indices():
  checks.clip_index(0, 3)
  checks.clip_index(2, 3)
  for index in (-1, 3):
    with pytest.raises(IndexError) as error:
      checks.clip_index(index, 3)
    assert str(error.value) == (
      f'Clip {index} does not exist; indices are from 0 to 2.'
    )


def test_known_key_accepts_allowed_keys():
  checks.known_key('config.ema', 'decay', {'decay': 1, 'warmup': 2})


def test_known_key_names_the_owner_and_the_allowed_keys():
  with pytest.raises(ValueError, match='unknown key') as error:
    checks.known_key('config.ema', 'decya', ['decay', 'warmup'])
  assert str(error.value) == (
    "config.ema: unknown key 'decya'. Did you mean 'decay'? Allowed keys:"
    ' decay, warmup.'
  )
  with pytest.raises(ValueError, match=r"'x'\. Allowed keys: none\."):
    checks.known_key('config.ema', 'x', [])


def test_at_least_refuses_smaller_numbers_and_nan():
  checks.at_least('num_steps', 1, 1)
  with pytest.raises(ValueError, match=r'num_steps is 0; it must be at least'):
    checks.at_least('num_steps', 0, 1)
  with pytest.raises(ValueError, match='nan'):
    checks.at_least('rate', math.nan, 0.0)


def test_in_range_includes_both_ends_and_refuses_nan():
  checks.in_range('limit', 0, 0, 1)
  checks.in_range('limit', 1, 0, 1)
  for value in (-0.1, 1.1, math.nan):
    with pytest.raises(ValueError, match=r'limit is .* from 0 to 1\.'):
      checks.in_range('limit', value, 0, 1)


def test_rates_are_below_1():
  checks.rate('dropout', 0)
  checks.rate('dropout', 0.999)
  for value in (-0.1, 1, math.nan):
    with pytest.raises(ValueError, match=r'dropout is .* and less than 1\.$'):
      checks.rate('dropout', value)


def test_positive_numbers_are_finite():
  checks.positive('ratio', 1e-9)
  for value in (0, -1, math.inf, math.nan):
    with pytest.raises(ValueError, match=r'ratio is .* positive and finite\.$'):
      checks.positive('ratio', value)


def test_lists_that_must_have_an_entry():
  checks.not_empty('widths', (0,))
  with pytest.raises(ValueError, match=r'widths is \(\); .* one entry or more'):
    checks.not_empty('widths', ())


def test_distinct_names_the_first_repeated_value():
  checks.distinct('label', ())
  checks.distinct('label', ('color', 'size'))
  with pytest.raises(ValueError, match=r"has 'size' several times; name it"):
    checks.distinct('label', ('color', 'size', 'size', 'color'))


def test_multiple_of_names_the_factor():
  checks.multiple_of('width', 12, 4, 'num_heads')
  with pytest.raises(ValueError, match=r'width is 10; .*of num_heads, 4\.$'):
    checks.multiple_of('width', 10, 4, 'num_heads')
  with pytest.raises(ValueError, match=r'multiple of 4\.$'):
    checks.multiple_of('width', 10, 4)


def test_multiples_of_checks_every_number():
  checks.multiples_of('frame', (4, 6), (2, 3))
  for values in ((3, 6), (4, 7)):
    with pytest.raises(ValueError, match=r'each number .* patch_size, 2 x 3\.'):
      checks.multiples_of('frame', values, (2, 3), 'patch_size')
  with pytest.raises(ValueError, match='frame is 3 x 6'):
    checks.multiples_of('frame', (3, 6), (2, 3))


def test_hint_suggests_one_name_or_lists_all():
  assert checks.hint('Dit', ['dit', 'gan']) == " Did you mean 'dit'?"
  assert checks.hint('zz', ['dit', 'gan']) == ' Choose from dit, gan.'
  assert checks.hint('zz', []) == ' There is none.'

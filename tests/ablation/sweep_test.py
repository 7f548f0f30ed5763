"""Tests of ablation/sweep.py."""

import pytest

from vgen_jax.ablation import sweep

_AB = sweep.param('model.x', 'a', 'b')
_01 = sweep.param('seed', 0, 1)


def test_product_zipped_and_chain():
  assert sweep.product(_AB, _01) == [
    {'model.x': 'a', 'seed': 0},
    {'model.x': 'a', 'seed': 1},
    {'model.x': 'b', 'seed': 0},
    {'model.x': 'b', 'seed': 1},
  ]
  assert sweep.zipped(_AB, _01) == [
    {'model.x': 'a', 'seed': 0},
    {'model.x': 'b', 'seed': 1},
  ]
  assert sweep.chain(_AB, _01) == [*_AB, *_01]


def test_the_arm_of_an_entry_has_the_values_of_its_rows():
  entry = {'model.x': 'a', 'seed': 1}
  assert sweep.arm(entry, 'model.x') == ('a',)
  assert sweep.arm(entry, ('seed', 'model.y')) == ('1', 'base')


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda: sweep.param('seed'), 'has no values'),
    (lambda: sweep.param('seed', 1, 2, 1), 'has 1 twice'),
    (lambda: sweep.product(_01, _AB, _01), r"Two sweeps set \['seed'\]"),
    (lambda: sweep.zipped(_AB, _01[:1]), r'lengths \[2, 1\]'),
    (lambda: sweep.chain(_AB, _AB[1:]), "'model.x': 'b'} twice"),
  ],
)
def test_duplicates_and_unequal_lengths_are_reported(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_a_row_may_lead_into_a_value():
  entry = {'optim': {'name': 'sgd', 'schedule': {'peak': 1}}, 'seed': 0}
  rows = ('optim.name', 'optim.schedule.peak', 'optim.schedule.end', 'data.x')
  assert sweep.arm(entry, rows) == ('sgd', '1', 'base', 'base')

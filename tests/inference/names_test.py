"""Tests that different clips have different names."""

import pytest

from vgen_jax.inference import names

BASE = {'step': 4, 'seed': 0, 'num_clips': 16, 'label': None, 'changed': {}}


@pytest.mark.parametrize(
  'changes',
  [
    {'step': 5},
    {'seed': 1},
    {'num_clips': 4},
    {'label': 'left'},
    {'label': 'real'},
    {'changed': {'model.guidance': 2.0}},
    {'changed': {'model.guidance': 4.0}},
    {'changed': {'sample_from': 'params'}},
  ],
)
def test_every_setting_changes_the_name(changes):
  one, two = names.of_samples(**BASE), names.of_samples(**(BASE | changes))
  assert one != two
  assert not two.endswith('_real')  # The suffix of files of real clips.
  assert names.of_samples(**(BASE | changes)) == two


def test_labels_are_distinct_and_are_no_paths():
  labels = ['a b', 'a-b', 'a/b', '../a', 'a  b', 'A-b', 'é']
  found = [names.of_samples(4, 0, 1, label) for label in labels]
  assert len(set(found)) == len(labels)
  assert not any('/' in name or ' ' in name for name in found)

"""Tests of training/schedules.py at steps with values known in closed form."""

import numpy as np
import pytest

from vgen_jax.training import schedules


def _values(num_steps: int, **spec) -> np.ndarray:
  schedule = schedules.make(spec, num_steps)
  return np.array([schedule(step) for step in range(num_steps + 1)])


def test_warmup_rises_linearly_and_does_not_start_at_zero():
  for name in ('constant', 'linear', 'warmup_cosine', 'wsd'):
    values = _values(40, name=name, peak=1.0, warmup_steps=4)
    np.testing.assert_allclose(values[:5], [0.2, 0.4, 0.6, 0.8, 1], rtol=1e-6)


def test_constant_is_constant():
  assert set(_values(9, name='constant', peak=0.5)) == {0.5}


def test_linear_and_cosine_decay_to_their_end():
  spec = dict(peak=2.0, warmup_steps=2, end=0.4)
  line = _values(12, name='linear', **spec)
  np.testing.assert_allclose(line[[2, 7, 12]], [2, 1.2, 0.4], rtol=1e-6)
  wave = _values(12, name='warmup_cosine', **spec)
  np.testing.assert_allclose(wave[[2, 7, 12]], [2, 1.2, 0.4], rtol=1e-6)
  # The cosine decays more slowly at first and at the end.
  assert wave[3] > line[3]
  assert wave[11] < line[11]


def test_wsd_is_constant_and_then_decays():
  values = _values(100, name='wsd', peak=1.0, warmup_steps=10)
  np.testing.assert_array_equal(values[10:91], 1)
  np.testing.assert_allclose(values[90:], np.linspace(1, 0, 11), atol=1e-6)
  # The constant phase does not depend on the length of the run.
  longer = _values(200, name='wsd', peak=1.0, warmup_steps=10)
  np.testing.assert_array_equal(longer[:91], values[:91])


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ({'name': 'warmup_cosin', 'peak': 1.0}, "mean 'warmup_cosine'"),
    ({'peak': 1.0}, 'schedule.name is None; it must be one of'),
    ({'name': 'linear', 'peak': 1.0, 'warm_steps': 1}, "mean 'warmup_steps'"),
    (
      {'name': 'linear', 'peak': 1.0, 'num_steps': 1},
      "unknown key 'num_steps'",
    ),
    ({'name': 'linear'}, "requires 'peak'"),
    ({'name': 'constant', 'peak': -1.0}, 'above 0'),
    ({'name': 'linear', 'peak': 1.0, 'warmup_steps': 10}, 'num_steps - 1, 9'),
    ({'name': 'wsd', 'peak': 1.0, 'decay_fraction': 1.5}, 'at most 1'),
    (
      {'name': 'wsd', 'peak': 1.0, 'warmup_steps': 6, 'decay_fraction': 0.5},
      'shorten one of them',
    ),
  ],
)
def test_wrong_specs_are_reported(spec, message):
  with pytest.raises(ValueError, match=message):
    schedules.make(spec, 10)

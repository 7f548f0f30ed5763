"""Schedules, at the steps where one can tell their value by hand."""

import numpy as np
import pytest

from vgen_jax.training import schedules


def _values(num_steps: int, **spec) -> np.ndarray:
  schedule = schedules.make(spec, num_steps)
  return np.array([schedule(step) for step in range(num_steps + 1)])


def test_warmup_rises_in_equal_parts_and_wastes_no_update():
  for name in ('constant', 'linear', 'warmup_cosine', 'wsd'):
    values = _values(40, name=name, peak=1.0, warmup_steps=4)
    np.testing.assert_allclose(values[:5], [0.2, 0.4, 0.6, 0.8, 1], rtol=1e-6)


def test_constant_stays():
  assert set(_values(9, name='constant', peak=0.5)) == {0.5}


def test_linear_and_cosine_fall_to_their_end():
  line = _values(12, name='linear', peak=1.0, warmup_steps=2, end=0.2)
  np.testing.assert_allclose(line[[2, 7, 12]], [1, 0.6, 0.2], rtol=1e-6)
  wave = _values(12, name='warmup_cosine', peak=1.0, warmup_steps=2, end=0.2)
  np.testing.assert_allclose(wave[[2, 7, 12]], [1, 0.6, 0.2], rtol=1e-6)
  # Slower than the line at first, faster in between.
  assert wave[3] > line[3]
  assert wave[11] < line[11]


def test_wsd_is_stable_and_then_falls():
  values = _values(100, name='wsd', peak=1.0, warmup_steps=10)
  np.testing.assert_array_equal(values[10:91], 1)
  np.testing.assert_allclose(values[90:], np.linspace(1, 0, 11), atol=1e-6)
  # The stable stretch does not know how long the run is.
  longer = _values(200, name='wsd', peak=1.0, warmup_steps=10)
  np.testing.assert_array_equal(longer[:91], values[:91])


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ({'name': 'warmup_cosin', 'peak': 1.0}, "mean 'warmup_cosine'"),
    ({'peak': 1.0}, 'None, which is no schedule'),
    ({'name': 'linear', 'peak': 1.0, 'warm_steps': 1}, "mean 'warmup_steps'"),
    ({'name': 'linear', 'peak': 1.0, 'num_steps': 1}, "no 'num_steps'"),
    ({'name': 'linear'}, "needs 'peak'"),
    ({'name': 'constant', 'peak': -1.0}, 'above 0'),
    ({'name': 'linear', 'peak': 1.0, 'warmup_steps': 10}, 'num_steps - 1, 9'),
    ({'name': 'wsd', 'peak': 1.0, 'decay_fraction': 1.5}, 'at most 1'),
    (
      {'name': 'wsd', 'peak': 1.0, 'warmup_steps': 6, 'decay_fraction': 0.5},
      'shorten one',
    ),
  ],
)
def test_what_does_not_fit_is_told(spec, message):
  with pytest.raises(ValueError, match=message):
    schedules.make(spec, 10)

"""Tests of long_prediction.py and long_criteria.py."""

import types

import jax
import numpy as np
import pytest

from experiments.zoo.prediction import long_criteria
from experiments.zoo.prediction import long_prediction as experiment
from tests import compiled
from tests.families.prediction import stochastic_test
from vgen_jax.synthetic.two_futures import source

WORLD = source.TwoFutures((8, 16, 16, 3), 'validation')
INDEX = np.arange(12)

# Criteria that each cheat must fail, if it is made from ideal clips.
EXPECTED = {
  'last known frame': 'speed',
  'frozen after 8 frames': 'stalls',
  'back and forth': 'leaves',
  'fading': 'fades',
  'colours exchanged gradually': 'colour',
  'second object': 'excess',
  'brighter': 'background',
}


@pytest.fixture(scope='module')
def ideal() -> np.ndarray:
  return experiment.constant(WORLD, INDEX, 43)


def failed(video_bthwc: np.ndarray) -> list[str]:
  return long_criteria.failures(long_criteria.numbers(WORLD, video_bthwc))


def test_constant_motion_begins_like_the_dataset_and_leaves(ideal):
  real = np.stack([WORLD[int(i)]['video'] for i in INDEX])
  np.testing.assert_array_equal(ideal[:, :8], real)
  found = long_criteria.numbers(WORLD, ideal)
  assert failed(ideal) == []
  assert found['clips']['leaves'] == 1
  assert found['clips']['speed'] == pytest.approx(1, abs=0.02)
  assert found['9-32']['present'] == 0 < found['1-8']['present']
  assert np.isnan(found['33-100']['hue'])


def test_each_cheat_fails_what_it_violates(ideal):
  cheats = long_criteria.cheats(WORLD, ideal)
  assert cheats.keys() == EXPECTED.keys()
  for name, video in cheats.items():
    assert EXPECTED[name] in failed(video), name
    np.testing.assert_array_equal(video[:, :3], ideal[:, :3])


def test_objects_that_never_leave_fail_only_for_that(ideal):
  cheats = long_criteria.cheats(WORLD, ideal)
  assert failed(cheats['back and forth']) == ['leaves']


def test_objects_that_return_are_slow_or_pale_fail(ideal):
  returning = ideal.copy()
  returning[:, 30:] = ideal[:, 5:6]
  assert {'returns', 'stalls'} <= set(failed(returning))
  slow = ideal.copy()
  slow[:, 3:] = ideal[:, np.arange(3, 43) // 2 + 1]
  assert 'speed' in failed(slow)
  median = np.median(ideal, axis=(1, 2, 3, 4), keepdims=True)
  pale = ideal.copy()
  pale[:, 3:] = (median + 0.7 * (ideal - median))[:, 3:]
  assert 'contrast' in failed(pale)
  blank = ideal.copy()
  blank[:, 3:] = ideal[:, 40:41]
  assert 'object' in failed(blank)


def test_predictions_do_not_depend_on_later_frames():
  net = stochastic_test.model()
  video = np.asarray(stochastic_test.clips())
  rngs = {'params': jax.random.key(0), 'noise': jax.random.key(1)}
  variables = compiled.init(net, rngs, {'video': video})
  run = types.SimpleNamespace(
    model=net,
    state=types.SimpleNamespace(variables=lambda _: variables),
    config=types.SimpleNamespace(sample_from='params'),
  )
  clips = np.uint8(127.5 * (video + 1))
  other = clips.copy()
  other[:, net.num_context :] = 0
  one, two = (experiment.predict(run, x) for x in (clips, other))
  np.testing.assert_array_equal(one, two)
  known = clips[:, : net.num_context]
  np.testing.assert_array_equal(one[:, : net.num_context], known)

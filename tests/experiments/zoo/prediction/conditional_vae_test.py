"""Tests of conditional_vae.py."""

import functools
import types

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.zoo.prediction import conditional_vae as experiment
from tests.families.prediction import conditional_test
from vgen_jax.synthetic.world import source

WORLD = source.World(
  (8, 16, 16, 3),
  'train',
  label=('color', 'direction'),
  only=dict(
    shape='circle',
    size='large',
    speed='slowly',
    direction=('right', 'down', 'left', 'up'),
  ),
  meets_walls=False,
)
LABEL = np.arange(72) % 24
FAILS = {
  'one clip of each label': 'spread',
  'mean clip of each label': 'spread',
  'clips of other attributes': 'colour',
  'first frame repeated': 'direction',
  'channels exchanged': 'colour',
  'reversed in time': 'direction',
}


@pytest.fixture(scope='module')
def real() -> np.ndarray:
  return experiment.real(WORLD, LABEL)


def failed(video_bthwc, real) -> list[str]:
  width = experiment.spread(real, LABEL)
  return experiment.failures(
    experiment.numbers(WORLD, video_bthwc, LABEL, width)
  )


def test_real_clips_have_their_labels_and_pass(real):
  labels = {WORLD[i]['video'].tobytes(): WORLD[i]['label'] for i in range(400)}
  assert [labels[clip.tobytes()] for clip in real[:24]] == LABEL[:24].tolist()
  assert len({clip.tobytes() for clip in real}) == len(real)
  assert failed(real, real) == []


def test_each_cheat_fails_what_it_violates(real):
  cheats = experiment.cheats(real, LABEL)
  assert cheats.keys() == FAILS.keys()
  for name, video in cheats.items():
    assert FAILS[name] in failed(video, real), name


def test_runs_and_numbers_of_clips_that_cannot_be_measured():
  run = lambda *keys: types.SimpleNamespace(
    workdir='runs/x',
    model=types.SimpleNamespace(condition_keys=keys),
    schema=types.SimpleNamespace(class_names=('a', 'b', 'c')),
  )
  experiment.check(run('label'), 6)
  with pytest.raises(ValueError, match='is 5; it must be at least 6'):
    experiment.check(run('label'), 5)
  with pytest.raises(ValueError, match='needs a label only'):
    experiment.check(run('label', 'known_video', 'known'), 6)


def test_latents_of_decoded_clips():
  net = conditional_test.model()
  label, noise = jnp.array([0, 0, 2]), jnp.float32([[1, 0], [0, 1], [0, 0]])
  of = lambda latents: np.asarray(
    net.apply(
      conditional_test.VARIABLES,
      label,
      noise,
      method=functools.partial(experiment.decoded, latents=latents),
    )
  ).reshape(3, -1)
  mean = (
    conditional_test.MEANS[label] @ conditional_test.WEIGHTS.T
    + conditional_test.CENTRES[label]
  )
  np.testing.assert_allclose(of('mean'), mean, atol=1e-5)
  extra = conditional_test.DEVIATION * noise @ conditional_test.WEIGHTS.T
  np.testing.assert_allclose(of('prior') - mean, extra, atol=1e-5)
  standard = (
    noise @ conditional_test.WEIGHTS.T + conditional_test.CENTRES[label]
  )
  np.testing.assert_allclose(of('standard'), standard, atol=1e-5)

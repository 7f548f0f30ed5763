"""Tests of mirror_phases.py, on real clips."""

import numpy as np
import pytest

from experiments.zoo.adversarial import mirror_phases
from vgen_jax.synthetic.mirror import source


@pytest.fixture(scope='module')
def clips() -> tuple[np.ndarray, np.ndarray]:
  """Returns clips of the dataset, and their labels."""
  dataset = source.Mirror((8, 16, 16, 3))
  examples = [dataset[i] for i in range(64)]
  video, label = (
    np.stack([x[key] for x in examples]) for key in ('video', 'label')
  )
  return video, label


def test_real_clips_pass_and_cheats_do_not(clips):
  video, label = clips
  found = mirror_phases.numbers(video, label)
  assert found.correlation < -0.95
  assert found.measured > 0.9
  assert found.accuracy == 1
  assert mirror_phases.passes(found)
  made = mirror_phases.cheats(video, label)
  assert len(made) == 6
  for name, cheat in made.items():
    found = mirror_phases.numbers(cheat, label)
    assert not mirror_phases.passes(found), name
  assert mirror_phases.numbers(made['one disc copied'], label).correlation > 0.9
  assert mirror_phases.numbers(made['still'], label).measured == 0
  # Discs still move in opposite directions, so other limits reject these clips.
  for name in made.keys() - {
    'one disc copied', 'discs of different clips', 'still',
  }:  # fmt: skip
    assert mirror_phases.numbers(made[name], label).correlation < -0.95


def test_wrong_classes_and_missing_discs_are_noticed(clips):
  video, label = clips
  assert mirror_phases.numbers(video, 1 - label).accuracy == 0
  # Half of the clips show nothing.
  hidden = video.copy()
  hidden[::2] = 128
  found = mirror_phases.numbers(hidden, label)
  assert found.measured <= 0.5


def test_clips_of_floats_give_the_same_numbers(clips):
  video, label = clips
  floats = video.astype(np.float32) / 127.5 - 1
  assert mirror_phases.numbers(floats, label) == pytest.approx(
    mirror_phases.numbers(video, label), abs=1e-3
  )

"""Tests of experiments/zoo/face_animation.py, on real clips."""

import numpy as np
import pytest

from experiments.zoo import face_animation
from vgen_jax.synthetic.face import source


@pytest.fixture(scope='module')
def arm() -> face_animation.Arm:
  """Returns clips of the dataset, with the best masks."""
  dataset = source.Face((8, 16, 16, 3))
  clips = [dataset[i] for i in range(32)]
  moving = np.stack([dataset.truth(i).moving_hw for i in range(32)])
  return face_animation.Arm(
    np.stack([x['video'] for x in clips]),
    np.repeat(moving[:, None], 8, axis=1).astype(np.float32),
    np.stack([x['audio'][:, 0] for x in clips]),
    moving,
  )


def test_real_clips_pass_and_cheats_do_not(arm):
  correlation, iou, mean = found = face_animation.numbers(arm)
  assert correlation > 0.97
  assert iou == 1
  assert 0.02 < mean < 0.2
  assert face_animation.passes(*found)
  cheats = face_animation.cheats(arm)
  assert len(cheats) == 4
  for name, cheat in cheats.items():
    assert not face_animation.passes(*face_animation.numbers(cheat)), name
  other, _, _ = face_animation.numbers(cheats['other sound'])
  assert abs(other) < 0.3
  # A sound that is one frame late is noticed, too.
  late = arm._replace(loudness_bt=np.roll(arm.loudness_bt, 1, axis=1))
  assert not face_animation.passes(*face_animation.numbers(late))

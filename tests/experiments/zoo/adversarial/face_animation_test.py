"""Tests of face_animation.py, on real clips."""

import numpy as np
import pytest

from experiments.zoo.adversarial import face_animation
from vgen_jax.synthetic.face import source

_NUM = 32


@pytest.fixture(scope='module')
def arm() -> face_animation.Arm:
  """Returns clips of the dataset, with the best masks."""
  dataset = source.Face((8, 16, 16, 3))
  clips = [dataset[i] for i in range(_NUM)]
  truths = [dataset.truth(i) for i in range(_NUM)]
  video = np.stack([x['video'] for x in clips])
  moving = np.stack([x.moving_hw for x in truths])
  return face_animation.Arm(
    video,
    np.repeat(moving[:, None], 8, axis=1).astype(np.float32),
    video,
    np.stack([x['audio'][:, 0] for x in clips]),
    moving,
    np.stack([x.mouth_hw for x in truths]),
  )


def test_real_clips_pass(arm):
  found = face_animation.numbers(arm)
  assert found.correlation > 0.97
  assert found.mouth == found.eyes == found.rest == 0
  assert found.iou == 1
  assert 0.02 < found.mean < 0.2
  assert not face_animation.failures(found)


def test_cheats_fail_by_the_numbers_that_they_concern(arm):
  failures = {
    name: face_animation.failures(face_animation.numbers(cheat))
    for name, cheat in face_animation.cheats(arm).items()
  }
  assert failures == {
    'first frame': ['correlation', 'mouth'],
    'one red pixel': ['mouth'],
    'half of the motion': ['mouth'],
    'every sixth clip still': ['correlation', 'mouth'],
    'mouth three pixels lower': ['correlation', 'mouth', 'rest'],
    'other person, same motion': ['rest'],
    'no background': ['rest'],
    'eyes flicker': ['eyes'],
    'mask of ones': ['iou', 'mean'],
    'mask of zeros': ['iou'],
  }


def test_a_mouth_that_is_one_frame_late_fails(arm):
  late = arm._replace(
    video_bthwc=np.concatenate(
      [arm.real_bthwc[:, :1], arm.real_bthwc[:, :-1]], axis=1
    )
  )
  found = face_animation.failures(face_animation.numbers(late))
  assert found == ['correlation', 'mouth']


def test_mouths_of_another_expression_fail(arm, monkeypatch):
  """The mouth opens with the sound, but happy mouths are sad."""
  exchanged = dict(source._MOUTHS, happy=-1.0, sad=1.0)
  monkeypatch.setattr(source, '_MOUTHS', exchanged)
  dataset = source.Face((8, 16, 16, 3))
  other = np.stack([dataset[i]['video'] for i in range(_NUM)])
  expression = np.array([dataset.truth(i).expression for i in range(_NUM)])
  bent = np.isin(expression, ('happy', 'sad'))
  assert bent.sum() >= 8
  part = face_animation.Arm(*(x[bent] for x in arm))
  video = other[bent].copy()
  video[:, 0] = part.real_bthwc[:, 0]
  found = face_animation.numbers(part._replace(video_bthwc=video))
  assert found.correlation > face_animation.LIMITS.correlation
  assert 'mouth' in face_animation.failures(found)

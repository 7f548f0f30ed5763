"""Tests of first_frames.py, on real clips."""

import types

import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np
import pytest

from experiments.zoo.adversarial import first_frames
from vgen_jax.config import build
from vgen_jax.config import loading


@pytest.fixture(scope='module')
def clips() -> first_frames.Clips:
  config = loading.load('vgan_world:small')
  world = build.source(config.data.to_dict(), config.clip_shape)
  return first_frames.first_clips(world, 48)


def test_real_clips_pass_and_cheats_do_not(clips):
  found = first_frames.numbers(clips.video_bthwc, clips)
  assert found.error == found.object_error == 0
  assert found.given == 1
  assert found.right > 0.95
  assert first_frames.passes(found)
  cheats = first_frames.cheats(clips.video_bthwc, clips)
  found = {name: first_frames.numbers(x, clips) for name, x in cheats.items()}
  assert all(x.right < 0.4 for x in found.values()), found
  # Without an object, few pixels are wrong, but all of the object.
  assert found['empty first frame'].error < 0.1
  assert found['empty first frame'].object_error > 0.5
  assert found['frame repeated'].accuracy < 0.05
  assert found['frame before another clip'].given == 1
  # Shifted by a pixel, each first frame is wrong.
  shifted = np.roll(clips.video_bthwc, 1, axis=3)
  assert first_frames.numbers(shifted, clips).right < 0.4


def test_the_network_is_given_first_frames_and_labels(clips):
  seen = {}

  def apply(variables, key_b, condition, *, train):
    seen.update(condition, variables=variables, train=train)
    return jnp.zeros((len(key_b), 8, 16, 16, 3)), {'mask': None}

  variables = {'params': {'generator': 1, 'critic': 2}}
  run = types.SimpleNamespace(
    model=types.SimpleNamespace(generator=types.SimpleNamespace(apply=apply)),
    state=types.SimpleNamespace(variables=lambda average: variables),
    config=config_dict.ConfigDict({'sample_from': 'slow'}),
  )
  video = first_frames.generate(run, clips)
  assert video.shape == clips.video_bthwc.shape
  np.testing.assert_array_equal(seen['known_video'], clips.video_bthwc[:, :1])
  np.testing.assert_array_equal(seen['label'], clips.label_b)
  assert seen['variables'] == {'params': 1}
  assert not seen['train']

"""Tests that VGAN reaches minimum scores on World, and wrong clips do not."""

import numpy as np
import pytest

from experiments.zoo.adversarial import vgan_layers
from tests import learned_clips
from vgen_jax.synthetic.world import verifier as verifier_lib

NUM = 128
LIMITS = {'rough': 0.5, 'class': 0.85, 'colors': 0.6}


def assert_wrong_masks_fail(video_bthwc, mask_bthw):
  for name, mask in vgan_layers.cheats(mask_bthw).items():
    numbers = vgan_layers.numbers(mask, video_bthwc)
    assert not vgan_layers.passes(*numbers), name


def test_real_clips_pass_and_cheats_do_not():
  world, video, label = learned_clips.real_clips('vgan_world', NUM)
  verifier = verifier_lib.Verifier(world)
  assert not learned_clips.failures(LIMITS, verifier, video, label)
  learned_clips.assert_cheats_fail(LIMITS, verifier, video, label)
  mask = np.stack([world.truth(i).alpha_thw for i in range(NUM)])
  assert vgan_layers.passes(*vgan_layers.numbers(mask, video))
  assert_wrong_masks_fail(video, mask)


@pytest.mark.slow
def test_vgan_learns_motion_and_a_mask_of_the_object(tmp_path, optimizes):
  # Fewer steps than in the config, so that the test takes less time.
  run = learned_clips.train('vgan_world', tmp_path, num_steps=3_000)
  label = run.condition(NUM)['label']
  verifier = verifier_lib.Verifier(run.source)
  video, mask = vgan_layers.generate(str(tmp_path), NUM)
  assert not learned_clips.failures(LIMITS, verifier, video, label)
  learned_clips.assert_cheats_fail(LIMITS, verifier, video, label)
  numbers = vgan_layers.numbers(mask, video)
  assert vgan_layers.passes(*numbers), numbers
  assert_wrong_masks_fail(video, mask)

"""Tests that diffusion reaches minimum scores on World, and wrong clips not.

The networks are trained for fewer steps than in their configs, so that the
tests take less time.
"""

import pathlib

import pytest

from tests import learned_clips
from vgen_jax.synthetic.world import verifier as verifier_lib

NUM = 128
PIXELS = {'valid': 0.35, 'class': 0.85, 'colors': 0.7}
LATENTS = {'valid': 0.35, 'class': 0.75, 'colors': 0.7}


def test_real_clips_pass_and_cheats_do_not():
  world, video, label = learned_clips.real_clips('unet3d_world', NUM)
  verifier = verifier_lib.Verifier(world)
  assert not learned_clips.failures(PIXELS, verifier, video, label)
  learned_clips.assert_cheats_fail(PIXELS, verifier, video, label)


@pytest.mark.slow
def test_unet3d_generates_valid_clips(tmp_path: pathlib.Path, optimizes):
  run = learned_clips.train('unet3d_world', tmp_path, num_steps=1_000)
  learned_clips.assert_learned(PIXELS, run)


@pytest.mark.slow
def test_a_flow_over_latents_generates_valid_clips(
  tmp_path: pathlib.Path, optimizes
):
  folder = tmp_path / 'autoencoder'
  learned_clips.train('gaussian_world', folder, num_steps=1_000)
  frozen = {'frozen.autoencoder': str(folder)}
  run = learned_clips.train(
    'flow_latent_world', tmp_path / 'flow', num_steps=1_000, **frozen
  )
  learned_clips.assert_learned(LATENTS, run)

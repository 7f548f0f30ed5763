"""Tests of rough_clips.py, on real clips."""

import numpy as np
import pytest

from experiments.zoo.adversarial import rough_clips
from vgen_jax.synthetic.world import source
from vgen_jax.synthetic.world import verifier as verifier_lib


@pytest.fixture(scope='module')
def world() -> source.World:
  only = {'shape': 'circle', 'size': 'large', 'speed': 'slowly'}
  return source.World((8, 16, 16, 3), only=only)


def test_real_and_rough_clips_pass_and_cheats_do_not(world):
  verifier = verifier_lib.Verifier(world)
  valid = lambda video, tier: verifier.valid(
    verifier.features(video), tier
  ).mean()
  real = np.stack([world[i]['video'] for i in range(32)])
  assert valid(real, rough_clips.ROUGH) == 1
  # Noise and darker frames are too much for the loose tier only.
  noise = np.random.default_rng(0).normal(0, 18, real.shape)
  dark = np.linspace(1, 0.7, 8)[:, None, None, None]
  rough = (real * dark + noise).clip(0, 255).astype(np.uint8)
  assert valid(rough, verifier_lib.LOOSE) < 0.1
  assert valid(rough, rough_clips.ROUGH) > 0.8
  for name, video in rough_clips.cheats(real).items():
    assert valid(video, rough_clips.ROUGH) < 0.1, name

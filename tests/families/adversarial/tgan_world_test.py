"""Tests that TGAN reaches minimum scores on World, and wrong clips do not."""

import pytest

from experiments.zoo.adversarial import tgan_interpolation
from tests import learned_clips

NUM = 128
LIMITS = {'rough': 0.5, 'class': 0.85, 'colors': 0.6}


@pytest.mark.slow
def test_tgan_learns_motion_and_interpolates_it(tmp_path, optimizes):
  # Fewer steps than in the config, so that the test takes less time.
  run = learned_clips.train('tgan_world', tmp_path, num_steps=2_000)
  learned_clips.assert_learned(LIMITS, run)
  pairs = tgan_interpolation.generate(str(tmp_path), NUM)
  least = tgan_interpolation.LEAST_FRACTION
  assert tgan_interpolation.numbers(pairs)[-1] >= least
  for name, cheat in tgan_interpolation.cheats(pairs).items():
    assert tgan_interpolation.numbers(cheat)[-1] < least, name

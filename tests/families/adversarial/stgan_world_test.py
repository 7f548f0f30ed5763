"""Tests that STGAN reaches minimum scores on World, and wrong clips do not."""

import pytest

from experiments.zoo.adversarial import attended_objects
from tests import learned_clips

NUM = 128
LIMITS = {'rough': 0.5, 'class': 0.85, 'colors': 0.5}


@pytest.mark.slow
def test_stgan_learns_motion_and_attends_to_the_object(tmp_path, optimizes):
  run = learned_clips.train('stgan_world', tmp_path, num_steps=6_000)
  learned_clips.assert_learned(LIMITS, run)
  layers = attended_objects.generate(run, NUM)
  assert any(map(attended_objects.finds, layers.values())), layers.keys()
  for layer, found in layers.items():
    for name, weight_bthw in attended_objects.cheats(found).items():
      cheat = found._replace(weight_bthw=weight_bthw)
      assert not attended_objects.finds(cheat), (layer, name)

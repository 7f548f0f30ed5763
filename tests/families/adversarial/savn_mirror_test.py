"""Tests that SAVN moves two distant discs oppositely, and wrong clips fail."""

import numpy as np
import pytest

from experiments.zoo.adversarial import mirror_phases
from tests import learned_clips

NUM = 128


@pytest.mark.slow
def test_savn_moves_distant_discs_in_opposite_directions(tmp_path, optimizes):
  run = learned_clips.train('savn_mirror', tmp_path, num_steps=5_000)
  label = np.asarray(run.condition(NUM)['label'])
  video = run.sample(NUM)
  found = mirror_phases.numbers(video, label)
  print(found)
  assert mirror_phases.passes(found)
  for name, cheat in mirror_phases.cheats(video, label).items():
    assert not mirror_phases.passes(mirror_phases.numbers(cheat, label)), name

"""Tests of tgan_interpolation.py, on real frames."""

import numpy as np
import pytest

from experiments.zoo.adversarial import tgan_interpolation
from vgen_jax.config import build
from vgen_jax.config import loading


@pytest.fixture(scope='module')
def pairs() -> tgan_interpolation.Pairs:
  """Returns real frames with the real frame in the middle of each pair."""
  config = loading.load('tgan_world:small')
  world = build.source(config.data.to_dict(), config.clip_shape)
  video = np.stack([world[i]['video'] for i in range(48)])
  gap = tgan_interpolation.GAP
  return tgan_interpolation.Pairs(
    video[:, :-gap], video[:, gap:], video[:, gap // 2 : -gap // 2]
  )


def test_real_frames_pass_and_cheats_do_not(pairs):
  least = tgan_interpolation.LEAST_FRACTION
  assert min(tgan_interpolation.numbers(pairs)) > 0.95
  found = {
    name: tgan_interpolation.numbers(cheat)
    for name, cheat in tgan_interpolation.cheats(pairs).items()
  }
  assert all(both < 0.3 * least for _, _, both in found.values()), found
  # The mean of pixels is in the middle, but it shows two objects.
  middle, single, _ = found['mean of the pixels']
  assert middle > 0.95
  assert single < 0.3
  middle, single, _ = found['first frame']
  assert middle < 0.05
  assert single > 0.9


def test_pairs_without_motion_do_not_count(pairs):
  still = pairs._replace(
    last_bnhwc=pairs.first_bnhwc, middle_bnhwc=pairs.first_bnhwc
  )
  assert tgan_interpolation.numbers(still) == (0, 0, 0)

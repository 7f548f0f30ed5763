"""Tests of film_distances.py: real clips are near the floor, cheats are not."""

import numpy as np
import pytest

from experiments.zoo import film_distances
from vgen_jax.core import pixels
from vgen_jax.synthetic.world import source


@pytest.fixture(scope='module')
def real() -> tuple[np.ndarray, np.ndarray]:
  world = source.World((8, 16, 16, 3), only={'size': 'large'})
  clips = np.stack([world[i]['video'] for i in range(512)])
  return pixels.to_float(clips[:256]), pixels.to_float(clips[256:])


@pytest.mark.parametrize(
  ('name', 'space'),
  [
    ('first frame', 'motion'),
    ('random order', 'motion'),
    ('blurred', 'detail'),
    ('one clip', 'appearance'),
    ('one clip', 'motion'),
    ('one clip', 'detail'),
  ],
)
def test_cheats_are_farther_than_real_clips(real, name, space):
  first, second = real
  floor = film_distances.distances(second, first)[space]
  cheat = film_distances.cheats(second)[name]
  assert film_distances.distances(cheat, first)[space] > 3 * floor


def test_equal_clips_have_no_distance(real):
  found = film_distances.distances(real[0], real[0])
  assert list(found) == list(film_distances.SPACES)
  assert max(found.values()) == pytest.approx(0, abs=1e-6)


def test_total_variance_of_projected_clips_is_one(real):
  """Clips that are shifted by their scale have the distance 1."""
  first, _ = real
  still = np.repeat(first[:, :1], 8, axis=1)
  spread = film_distances.features(still)['appearance']
  _, scale_k, axes_kd = np.linalg.svd(spread - spread.mean(0))
  scale = np.linalg.norm(scale_k[:8]) / np.sqrt(len(first) - 1)
  shift_hwc = axes_kd[0].reshape(4, 4, 3).repeat(4, 0).repeat(4, 1) * scale
  found = film_distances.distances(still + shift_hwc, still)
  assert found['appearance'] == pytest.approx(1, rel=1e-4)

"""Tests of longer_orbits.py, on real clips."""

import numpy as np
import pytest

from experiments.zoo.adversarial import longer_clips
from experiments.zoo.adversarial import longer_orbits
from vgen_jax.synthetic.orbit import source
from vgen_jax.synthetic.world import source as world

SHAPE = (8, 16, 16, 3)


def orbit(**changes) -> source.Orbit:
  options = {'periods': (12, 12), 'radius': 0.15, 'has_labels': True}
  return source.Orbit(SHAPE, **options | changes)


@pytest.mark.parametrize('radius', [0.095, 0.15])
def test_real_clips_pass_and_cheats_do_not(radius):
  longer = longer_orbits.longer_orbits(orbit(radius=radius))
  assert longer.clip_shape[0] == 16
  assert longer.radius == radius
  video, label_b = longer_clips.real_clips(longer, 48)
  found = longer_orbits.numbers(video, label_b, longer)
  assert found == (1, 1, 1, 1, 1)
  assert longer_clips.passes(found)
  cheats = longer_orbits.cheats(longer, 48)
  found = {
    name: longer_orbits.numbers(*x, longer) for name, x in cheats.items()
  }
  assert len(found) == 12
  assert all(x.right < 0.1 for x in found.values()), found
  assert not any(map(longer_clips.passes, found.values()))
  # Both halves are as valid as before; only together they are wrong.
  for name in ('first half twice', 'then another clip', 'longer period'):
    assert found[name].first == found[name].second == 1
  assert found['other direction'].whole == 1
  assert found['other direction'].accuracy == 0


def test_circles_are_those_of_the_data():
  longer = longer_orbits.longer_orbits(orbit())
  truths = [longer.truth(i) for i in range(16)]
  center_bt2 = np.stack([x.center_t2 for x in truths])
  paths = longer_orbits.fit_circles(center_bt2, 12)
  np.testing.assert_allclose(paths.error_b, 0, atol=1e-6)
  distances = [x.distance for x in truths]
  np.testing.assert_allclose(paths.distance_b, distances, rtol=1e-6)
  is_clockwise = [x.is_clockwise for x in truths]
  np.testing.assert_array_equal(paths.is_clockwise_b, is_clockwise)


def test_small_grey_and_missing_objects_are_wrong():
  longer = longer_orbits.longer_orbits(orbit())
  small = longer_orbits.longer_orbits(orbit(radius=0.055))
  video, _ = longer_clips.real_clips(small, 16)
  assert longer_orbits.is_valid(video, longer)[0].mean() < 0.2
  video, _ = longer_clips.real_clips(longer, 16)
  assert longer_orbits.is_valid(video, longer)[0].all()
  grey = video.mean(-1, keepdims=True).astype(np.uint8).repeat(3, axis=-1)
  assert not longer_orbits.is_valid(grey, longer)[0].any()
  empty = np.full_like(video, 60)
  assert not longer_orbits.is_valid(empty, longer)[0].any()


@pytest.mark.parametrize('periods', [(8, 8), (16, 16), (12, 13)])
def test_other_periods_are_refused(periods):
  longer_orbits.check_data(orbit())
  with pytest.raises(ValueError, match=r'periods .* from 9 to 15'):
    longer_orbits.check_data(orbit(periods=periods))


def test_other_data_are_refused():
  with pytest.raises(ValueError, match=r'trained on World.* needs Orbit'):
    longer_orbits.check_data(world.World(SHAPE))


def test_data_without_labels_are_refused():
  with pytest.raises(ValueError, match='has_labels of the run is False'):
    longer_orbits.check_data(orbit(has_labels=False))

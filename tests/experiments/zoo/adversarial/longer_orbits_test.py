"""Tests of longer_orbits.py, on real clips."""

import numpy as np
import pytest

from experiments.zoo.adversarial import longer_clips
from experiments.zoo.adversarial import longer_orbits
from experiments.zoo.adversarial import orbit_criteria
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
  assert longer.split == 'validation'
  video, label_b = longer_clips.real_clips(longer, 48)
  found = orbit_criteria.numbers(video, label_b, longer)
  assert found == (1, 1, 1, 1, 1)
  assert longer_clips.passes(found)
  redrawn = longer_orbits.redraw(longer, 48, np.ones(16))
  found = orbit_criteria.numbers(redrawn, label_b, longer)
  assert found == (1, 1, 1, 1, 1)
  cheats = longer_orbits.cheats(longer, video, label_b)
  found = {
    name: orbit_criteria.numbers(*x, longer) for name, x in cheats.items()
  }
  assert len(found) == 16
  assert all(x.right < 0.1 for x in found.values()), found
  assert not any(map(longer_clips.passes, found.values()))
  # Both halves are as valid as before; only together they are wrong.
  for name in ('first half twice', 'then another clip'):
    assert found[name].first == found[name].second == 1
  assert found['other direction'].whole == 1
  assert found['other direction'].accuracy == 0


@pytest.mark.parametrize('periods', [(8, 8), (16, 16), (12, 13)])
def test_other_periods_are_refused(periods):
  longer_orbits.check_data(orbit())
  with pytest.raises(
    ValueError, match=r'periods .* two equal numbers from 9 to 15'
  ):
    longer_orbits.check_data(orbit(periods=periods))


def test_other_data_are_refused():
  with pytest.raises(ValueError, match=r'trained on World.* needs Orbit'):
    longer_orbits.check_data(world.World(SHAPE))


def test_data_without_labels_are_refused():
  with pytest.raises(ValueError, match='has_labels of the run is False'):
    longer_orbits.check_data(orbit(has_labels=False))


def test_objects_that_are_too_small_are_refused():
  with pytest.raises(ValueError, match=r'0.80 pixels .*radius 0.05.* 1\.1'):
    longer_orbits.check_data(orbit(radius=0.05))

"""Tests of bounce/source.py: straight motion, random velocity at walls."""

import numpy as np
import pytest

from vgen_jax.synthetic import bounces
from vgen_jax.synthetic import drawing as drawing_lib
from vgen_jax.synthetic.bounce import source

SHAPE = (24, 32, 32, 3)


def follows_rule(center_t2, low, high) -> tuple[bool, int]:
  """Returns whether a path follows the rule, and its number of contacts."""
  wall_t = ((center_t2 < low + 0.15) | (center_t2 > high - 0.15)).any(1)
  step = np.diff(center_t2, axis=0)
  good, contacts = True, 0
  for i in range(2, len(center_t2) - 1):
    if not wall_t[i - 2 : i + 2].any():  # Straight away from walls.
      good &= abs(step[i] - step[i - 1]).max() < 0.25
    if wall_t[i] and not wall_t[[i - 2, i - 1, i + 1]].any():
      contacts += 1
      before, after = step[i - 2], step[i]
      # Elastic walls would keep the magnitude of both components.
      good &= bool((abs(abs(after) - abs(before)) > 1e-3).all())
      inwards = np.where(center_t2[i] < low + 0.15, 1, 0)
      inwards -= np.where(center_t2[i] > high - 0.15, 1, 0)
      good &= bool((after * inwards >= 0).all())
  return bool(good), contacts


def test_pixels_follow_the_rule(pixel_tools):
  world = source.Bounce(SHAPE)
  contacts = 0
  for i in range(40):
    truth = world.truth(i)
    center_t2 = pixel_tools.track(world[i]['video'])
    np.testing.assert_allclose(center_t2, truth.center_nt2[0], atol=0.1)
    good, number = follows_rule(center_t2, truth.radius, 31 - truth.radius)
    assert good
    contacts += number
  assert contacts > 30


def test_elastic_walls_violate_the_rule():
  low, high = np.full(2, 3.0), np.full(2, 28.0)
  rng = np.random.default_rng(0)
  results = []
  for _ in range(20):
    straight = rng.uniform(5, 20, 2) + np.outer(
      np.arange(24), rng.uniform(1, 2, 2)
    )
    path = bounces.fold(straight, low, high)
    good, number = follows_rule(path, 3.0, 28.0)
    if number:
      results.append(good)
  assert len(results) > 5
  assert not any(results)


def test_truth_has_contacts_and_velocities(pixel_tools):
  world = source.Bounce(SHAPE)
  for i in range(20):
    truth = world.truth(i)
    center_t2 = pixel_tools.track(world[i]['video'])
    step = np.diff(center_t2, axis=0)
    free_t = ~truth.contact_nt[0, 1:]
    np.testing.assert_allclose(
      step[free_t], truth.velocity_nt2[0, :-1][free_t], atol=0.25
    )
    gap_t = np.minimum(
      center_t2 - truth.radius, 31 - truth.radius - center_t2
    ).min(1)
    assert (gap_t[truth.contact_nt[0]] < 0.15).all()
    changed_t = (np.diff(truth.velocity_nt2[0], axis=0) != 0).all(1)
    np.testing.assert_array_equal(changed_t, truth.contact_nt[0, 1:])


def test_directions_after_a_wall_vary():
  world = source.Bounce(SHAPE)
  after = []
  for i in range(300):
    truth = world.truth(i)
    left_t = truth.contact_nt[0] & (
      truth.center_nt2[0, :, 0] < truth.radius + 1e-6
    )
    after += truth.velocity_nt2[0][left_t].tolist()
  after = np.array(after)
  assert len(after) > 100
  assert (after[:, 0] > 0).all()
  assert 0.4 < (after[:, 1] > 0).mean() < 0.6


def test_later_objects_hide_earlier_ones(pixel_tools):
  world = source.Bounce(SHAPE, num_objects=2)
  met = 0
  for i in range(30):
    truth, video = world.truth(i), world[i]['video'].astype(float)
    assert truth.colors[0] != truth.colors[1]
    first, second = truth.alpha_nthw
    colors = [np.array(drawing_lib.COLORS[name]) for name in truth.colors]
    assert abs(video[second == 1] - colors[1]).max() <= 1
    alone = (first == 1) & (second == 0)
    assert abs(video[alone] - colors[0]).max() <= 1
    met += ((first == 1) & (second == 1)).any()
  assert met > 3


@pytest.mark.parametrize('shape', [(4, 12, 12, 3), (40, 16, 48, 3)], ids=str)
def test_objects_stay_inside(shape):
  world = source.Bounce(shape, num_objects=6)
  for i in range(20):
    truth = world.truth(i)
    high = np.array([shape[2], shape[1]]) - 1 - truth.radius
    assert (truth.center_nt2 >= truth.radius - 1e-9).all()
    assert (truth.center_nt2 <= high + 1e-9).all()

"""Tests of orbit_criteria.py: each limit refuses clips, and allows others."""

import math

import numpy as np
import pytest

from experiments.zoo.adversarial import orbit_criteria
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.orbit import source

RED, GREY = np.array((255.0, 60.0, 60.0)), 60.0


def orbit(side=32) -> source.Orbit:
  return source.Orbit(
    (16, side, side, 3), periods=(12, 12), radius=0.1, has_labels=True
  )


def draw(
  orbits,
  distance=0.29,
  color=RED,
  last_color=None,
  size=1.0,
  shift=0.0,
  speed=1.0,
  background=GREY,
) -> np.ndarray:
  """Returns one clip of a disc, uint8 `[1, t, h, w, 3]`.

  Args:
    orbits: Dataset that defines the sizes.
    distance: Radius of the orbit, in sides of a frame.
    color: Colour, from 0 to 255.
    last_color: Colour of the last frame, if it differs.
    size: Radius of the disc, relative to that of the dataset.
    shift: By how much every second position is moved, in pixels.
    speed: Relative to that of the dataset.
    background: Level of the background far from the disc.
  """
  t, h, w, c = orbits.clip_shape
  frame_t = np.arange(t)
  angle_t = 2 * math.pi * speed * frame_t / orbits.periods[0]
  unit_t2 = np.stack([np.cos(angle_t), np.sin(angle_t)], axis=1)
  middle_2 = np.array([w - 1, h - 1]) / 2
  center_t2 = middle_2 + distance * orbits.side * unit_t2
  center_t2[1::2] += shift * unit_t2[1::2]
  video = np.full((t, h, w, c), GREY, np.float32)
  # The disc never covers this corner.
  video[:, :2, :2] = background
  radius = size * orbits.radius * orbits.side
  drawing.paint(video, 'circle', radius, center_t2, np.array(color))
  if last_color is not None:
    video[-1, 2:, 2:] = GREY
    drawing.paint(
      video[-1:], 'circle', radius, center_t2[-1:], np.array(last_color)
    )
  return drawing.to_uint8(video)[None]


def blended(weight) -> np.ndarray:
  return GREY + weight * (RED - GREY)


@pytest.mark.parametrize(
  ('allowed', 'refused'),
  [
    ({'distance': 0.235}, {'distance': 0.215}),
    ({'distance': 0.355}, {'distance': 0.38}),
    ({'size': 0.65}, {'size': 0.5}),
    ({'size': 1.4}, {'size': 1.7}),
    ({'color': blended(0.5)}, {'color': blended(0.35)}),
    ({'last_color': blended(0.6)}, {'last_color': blended(0.45)}),
    ({'last_color': (255, 150, 60)}, {'last_color': (255, 200, 60)}),
    ({'background': 105}, {'background': 115}),
    ({'background': 15}, {'background': 5}),
    ({'shift': 2.0}, {'shift': 3.2}),
    ({'speed': 0.97}, {'speed': 0.85}),
  ],
  ids=lambda x: next(iter(x)),
)
@pytest.mark.parametrize('side', [32, 64])
def test_limits(allowed, refused, side):
  orbits = orbit(side)
  scale = side / 32
  for changes, expected in ((allowed, True), (refused, False)):
    if 'shift' in changes:
      changes = {'shift': scale * changes['shift']}
    valid_b, _ = orbit_criteria.is_valid(draw(orbits, **changes), orbits)
    assert valid_b.tolist() == [expected], changes


def test_clips_may_be_floats_and_frames_wide():
  orbits = source.Orbit(
    (16, 24, 32, 3), periods=(12, 12), radius=0.1, has_labels=True
  )
  video = np.stack([orbits[i]['video'] for i in range(8)])
  assert orbit_criteria.is_valid(video, orbits)[0].all()
  signed = video / np.float32(127.5) - 1
  assert orbit_criteria.is_valid(signed, orbits)[0].all()
  changing = draw(orbit(), last_color=(255, 200, 60)) / np.float32(127.5) - 1
  assert not orbit_criteria.is_valid(changing, orbit())[0].any()


def test_both_halves_must_be_valid_with_one_radius():
  orbits = orbit()
  first, smaller = (draw(orbits, distance=x) for x in (0.30, 0.25))
  right = lambda *parts: orbit_criteria.numbers(
    np.concatenate(parts, axis=1), np.zeros(1), orbits
  )
  assert right(first[:, :8], first[:, 8:]) == (1, 1, 1, 1, 1)
  assert right(first[:, :8], smaller[:, 8:]) == (1, 1, 1, 1, 0)
  # The mean radius is the same; over the whole clip, the error is allowed.
  moved = draw(orbits, distance=0.30 - 1.75 / 32, shift=3.5)
  assert right(first[:, :8], moved[:, 8:]) == (1, 0, 1, 1, 0)
  assert right(moved[:, :8], first[:, 8:]) == (0, 1, 1, 1, 0)
  other = orbit_criteria.numbers(first, np.ones(1), orbits)
  assert other == (1, 1, 1, 0, 0)


def test_circles_are_those_of_the_data():
  orbits = orbit()
  truths = [orbits.truth(i) for i in range(16)]
  center_bt2 = np.stack([x.center_t2 for x in truths])
  paths = orbit_criteria.fit_circles(center_bt2, 12)
  np.testing.assert_allclose(paths.error_b, 0, atol=1e-6)
  distances = [x.distance for x in truths]
  np.testing.assert_allclose(paths.distance_b, distances, rtol=1e-6)
  is_clockwise = [x.is_clockwise for x in truths]
  np.testing.assert_array_equal(paths.is_clockwise_b, is_clockwise)
  # The error is a root mean square distance.
  shift_bt2 = np.zeros_like(center_bt2)
  shift_bt2[:, ::2, 0], shift_bt2[:, 1::2, 0] = 0.3, -0.3
  paths = orbit_criteria.fit_circles(center_bt2 + shift_bt2, 12)
  np.testing.assert_allclose(paths.error_b, 0.3, atol=0.02)

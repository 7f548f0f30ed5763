"""Tests of rerendering.py and objects.py: only the requested parts change."""

import numpy as np

from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world.corruptions import objects
from vgen_jax.synthetic.world.corruptions import rerendering

CLIPS = rerendering.generate(world_lib.World((8, 32, 32, 3)), 32, first=7)
RNG = np.random.default_rng


def center(video: np.ndarray) -> np.ndarray:
  """Centres of mass (x, y) of pixels that are brighter than the background."""
  weight = (video.astype(float) - 24).clip(0).sum(-1)
  x = (weight.sum(2) * np.arange(32)).sum(-1)
  y = (weight.sum(3) * np.arange(32)).sum(-1)
  return np.stack([x, y], -1) / weight.sum((2, 3))[..., None]


def test_level_0_gives_the_same_clips():
  world = CLIPS.world
  np.testing.assert_array_equal(CLIPS.video_bthwc[3], world[10]['video'])
  assert CLIPS.factors[3] == world.factors(10)
  again = rerendering.rerender(CLIPS).astype(int)
  assert np.abs(again - CLIPS.video_bthwc).max() <= 1  # Of 255.
  same = (
    objects.pulse(CLIPS, 0, RNG(0)),
    objects.jitter(CLIPS, 0, RNG(0)),
    objects.wrong_speed(CLIPS, 0, RNG(0)),
    objects.accelerate(CLIPS, 0, RNG(0)),
    objects.drift_color(CLIPS, 0, RNG(0)),
    objects.morph(CLIPS, 0, RNG(0)),
    objects.wrap_around(CLIPS, 0, RNG(0)),
  )
  for video in same:
    assert np.abs(video.astype(int) - CLIPS.video_bthwc).max() <= 1


def test_objects_move_as_requested():
  clips = rerendering.generate(
    world_lib.World((8, 32, 32, 3), only={'shape': 'square'}), 32
  )
  there = center(clips.video_bthwc)
  moved = center(objects.zigzag(clips, 1.0, RNG(0))) - there
  free_b = (np.abs(np.diff(there, 2, axis=1)) < 0.2).all((1, 2))
  assert free_b.sum() > 3
  step_bt = np.linalg.norm(moved[free_b], axis=-1)
  np.testing.assert_allclose(np.median(step_bt), 1, atol=0.1)
  along = (moved * clips.velocity_b2[:, None]).sum(-1)[free_b]
  np.testing.assert_allclose(np.median(along), 0, atol=0.1)
  # It starts slowly and becomes faster; both ends are unchanged.
  fast = objects.accelerate(clips, 0.8, RNG(0))
  gap_bt = np.linalg.norm(center(fast) - there, axis=-1)[free_b]
  assert gap_bt[:, [0, -1]].max() < 0.1
  assert gap_bt[:, 3].min() > 0.5


def test_holes_and_shapes():
  most = CLIPS.video_bthwc.max((1, 2, 3, 4))
  hollow = rerendering.rerender(CLIPS, hole=0.9)
  solid, rest = CLIPS.video_bthwc - 24.0, hollow - 24.0
  assert rest.sum() < 0.6 * solid.sum()
  assert (hollow.max((1, 2, 3, 4)) <= most).all()
  morphed = objects.morph(CLIPS, 0.5, RNG(0))
  np.testing.assert_array_equal(morphed[:, :4], CLIPS.video_bthwc[:, :4])
  assert (morphed[:, 4:] != CLIPS.video_bthwc[:, 4:]).any((2, 3, 4)).all()

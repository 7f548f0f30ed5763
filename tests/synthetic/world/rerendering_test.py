"""Tests of redrawing.py: what is not asked for stays as it was."""

import numpy as np

from vgen_jax.synthetic.world import rerendering
from vgen_jax.synthetic.world import source as world_lib

CLIPS = rerendering.draw(world_lib.World((8, 32, 32, 3)), 32, first=7)
RNG = np.random.default_rng


def center(video: np.ndarray) -> np.ndarray:
  """Centres of mass (x, y) of what is brighter than the background."""
  weight = (video.astype(float) - 24).clip(0).sum(-1)
  x = (weight.sum(2) * np.arange(32)).sum(-1)
  y = (weight.sum(3) * np.arange(32)).sum(-1)
  return np.stack([x, y], -1) / weight.sum((2, 3))[..., None]


def test_draws_the_same_clips_again():
  world = CLIPS.world
  np.testing.assert_array_equal(CLIPS.video_bthwc[3], world[10]['video'])
  assert CLIPS.factors[3] == world.factors(10)
  again = rerendering.rerender(CLIPS).astype(int)
  assert np.abs(again - CLIPS.video_bthwc).max() <= 1  # Of 255.
  same = (
    rerendering.pulse(CLIPS, 0, RNG(0)),
    rerendering.jitter(CLIPS, 0, RNG(0)),
    rerendering.pace(CLIPS, 0, RNG(0)),
    rerendering.accelerate(CLIPS, 0, RNG(0)),
    rerendering.drift_color(CLIPS, 0, RNG(0)),
    rerendering.morph(CLIPS, 0, RNG(0)),
    rerendering.no_walls(CLIPS, 0, RNG(0)),
  )
  for video in same:
    assert np.abs(video.astype(int) - CLIPS.video_bthwc).max() <= 1


def test_moves_it_as_told():
  clips = rerendering.draw(
    world_lib.World((8, 32, 32, 3), only={'shape': 'square'}), 32
  )
  there = center(clips.video_bthwc)
  moved = center(rerendering.zigzag(clips, 1.0, RNG(0))) - there
  free_b = (np.abs(np.diff(there, 2, axis=1)) < 0.2).all((1, 2))
  assert free_b.sum() > 3
  step_bt = np.linalg.norm(moved[free_b], axis=-1)
  np.testing.assert_allclose(np.median(step_bt), 1, atol=0.1)
  along = (moved * clips.velocity_b2[:, None]).sum(-1)[free_b]
  np.testing.assert_allclose(np.median(along), 0, atol=0.1)
  # Fast at last, slow at first; both end where they should.
  fast = rerendering.accelerate(clips, 0.8, RNG(0))
  gap_bt = np.linalg.norm(center(fast) - there, axis=-1)[free_b]
  assert gap_bt[:, [0, -1]].max() < 0.1
  assert gap_bt[:, 3].min() > 0.5


def test_holes_and_shapes():
  most = CLIPS.video_bthwc.max((1, 2, 3, 4))
  hollow = rerendering.rerender(CLIPS, hole=0.9)
  shown, left = CLIPS.video_bthwc - 24.0, hollow - 24.0
  assert left.sum() < 0.6 * shown.sum()
  assert (hollow.max((1, 2, 3, 4)) <= most).all()
  morphed = rerendering.morph(CLIPS, 0.5, RNG(0))
  np.testing.assert_array_equal(morphed[:, :4], CLIPS.video_bthwc[:, :4])
  assert (morphed[:, 4:] != CLIPS.video_bthwc[:, 4:]).any((2, 3, 4)).all()

"""Tests of tracking.py: subpixel accuracy, and residuals everywhere."""

import numpy as np
import pytest

from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tracking
from vgen_jax.synthetic.world.corruptions import rerendering

SHAPES = [(16, 64, 64, 3), (8, 16, 16, 3), (8, 24, 40, 3)]


@pytest.mark.parametrize('clip_shape', SHAPES)
def test_positions_and_sizes_are_accurate_below_a_pixel(clip_shape):
  clips = rerendering.generate(world_lib.World(clip_shape), 64)
  track = tracking.track(clips.video_bthwc, clips.world)
  gap_b = np.abs(track.center_bt2 - clips.center_bt2).max((1, 2))
  assert np.quantile(gap_b, 0.95) < 0.03
  wide_b = np.abs(track.radius_bt - clips.radius_b[:, None]).max(1)
  assert np.quantile(wide_b, 0.95) < 0.02
  assert np.quantile(track.residual_patch_bt, 0.95) < 2
  assert np.quantile(track.residual_rms_bt, 0.95) < 1


def test_measures_sizes_that_the_dataset_lacks():
  clips = rerendering.generate(world_lib.World((4, 32, 32, 3)), 32)
  wider = rerendering.rerender(clips, radius_b1=1.1 * clips.radius_b[:, None])
  track = tracking.track(wider, clips.world)
  ratio_b = track.radius_bt.mean(1) / clips.radius_b
  np.testing.assert_allclose(ratio_b, 1.1, atol=0.02)
  still_b = tracking.track(clips.video_bthwc, clips.world).radius_bt.mean(1)
  np.testing.assert_allclose(still_b / clips.radius_b, 1, atol=0.01)


@pytest.mark.parametrize('clip_shape', SHAPES)
def test_a_stain_is_detected_anywhere(clip_shape):
  world = world_lib.World(clip_shape)
  _, h, w, _ = clip_shape
  k = tracking.patch_size(world)
  clean = rerendering.generate(world, 1).video_bthwc
  last_y, last_x = h - k, w - k
  for y in (0, 1, h // 2, last_y - 1, last_y):
    for x in (0, 1, last_x - 1, last_x):
      stained = clean.copy()
      stained[0, -1, y : y + k, x : x + k] = stained[0, -1, y, x] ^ 64
      track = tracking.track(stained, world)
      assert track.residual_patch_bt[0, -1] > 25
      assert track.residual_patch_bt[0, :-1].max() < 3


def test_an_empty_frame_has_no_object():
  world = world_lib.World((4, 16, 16, 3))
  track = tracking.track(np.full((1, 4, 16, 16, 3), 24, np.uint8), world)
  assert track.area_bt.max() == 0
  assert np.abs(track.tint_bt3).max() == 0
  np.testing.assert_allclose(track.center_bt2, 7.5, atol=1e-6)

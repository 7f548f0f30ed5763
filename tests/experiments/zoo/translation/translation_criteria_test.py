"""Tests of translation_criteria.py, on clips and cheats."""

import numpy as np
import pytest

from experiments.zoo.translation import translation_criteria as criteria


@pytest.fixture(scope='module')
def clips() -> criteria.Clips:
  return criteria.load((8, 32, 32, 3), 24, subpixel=True)


def test_real_clips_pass_and_cheats_do_not(clips):
  found = criteria.video_numbers(clips.video_bthwc, clips)
  assert found.passes
  assert found.color_error == 0
  assert found.iou == found.warp_error == 1
  made = criteria.cheats(clips)
  assert len(made) == 4
  numbers = {
    name: criteria.video_numbers(video, clips) for name, video in made.items()
  }
  assert not [name for name, found in numbers.items() if found.passes]
  # A repeated frame is steady, but its objects are not where they should be.
  assert numbers['first frame repeated'].iou < 0.5
  # Independent frames have the right classes, but flicker.
  assert numbers['independent frames'].iou > 0.9
  assert numbers['independent frames'].warp_error > 3


def test_small_errors_pass(clips):
  rng = np.random.default_rng(0)
  noise = rng.normal(0, 0.002, clips.video_bthwc.shape)
  found = criteria.video_numbers(clips.video_bthwc + noise, clips)
  assert found.passes
  assert 0 < found.color_error < 0.01
  assert found.warp_error > 1


def test_true_layers_pass_and_cheats_do_not(clips):
  later = criteria.Clips(*(x[:, 1:] for x in clips))
  mask = later.hidden_bthw.astype(np.float32)
  found = criteria.layer_numbers(later.flow_bthwx, mask, later)
  assert found.passes
  assert found == (0, 1, 0)
  made = criteria.layer_cheats(later.flow_bthwx, mask, later)
  for name, layers in made.items():
    found = criteria.layer_numbers(*layers, later)
    assert not found.passes, name
  none = criteria.layer_numbers(*made['no flow'], later)
  assert none.flow_error > 2  # The speed of objects, in pixels.


def test_classes_are_found_by_their_colour(clips):
  found = criteria.segments(clips.video_bthwc)
  assert (found == clips.layout_bthw).mean() > 0.99
  assert (criteria.segments(clips.video_bthwc * 0 + 0.4) == 0).all()


def test_drift_is_the_change_of_colours(clips):
  long = criteria.back_and_forth(clips, 20)
  order = [0, 1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5]
  np.testing.assert_array_equal(long.video_bthwc, clips.video_bthwc[:, order])
  assert criteria.drift(long.video_bthwc, long) == 0
  fading = long.video_bthwc * np.linspace(1, 0.5, 20)[:, None, None, None]
  assert criteria.drift(fading, long) > 0.1
  early = long.video_bthwc.copy()
  early[:, :18] = 0
  assert criteria.drift(early, long) == 0

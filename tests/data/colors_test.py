"""Tests of data/colors.py."""

import numpy as np

from vgen_jax.data import colors

GREY = np.broadcast_to(np.arange(10, 250, 60, dtype=np.uint8), (3, 1, 1, 4))
GREY = np.moveaxis(GREY, -1, 1).repeat(3, -1)
# Dark enough that no change of hue is clipped.
COLORS = np.uint8([[[[140, 98, 95], [95, 135, 110], [110, 110, 110]]]])


def test_brightness_and_contrast_of_known_pixels():
  got = colors.recolored(GREY, brightness=0.5)
  np.testing.assert_array_equal(got[0, :, 0, 0], [5, 35, 65, 95])
  got = colors.recolored(GREY, contrast=0.5)  # About the mean, 100.
  np.testing.assert_array_equal(got[0, :, 0, 0], [55, 85, 115, 145])
  got = colors.recolored(GREY, 0.5, 2.0)  # About 50.
  np.testing.assert_array_equal(got[0, :, 0, 0], [0, 20, 80, 140])
  one = colors.recolored(GREY[..., :1], 0.5, 2.0)
  np.testing.assert_array_equal(one, got[..., :1])


def test_saturation_and_hue_keep_luma_and_grey():
  luma = lambda x: x @ np.array([0.299, 0.587, 0.114])
  for change in ({'saturation': 0.3}, {'hue': 0.1}, {'hue': -0.2}):
    got = colors.recolored(COLORS, **change)
    np.testing.assert_allclose(luma(got), luma(COLORS), atol=1)
    np.testing.assert_array_equal(got[..., 2, :], 110)
    assert np.any(got != COLORS)
  none = colors.recolored(COLORS, saturation=0)
  np.testing.assert_allclose(none, luma(COLORS)[..., None].repeat(3, -1), 0, 1)
  np.testing.assert_array_equal(colors.recolored(COLORS), COLORS)


def test_a_full_rotation_of_hue_is_the_identity():
  np.testing.assert_array_equal(colors.recolored(COLORS, hue=1), COLORS)
  got = COLORS
  for _ in range(4):
    got = colors.recolored(got, hue=0.25)
  np.testing.assert_allclose(got.astype(int), COLORS, atol=3)
  opposite = colors.recolored(COLORS, hue=0.5).astype(int) - 110
  away = COLORS.astype(int) - 110  # From a grey of nearly the same luma.
  assert np.sum(opposite[..., :2, :] * away[..., :2, :]) < 0

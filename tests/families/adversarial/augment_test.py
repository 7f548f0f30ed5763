"""Tests of augment.py: one augmentation for a clip, differentiable."""

import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families.adversarial import augment

ALL = tuple(augment.POLICIES)
KEYS = arrays.keys(8)
FRAMES = arrays.uniform((8, 1, 16, 16, 3), 1, low=-1)
STILL = np.tile(FRAMES, (1, 5, 1, 1, 1))  # Clips with equal frames.

augmented = compiled.jit(augment.augment, static_argnames='policy')


def is_still(video_bthwc) -> bool:
  return bool(np.allclose(video_bthwc, video_bthwc[:, :1], atol=1e-6))


@pytest.mark.parametrize('name', ALL)
def test_all_frames_are_augmented_equally(name: str):
  result = augmented(KEYS, STILL, policy=(name,))
  assert is_still(result)
  assert not np.allclose(result, STILL, atol=1e-2)

  # Frames augmented separately, as images are, flicker.
  frames = STILL.reshape(40, 1, 16, 16, 3)
  keys = arrays.keys(40, 2)
  flicker = augmented(keys, frames, policy=(name,)).reshape(STILL.shape)
  assert not is_still(flicker)


def test_augmentation_depends_on_the_clips_own_key():
  result = augmented(KEYS, STILL, policy=ALL)
  same_key = arrays.take_keys(KEYS, np.zeros(8, int))
  alone = augmented(KEYS[3:4], STILL[3:4], policy=ALL)
  assert np.allclose(result[3:4], alone, atol=1e-6)
  shift = augmented(KEYS, STILL, policy=('brightness',)) - STILL
  assert np.ptp(shift[:, 0, 0, 0, 0]) > 0.3
  shift = augmented(same_key, STILL, policy=('brightness',)) - STILL
  assert np.ptp(shift[:, 0, 0, 0, 0]) < 1e-6


def test_contrast_and_saturation_keep_means():
  mean = lambda x, axis: np.asarray(x.mean(axis=axis))
  contrast = augmented(KEYS, STILL, policy=('contrast',))
  saturation = augmented(KEYS, STILL, policy=('saturation',))
  np.testing.assert_allclose(
    mean(contrast, (1, 2, 3, 4)), mean(STILL, (1, 2, 3, 4)), atol=1e-6
  )
  np.testing.assert_allclose(mean(saturation, -1), mean(STILL, -1), atol=1e-6)
  # Contrast does not keep the mean over channels.
  assert not np.allclose(mean(contrast, -1), mean(STILL, -1), atol=1e-2)


def test_translation_is_at_most_two_pixels():
  dot = np.zeros((8, 2, 16, 16, 1), np.float32)
  dot[:, :, 8, 8] = 1
  shifted = augmented(KEYS, dot, policy=('translation',))
  positions = np.argwhere(np.asarray(shifted) == 1)[:, 2:4].reshape(8, 2, 2)
  offsets = positions - 8
  assert np.abs(offsets).max() <= 2  # 16 / 8
  assert len(np.unique(offsets[:, 0], axis=0)) > 3
  assert shifted.sum() == 16


def test_cutout_covers_at_most_a_quarter():
  ones = np.ones((8, 2, 16, 16, 1), np.float32)
  cut = augmented(KEYS, ones, policy=('cutout',))
  grey_b = (cut[:, 0] == 0).sum(axis=(1, 2, 3))
  assert grey_b.max() <= 64
  assert grey_b.min() >= 16  # A box centred in a corner loses 3/4.
  assert ((cut == 0) | (cut == 1)).all()


def test_gradients_pass_through_augmentations():
  gradient = jax.grad(lambda x: augmented(KEYS, x, policy=ALL).sum())(STILL)
  assert (np.abs(gradient).sum(axis=(1, 2, 3, 4)) > 0).all()
  cut = lambda x: (augmented(KEYS, x, policy=('cutout',)) ** 2).sum()
  gradient = compiled.jit(jax.grad(cut))(np.ones_like(STILL))
  result = augmented(KEYS, np.ones_like(STILL), policy=('cutout',))
  assert np.array_equal(gradient == 0, result == 0)


def test_no_policy_is_identity():
  assert augment.augment(KEYS, STILL, ()) is STILL


def test_wrong_names():
  with pytest.raises(ValueError, match="Did you mean 'translation'"):
    augment.augment(KEYS, STILL, ('translate', 'cutout'))
  with pytest.raises(ValueError, match='must be a tuple'):
    augment.augment(KEYS, STILL, 'cutout')


def test_translation_of_frames_that_are_not_square():
  """An eighth of 8 rows is 1, and of 32 columns 4."""
  dot = arrays.put(np.zeros((8, 2, 8, 32, 1)), np.s_[:, :, 4, 16], 1.0)
  keys = arrays.keys(64, 3)
  shifted = augmented(
    keys, np.tile(dot, (8, 1, 1, 1, 1)), policy=('translation',)
  )
  offsets = np.argwhere(np.asarray(shifted) == 1)[:, 2:4] - [4, 16]
  assert len(offsets) == 128
  assert (offsets.min(0) == [-1, -4]).all()
  assert (offsets.max(0) == [1, 4]).all()


def test_cutout_of_frames_that_are_not_square():
  """The box has half the height and half the width, 4 x 16 pixels."""
  keys = arrays.keys(64, 4)
  cut = augmented(keys, np.ones((64, 1, 8, 32, 1)), policy=('cutout',))
  box_bhw = np.asarray(cut)[:, 0, :, :, 0] == 0
  rows_b, columns_b = box_bhw.any(2).sum(1), box_bhw.any(1).sum(1)
  assert (rows_b.max(), columns_b.max()) == (4, 16)
  assert (rows_b.min(), columns_b.min()) >= (2, 8)  # Centred in a corner.
  np.testing.assert_array_equal(box_bhw.sum((1, 2)), rows_b * columns_b)
  assert box_bhw[:, 0].any()
  assert box_bhw[:, -1].any()
  assert box_bhw[:, :, 0].any()
  assert box_bhw[:, :, -1].any()

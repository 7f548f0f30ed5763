"""Tests of augment.py: one change for a clip, open to gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.core import random
from vgen_jax.families.adversarial import augment

ALL = tuple(augment.POLICIES)
KEYS = random.keys(jax.random.key(0), jnp.arange(8))
FRAMES = jax.random.uniform(jax.random.key(1), (8, 1, 16, 16, 3), minval=-1)
STILL = jnp.tile(FRAMES, (1, 5, 1, 1, 1))  # Clips whose frames are all alike.

change = jax.jit(augment.augment, static_argnames='policy')


def is_still(video_bthwc) -> bool:
  return bool(jnp.allclose(video_bthwc, video_bthwc[:, :1], atol=1e-6))


@pytest.mark.parametrize('name', ALL)
def test_a_change_is_one_for_all_frames(name: str):
  changed = change(KEYS, STILL, policy=(name,))
  assert is_still(changed)
  assert not jnp.allclose(changed, STILL, atol=1e-2)

  # Frames changed each for itself, as by an augmentation of images, flicker.
  frames = STILL.reshape(40, 1, 16, 16, 3)
  keys = random.keys(jax.random.key(2), jnp.arange(40))
  flicker = augment.augment(keys, frames, (name,)).reshape(STILL.shape)
  assert not is_still(flicker)


def test_clips_change_by_their_own_keys_alone():
  changed = change(KEYS, STILL, policy=ALL)
  same_key = jnp.tile(KEYS[:1], 8)
  alone = augment.augment(KEYS[3:4], STILL[3:4], ALL)
  assert jnp.allclose(changed[3:4], alone, atol=1e-6)
  shift = change(KEYS, STILL, policy=('brightness',)) - STILL
  assert jnp.ptp(shift[:, 0, 0, 0, 0]) > 0.3
  shift = change(same_key, STILL, policy=('brightness',)) - STILL
  assert jnp.ptp(shift[:, 0, 0, 0, 0]) < 1e-6


def test_what_colours_keep():
  mean = lambda x, axis: np.asarray(x.mean(axis=axis))
  contrast = change(KEYS, STILL, policy=('contrast',))
  saturation = change(KEYS, STILL, policy=('saturation',))
  np.testing.assert_allclose(
    mean(contrast, (1, 2, 3, 4)), mean(STILL, (1, 2, 3, 4)), atol=1e-6
  )
  np.testing.assert_allclose(mean(saturation, -1), mean(STILL, -1), atol=1e-6)
  # Contrast moves colours' greys: the checks above can tell the two apart.
  assert not np.allclose(mean(contrast, -1), mean(STILL, -1), atol=1e-2)


def test_translation_moves_a_dot_by_two_pixels_at_most():
  dot = jnp.zeros((8, 2, 16, 16, 1)).at[:, :, 8, 8].set(1.0)
  moved = change(KEYS, dot, policy=('translation',))
  places = np.argwhere(np.asarray(moved) == 1)[:, 2:4].reshape(8, 2, 2)
  offsets = places - 8
  assert np.abs(offsets).max() <= 2  # 16 / 8
  assert len(np.unique(offsets[:, 0], axis=0)) > 3
  assert moved.sum() == 16


def test_cutout_greys_a_quarter_at_most():
  cut = change(KEYS, jnp.ones((8, 2, 16, 16, 1)), policy=('cutout',))
  grey_b = (cut[:, 0] == 0).sum(axis=(1, 2, 3))
  assert grey_b.max() <= 64
  assert grey_b.min() >= 16  # A box whose centre is a corner loses 3/4.
  assert ((cut == 0) | (cut == 1)).all()


def test_gradient_comes_through_to_what_remains():
  slope = jax.grad(lambda x: change(KEYS, x, policy=ALL).sum())(STILL)
  assert (jnp.abs(slope).sum(axis=(1, 2, 3, 4)) > 0).all()
  cut = lambda x: (change(KEYS, x, policy=('cutout',)) ** 2).sum()
  slope = jax.grad(cut)(jnp.ones_like(STILL))
  changed = change(KEYS, jnp.ones_like(STILL), policy=('cutout',))
  assert jnp.array_equal(slope == 0, changed == 0)


def test_no_policy_is_identity():
  assert augment.augment(KEYS, STILL, ()) is STILL


def test_wrong_names():
  with pytest.raises(ValueError, match="Did you mean 'translation'"):
    augment.augment(KEYS, STILL, ('translate', 'cutout'))
  with pytest.raises(ValueError, match='must be a tuple'):
    augment.augment(KEYS, STILL, 'cutout')

"""Tests of core/shapes.py."""

import jax.numpy as jnp
import pytest

from vgen_jax.core import shapes

VIDEO = jnp.zeros((2, 3, 4, 5, 1))


def test_sizes_come_in_the_order_asked():
  assert shapes.sizes('wb', video_bthwc=VIDEO, time_b=jnp.zeros(2)) == (5, 2)


def test_a_rank_unlike_the_suffix_is_an_error():
  with pytest.raises(ValueError, match=r'video_bthw has shape .* needs 4 axes'):
    shapes.sizes('', video_bthw=VIDEO)


def test_sizes_of_one_letter_that_differ_are_an_error():
  with pytest.raises(
    ValueError, match=r"Axis 'b' is 7 in time_b .* 2 in video"
  ):
    shapes.sizes('', video_bthwc=VIDEO, time_b=jnp.zeros(7))


def test_patches_are_counted_along_height_and_width():
  assert shapes.patches((8, 12), 4) == (2, 3)
  with pytest.raises(ValueError, match=r'frames is 8 x 10; .* size, 4 x 4'):
    shapes.patches((8, 10), 4)

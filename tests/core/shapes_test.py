"""Tests of core/shapes.py."""

import jax.numpy as jnp
import pytest

from vgen_jax.core import shapes

VIDEO = jnp.zeros((2, 3, 4, 5, 1))


def test_sizes_come_in_the_order_asked():
  assert shapes.sizes('wb', video_bthwc=VIDEO, time_b=jnp.zeros(2)) == (5, 2)


def test_rank_differs_from_suffix():
  with pytest.raises(ValueError, match='video_bthw names 4 axes, but has'):
    shapes.sizes('', video_bthw=VIDEO)


def test_arrays_disagree():
  with pytest.raises(
    ValueError, match=r"Axis 'b' is 7 in time_b .* 2 in video"
  ):
    shapes.sizes('', video_bthwc=VIDEO, time_b=jnp.zeros(7))

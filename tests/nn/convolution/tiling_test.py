"""Tests of nn/convolution/tiling.py with a blur of known size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.convolution import tiling

FRAMES = arrays.normal((1, 2, 13, 17, 3))


def blur(x_bthwd, reach=1):
  """Returns blurred frames of double size, padded with zeros.

  A pixel depends on `reach` neighbours in each direction.
  """
  width = 2 * reach + 1
  sums = jax.lax.reduce_window(
    x_bthwd, 0.0, jax.lax.add, (1, 1, width, width, 1), (1,) * 5, 'SAME'
  )
  return sums.repeat(2, 2).repeat(2, 3)


def tiled(function, overlap, tile=(7, 7)):
  return compiled.jit(lambda x: tiling.apply(function, x, tile, overlap, 2))(
    FRAMES
  )


@pytest.mark.parametrize('tile', [(7, 7), (6, 99), (13, 17)])
def test_tiles_are_exact_if_the_overlap_covers_the_receptive_field(tile):
  whole = compiled.call(blur, FRAMES)
  np.testing.assert_allclose(tiled(blur, 4, tile), whole, atol=1e-5)
  # Not exact if the receptive field is two pixels larger.
  far = lambda x: blur(x, 3)
  off = np.abs(tiled(far, 4, (7, 7)) - compiled.call(far, FRAMES)).max()
  assert off > 0.1


def test_weights_sum_to_one():
  """The last tile may overlap more, and three tiles may overlap."""
  for overlap in (0, 1, 2, 3, 5):
    np.testing.assert_allclose(
      tiled(lambda x: x.repeat(2, 2).repeat(2, 3), overlap),
      FRAMES.repeat(2, 2).repeat(2, 3),
      atol=1e-5,
    )


def test_tiles_are_blended_linearly():
  """Between tiles of different brightness there is a slope, not a step."""

  def exposed(x_bthwd):
    level = x_bthwd.mean((2, 3), keepdims=True)
    return jnp.broadcast_to(level, (*x_bthwd.shape[:2], 14, 14, 3))

  step = lambda overlap: np.abs(np.diff(tiled(exposed, overlap), axis=3)).max()
  assert step(6) < step(0) / 3


def test_overlaps_as_large_as_tiles_raise():
  with pytest.raises(
    ValueError, match='overlap is 7 and the side of a tile is 7'
  ):
    tiled(blur, 7)


def test_bfloat16_tiles_are_summed_in_float32():
  coarse = tiled(lambda x: blur(x).astype(jnp.bfloat16), 4)
  assert coarse.dtype == jnp.bfloat16
  whole = compiled.call(blur, FRAMES)
  np.testing.assert_allclose(
    coarse.astype(np.float32), whole, atol=0.05, rtol=0.01
  )

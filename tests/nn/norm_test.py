"""Tests of nn/norm.py."""

import chex
import flax.linen as nn
import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn import norm

pytestmark = pytest.mark.usefixtures('compares_finite')

X = 3 + 2 * arrays.normal((2, 3, 4, 4, 6))


def test_each_frame_is_normalized_as_an_image():
  """The result equals flax's group norm of images, not that of clips."""
  layer = norm.FrameGroupNorm(num_groups=3)
  out, variables = compiled.init_with_output(layer, jax.random.key(0), X)
  flax_norm = nn.GroupNorm(num_groups=3)
  as_images = compiled.apply(flax_norm, variables, X.reshape(6, 4, 4, 6))
  chex.assert_trees_all_close(out, as_images.reshape(X.shape), atol=1e-4)
  by_frame = nn.GroupNorm(num_groups=3, reduction_axes=(-3, -2, -1))
  chex.assert_trees_all_close(
    out, compiled.apply(by_frame, variables, X), atol=1e-4
  )
  assert not np.allclose(
    out, compiled.apply(flax_norm, variables, X), atol=1e-2
  )


def test_scale_and_shift_apply_after_normalization():
  layer = norm.FrameGroupNorm(num_groups=3)
  number_c = np.arange(6, dtype=np.float32)
  params = {'params': {'scale': number_c + 1, 'bias': number_c}}
  scale, shift = arrays.normal((2, 2, 6), seed=1)
  to_clip = lambda x_bc: x_bc[:, None, None, None]
  plain, changed = compiled.call(
    lambda *args: (layer.apply(params, X), layer.apply(params, *args)),
    X,
    scale,
    shift,
  )
  chex.assert_trees_all_close(
    changed,
    plain * (1 + to_clip(scale)) + to_clip(shift),
    rtol=1e-4,
    atol=1e-4,
  )


def test_groups_divide_the_channels():
  """6 channels cannot be split into 32 groups, but into 6."""
  out, _ = compiled.init_with_output(
    norm.FrameGroupNorm(32), jax.random.key(0), X
  )
  same, _ = compiled.init_with_output(
    norm.FrameGroupNorm(6), jax.random.key(0), X
  )
  chex.assert_trees_all_equal(out, same)


def test_groups_of_min_channels_keep_brightness():
  """With one channel per group, frames that differ by a constant are equal."""
  dark = np.broadcast_to(np.arange(8, dtype=np.float32), (1, 1, 2, 2, 8))
  bright = dark + np.float32([5, 5, 0, 0, 0, 0, 0, 0])
  difference = {}
  for least in (1, 4):
    layer = norm.FrameGroupNorm(8, min_channels=least)
    init = compiled.jit(layer.init_with_output)
    (a, _), (b, _) = (init(jax.random.key(0), x) for x in (dark, bright))
    difference[least] = float(np.abs(a - b).max())
  assert difference[1] < 1e-3
  assert difference[4] > 0.1

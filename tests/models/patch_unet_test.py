"""Tests of models/patch_unet.py."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.models import patch_unet

pytestmark = pytest.mark.usefixtures('compares_finite')

VIDEO = np.float32(np.random.default_rng(0).normal(size=(2, 3, 8, 8, 1)))
TIME = np.float32([0.1, 0.9])


def make(**kwargs) -> patch_unet.PatchUNet:
  return patch_unet.PatchUNet(**{'width': 8, 'num_heads': 2} | kwargs)


def random_params(model, condition=None) -> dict:
  """Returns random parameters none of which is zero."""
  rng = np.random.default_rng(0)
  shapes = compiled.shapes(
    model, jax.random.key(1), VIDEO, TIME, condition or {}, train=False
  )
  return jax.tree.map(
    lambda x: np.float32(0.2 * rng.standard_normal(x.shape)), shapes
  )


def apply(model, params, video=VIDEO, time_b=TIME, condition=None):
  return compiled.apply(
    model, params, video, time_b, condition or {}, train=False
  )


def test_output_is_zero_before_training():
  model = make()
  params = compiled.init(model, jax.random.key(1), VIDEO, TIME, {}, train=False)
  np.testing.assert_array_equal(apply(model, params), np.zeros(VIDEO.shape))


def test_every_pixel_depends_on_its_whole_clip_and_no_other():
  model = make()
  params = random_params(model)

  def one_pixel(video_bthwc):
    field = model.apply(params, video_bthwc, TIME, {}, train=False)
    return field[0, 0, 0, 0, 0]

  dependence = np.abs(compiled.jit(jax.grad(one_pixel))(VIDEO))
  assert (dependence[0] > 0).all()
  assert (dependence[1] == 0).all()


@pytest.mark.parametrize('axis', [1, 2, 3], ids=['frames', 'rows', 'columns'])
def test_output_depends_on_positions(axis):
  """A symmetric network without position embeddings would mirror its output."""
  model = make()

  def mirrored(kept, path, x):
    name = jax.tree_util.keystr(path)
    if 'table' in name:
      return x if f"'{kept}'" in name else np.zeros_like(x)
    if x.ndim == 5:  # Of a convolution: make it even along all axes.
      for i in range(3):
        x = (x + np.flip(x, i)) / 2
    return x

  def is_symmetric(kept):
    params = jax.tree_util.tree_map_with_path(
      functools.partial(mirrored, kept), random_params(model)
    )
    flipped = np.flip(apply(model, params, np.flip(VIDEO, axis)), axis)
    return np.allclose(flipped, apply(model, params), rtol=1e-3, atol=1e-3)

  assert not is_symmetric('place')
  assert not is_symmetric('middle_place')
  assert is_symmetric('none') == (
    axis == 1
  )  # Patches have a left and an upper side.


def test_output_depends_on_labels_and_times():
  model = make(num_classes=3, multipliers=(1,))
  params = random_params(model, {'label': np.zeros(2, int)})
  out = apply(model, params, condition={'label': np.array([0, 3])})
  swapped = apply(model, params, condition={'label': np.array([3, 0])})
  assert not np.allclose(out, swapped, atol=1e-3)
  free = apply(model, params)
  chex.assert_trees_all_close(out[1], free[1], rtol=1e-4, atol=1e-4)
  late = apply(model, params, time_b=TIME[::-1])
  assert not np.allclose(free, late, atol=1e-3)
  with pytest.raises(ValueError, match='num_classes is 0'):
    random_params(make(), {'label': np.zeros(2, int)})


def test_bfloat16_is_close_to_float32_and_returns_float32():
  params = random_params(make())
  wide = apply(make(), params)
  narrow = apply(make(dtype='bfloat16'), params)
  assert narrow.dtype == jnp.float32
  error = np.sqrt(np.square(wide - narrow).mean() / np.square(wide).mean())
  assert 1e-6 < error < 0.1


def test_errors_name_the_wrong_field():
  with pytest.raises(ValueError, match='both sides must be multiples of 16'):
    random_params(make(multipliers=(1, 1, 1, 1)))
  with pytest.raises(ValueError, match='width is 12; it must be a multiple'):
    random_params(make(width=12))
  with pytest.raises(ValueError, match=r'level is 16; .* of num_heads, 3'):
    random_params(make(num_heads=3))
  with pytest.raises(ValueError, match='temporal_kernel is 2; it must be odd'):
    random_params(make(temporal_kernel=2))


def test_multipliers_set_the_width_of_each_level():
  """A kernel has 3 x 3 taps; inputs and outputs have the width of its level."""

  def widths(**kwargs):
    shapes = jax.eval_shape(
      lambda: make(**kwargs).init(
        jax.random.key(0), VIDEO, TIME, {}, train=False
      )
    )['params']
    return {
      name: block['space']['kernel'].shape[-1]
      for name, block in shapes.items()
      if 'space' in block
    }

  found = widths(width=8, multipliers=(1, 3), middle_blocks=1)
  assert found == {
    'down_0_0': 8,
    'down_1_0': 24,
    'middle_0': 24,
    'up_1_0': 24,
    'up_0_0': 8,
    'last': 8,
  }

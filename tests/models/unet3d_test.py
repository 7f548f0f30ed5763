"""Tests of models/unet3d.py."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.models import unet3d

pytestmark = pytest.mark.usefixtures('compares_finite')

VIDEO = np.float32(np.random.default_rng(0).normal(size=(2, 3, 4, 4, 1)))
TIME = np.float32([0.1, 0.9])


def make(**kwargs) -> unet3d.UNet3D:
  small = dict(
    width=8,
    multipliers=(1, 2),
    blocks_per_level=1,
    attention_levels=(),
    temporal_attention_levels=None,
    head_width=8,
  )
  return unet3d.UNet3D(**small | kwargs)


def random_params(model: unet3d.UNet3D, condition=None) -> dict:
  """Returns random parameters none of which is zero."""
  rng = np.random.default_rng(0)
  shapes = compiled.shapes(
    model, jax.random.key(1), VIDEO, TIME, condition or {}, train=False
  )
  return jax.tree.map(
    lambda x: np.float32(0.2 * rng.standard_normal(x.shape)), shapes
  )


def test_output_is_zero_before_training():
  model = make(temporal_attention_levels=(1,), temporal_kernel=3)
  params = compiled.init(model, jax.random.key(1), VIDEO, TIME, {}, train=False)
  out = compiled.apply(model, params, VIDEO, TIME, {}, train=False)
  np.testing.assert_array_equal(out, np.zeros(VIDEO.shape))


@pytest.mark.parametrize(
  ('kwargs', 'depends'),
  [
    (dict(), [True, False, False]),
    (
      dict(temporal_attention_levels=(), multipliers=(1,)),
      [True, True, True],
    ),
    (dict(temporal_kernel=3, multipliers=(1,)), [True, True, True]),
  ],
  ids=['frame by frame', 'attention', 'taps'],
)
def test_only_temporal_layers_mix_frames(kwargs, depends):
  model = make(**kwargs)
  params = random_params(model)

  # Clips 1 to 3 have another frame each, and clips 4 to 19 another pixel of
  # frame 0. Clip 20 is random.
  clips = np.repeat(VIDEO[:1], 21, axis=0)
  for i in range(3):
    clips[1 + i, i] *= -1
  for i in range(16):
    clips[4 + i, 0, i // 4, i % 4] += 1
  clips[20] = VIDEO[1]
  time_b = np.full(21, 0.1, np.float32)
  apply = lambda clips: compiled.apply(
    model, params, clips, time_b, {}, train=False
  )
  out = apply(clips)
  change = np.abs(out[:, 0] - out[0, 0])
  depends_on_frame = change[1:4].max((1, 2, 3)) > 1e-4
  assert depends_on_frame.tolist() == depends
  # Each pixel of a frame depends on all pixels of the frame.
  assert (change[4:20].max(3) > 1e-6).all()
  others = apply(np.concatenate([clips[:1], -clips[1:]]))
  # Clips of a batch do not depend on each other.
  np.testing.assert_allclose(others[0], out[0], rtol=1e-5, atol=1e-5)


def ignores_order() -> bool:
  """Returns whether reordered frames give outputs in the same order."""
  model = make(multipliers=(1,), temporal_attention_levels=())
  # Sharp attention, because uniform attention does not depend on the order.
  params = jax.tree_util.tree_map_with_path(
    lambda path, x: 20 * x if 'key' in str(path) else x, random_params(model)
  )
  apply = compiled.jit(
    lambda video: model.apply(params, video, TIME, {}, train=False)
  )
  order = np.array([1, 0, 2])
  moved = apply(VIDEO)[:, order]
  return np.allclose(apply(VIDEO[:, order]), moved, rtol=1e-3, atol=1e-3)


def test_temporal_attention_depends_on_the_order_of_frames(monkeypatch):
  assert not ignores_order()
  without_positions = lambda x_bnae, angle_np: x_bnae
  monkeypatch.setattr(unet3d.embeddings, 'rotate', without_positions)
  assert ignores_order()


def test_output_depends_on_labels_and_times():
  model = make(num_classes=3, multipliers=(1,))
  params = random_params(model, {'label': np.zeros(2, int)})
  apply = lambda time_b, condition: compiled.apply(
    model, params, VIDEO, time_b, condition, train=False
  )
  out = apply(TIME, {'label': np.array([0, 3])})
  swapped = apply(TIME, {'label': np.array([3, 0])})
  assert not np.allclose(out, swapped, atol=1e-3)
  free = apply(TIME, {})
  chex.assert_trees_all_close(out[1], free[1], rtol=1e-4, atol=1e-4)
  assert not np.allclose(free, apply(TIME[::-1], {}), atol=1e-3)
  with pytest.raises(ValueError, match='num_classes is 0'):
    random_params(make(), {'label': np.zeros(2, int)})


def test_remat_keeps_gradients_and_dropout_changes_them():
  small = dict(multipliers=(1,), blocks_per_level=0, dropout=0.3)
  params = random_params(make(**small))

  def gradient(**kwargs):
    model = make(**small, **kwargs)
    loss = lambda params, key: jnp.square(
      model.apply(params, VIDEO, TIME, {}, train=True, rngs={'dropout': key})
    ).mean()
    grad = compiled.jit(jax.grad(loss))
    return lambda seed: grad(params, jax.random.key(seed))

  plain = gradient()
  kept, other = plain(0), plain(1)
  again = gradient(remat='full')(0)
  chex.assert_trees_all_close(again, kept, rtol=1e-3, atol=1e-3)
  with pytest.raises(AssertionError):
    chex.assert_trees_all_close(other, kept, rtol=1e-3, atol=1e-3)


def test_bfloat16_is_close_to_float32_and_returns_float32():
  fields = dict(multipliers=(1,))
  params = random_params(make(**fields))
  wide, narrow = (
    compiled.apply(
      make(dtype=dtype, **fields), params, VIDEO, TIME, {}, train=False
    )
    for dtype in ('float32', 'bfloat16')
  )
  assert narrow.dtype == jnp.float32
  error = np.abs(wide - narrow).max() / np.abs(wide).max()
  assert 0 < error < 0.05


def test_patches_keep_their_positions():
  """The output of a patch has the position of its input."""
  model = make(patch_size=2, multipliers=(1,))
  params = random_params(model)
  out = params['params']['out']
  params['params']['out'] = {
    'kernel': 0 * out['kernel'],
    'bias': np.float32([1, 2, 3, 4]),
  }
  field = compiled.apply(model, params, VIDEO, TIME, {}, train=False)
  expected = np.tile([[1, 2], [3, 4]], (2, 2))
  chex.assert_trees_all_close(field[1, 2, :, :, 0], np.float32(expected))


def test_parameter_count():
  """Golden value of 20 Nov 2026; update it when the network changes."""
  model = unet3d.UNet3D(
    width=64, multipliers=(1, 2, 4, 8), temporal_kernel=3, num_classes=10
  )
  video = jax.ShapeDtypeStruct((1, 16, 64, 64, 3), jnp.float32)
  params = jax.eval_shape(
    lambda key, video, time: model.init(key, video, time, {}, train=False),
    jax.random.key(0),
    video,
    jax.ShapeDtypeStruct((1,), jnp.float32),
  )
  assert sum(x.size for x in jax.tree.leaves(params)) == 71_676_547


def test_errors_name_the_wrong_field():
  with pytest.raises(ValueError, match='both sides must be multiples of 8'):
    random_params(make(multipliers=(1, 1, 1), patch_size=2))
  with pytest.raises(ValueError, match='temporal_kernel is 2; it must be odd'):
    random_params(make(temporal_kernel=2))
  with pytest.raises(ValueError, match=r'attention is 16; .* of head_width, 7'):
    random_params(make(head_width=7))


@pytest.mark.parametrize(
  'field', ['attention_levels', 'temporal_attention_levels']
)
@pytest.mark.parametrize('levels', [(2,), (0, 1, 2), (-1,)])
def test_levels_that_do_not_exist_are_errors(field, levels):
  message = rf'^{field} is .*, but there are 2 levels, .* from 0 to 1\.$'
  with pytest.raises(ValueError, match=message):
    make(**{field: levels})
  assert make(multipliers=(1, 1, 1), **{field: (0, 2)})


def test_the_default_levels_of_attention_fit_any_number_of_levels():
  assert unet3d.UNet3D(8, multipliers=(1,)) is not None
  assert unet3d.UNet3D(8, multipliers=(1, 2)) is not None


def test_labels_change_the_condition_as_much_as_times_before_training():
  """With a small embedding, labels are not used for thousands of steps."""
  model = make(width=32, num_classes=8)
  label = np.array([0, 5])
  init = lambda time_b, label_b: model.init_with_output(
    jax.random.key(0),
    VIDEO,
    time_b,
    {'label': label_b},
    train=False,
    capture_intermediates=lambda module, _: module.name == 'condition',
  )[1]['intermediates']['condition']['__call__'][0]
  init = compiled.jit(init)
  change = lambda x: float(np.linalg.norm(x[0] - x[1]))
  by_label = change(init(np.float32([0.5, 0.5]), label))
  by_time = change(init(TIME, np.array([0, 0])))
  assert 0.5 < by_label / by_time < 5

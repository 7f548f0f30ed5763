"""Tests of models/dit.py."""

import re

import chex
from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.models import dit

pytestmark = pytest.mark.usefixtures('compares_finite')

VIDEO = jax.random.normal(jax.random.key(0), (2, 3, 4, 4, 1))
TIME = jnp.array([0.1, 0.9])


def make(**kwargs) -> dit.VideoDiT:
  return dit.VideoDiT(**dict(width=16, depth=2, num_heads=2) | kwargs)


def random_params(model: dit.VideoDiT, condition=None) -> dict:
  """Returns random parameters none of which is zero."""
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(
    lambda key: model.init(key, VIDEO, TIME, condition or {}, train=False),
    jax.random.key(1),
  )
  return jax.tree.map(
    lambda x: np.float32(0.3 * rng.standard_normal(x.shape)), shapes
  )


def test_output_is_zero_before_training():
  out, _ = jax.jit(
    lambda key: make().init_with_output(key, VIDEO, TIME, {}, train=False)
  )(jax.random.key(1))
  chex.assert_trees_all_equal(out, jnp.zeros_like(VIDEO))


def close_gates(params: dict, pattern: str) -> dict:
  """Returns parameters with the gates of blocks set to zero."""
  flat = traverse_util.flatten_dict(params, sep='/')
  hit = [path for path in flat if re.search(pattern, path)]
  assert hit
  return traverse_util.unflatten_dict(
    flat | {path: 0 * flat[path] for path in hit}, sep='/'
  )


@pytest.mark.parametrize(
  ('attention', 'closed_blocks', 'uses_frames', 'uses_patches', 'uses_all'),
  [
    ('factorised', r'blocks/', False, False, False),
    ('factorised', r'blocks/time/modulation', False, True, False),
    ('factorised', r'blocks/space/modulation', True, False, False),
    ('factorised', None, True, True, True),
    ('full', None, True, True, True),
  ],
  ids=['no block', 'space', 'time', 'space and time', 'full'],
)
def test_receptive_field_of_a_patch(
  attention, closed_blocks, uses_frames, uses_patches, uses_all
):
  """Gradients of one output patch show which inputs it depends on."""
  model = make(attention=attention)
  params = random_params(model)
  if closed_blocks:
    params = close_gates(params, closed_blocks)

  def one_patch(video_bthwc):
    out = model.apply(params, video_bthwc, TIME, {}, train=False)
    return out[0, 0, :2, :2].sum()

  dependence = jnp.abs(jax.jit(jax.grad(one_patch))(VIDEO)) > 1e-7
  assert dependence[0, 0, :2, :2].all(), 'A patch depends on itself.'
  assert dependence[0, 1:, :2, :2].any() == uses_frames
  assert dependence[0, 0, 2:].any() == uses_patches
  assert dependence[0, 1:, 2:].any() == uses_all
  assert not dependence[1].any(), 'Clips of a batch never see each other.'


def test_labels_matter_and_no_label_is_the_last_row():
  model = make(num_classes=3)
  params = random_params(model, {'label': jnp.zeros(2, int)})
  apply = jax.jit(
    lambda condition: model.apply(params, VIDEO, TIME, condition, train=False)
  )
  out = apply({'label': jnp.array([0, 3])})
  assert not jnp.allclose(out, apply({'label': jnp.array([3, 0])}))
  chex.assert_trees_all_close(out[1], apply({})[1], rtol=1e-5, atol=1e-5)
  with pytest.raises(ValueError, match='num_classes is 0'):
    random_params(make(), {'label': jnp.zeros(2, int)})


def test_output_depends_on_positions():
  """Without positions, shuffled patches give shuffled outputs."""
  shuffled = jnp.roll(VIDEO, (1, 2), axis=(1, 2))

  def is_deaf_to_places(**kwargs):
    model = make(**kwargs)
    params = random_params(model)
    apply = jax.jit(
      lambda video: model.apply(params, video, TIME, {}, train=False)
    )
    moved = jnp.roll(apply(VIDEO), (1, 2), axis=(1, 2))
    return jnp.allclose(apply(shuffled), moved, atol=1e-3)

  assert not is_deaf_to_places(positions='rotary')
  assert not is_deaf_to_places(positions='absolute')

  class WithoutPositions(dit.VideoDiT):
    def _angles(self, grid):
      return {}

  model = WithoutPositions(width=16, depth=2, num_heads=2)
  params = random_params(model)
  apply = jax.jit(
    lambda video: model.apply(params, video, TIME, {}, train=False)
  )
  moved = jnp.roll(apply(VIDEO), (1, 2), axis=(1, 2))
  chex.assert_trees_all_close(apply(shuffled), moved, atol=1e-3)


def change_by_great_queries(qk_norm: bool) -> float:
  """Returns the change of the output if all queries are multiplied by 1,000."""
  model = make(qk_norm=qk_norm)
  params = random_params(model)
  great = jax.tree_util.tree_map_with_path(
    lambda path, x: 1e3 * x if "'query'" in str(path) else x, params
  )
  apply = jax.jit(lambda p: model.apply(p, VIDEO, TIME, {}, train=False))
  out = apply(params)
  return float(jnp.abs(apply(great) - out).max() / jnp.abs(out).max())


def test_qk_norm_bounds_logits():
  assert change_by_great_queries(qk_norm=True) < 1e-3
  assert change_by_great_queries(qk_norm=False) > 1e-2


@pytest.mark.parametrize(
  ('width', 'depth', 'num_heads', 'millions'),
  [
    (384, 12, 6, 33),
    (768, 12, 12, 130),
    (1024, 24, 16, 458),
    (1152, 28, 16, 675),
  ],
  ids=['S/2', 'B/2', 'L/2', 'XL/2'],
)
def test_parameter_counts_equal_the_published_ones(
  width, depth, num_heads, millions
):
  """Compares with the table of the paper, without allocating parameters."""
  model = dit.VideoDiT(width, depth, num_heads, num_classes=1000)
  latent = jax.ShapeDtypeStruct((1, 1, 32, 32, 4), jnp.float32)
  one = jax.ShapeDtypeStruct((1,), jnp.float32)
  params = jax.eval_shape(
    lambda key, video, time: model.init(key, video, time, {}, train=False),
    jax.random.key(0),
    latent,
    one,
  )
  num_params = sum(x.size for x in jax.tree.leaves(params))
  assert num_params == pytest.approx(millions * 1e6, rel=0.01)


def count_equations(depth: int) -> int:
  model = make(depth=depth)
  init = lambda key: model.init(key, VIDEO, TIME, {}, train=False)
  params = jax.eval_shape(init, jax.random.key(0))
  apply = lambda params: model.apply(params, VIDEO, TIME, {}, train=False)
  return len(str(jax.make_jaxpr(jax.grad(lambda p: apply(p).sum()))(params)))


def test_program_size_does_not_depend_on_depth():
  assert count_equations(12) == pytest.approx(count_equations(4), rel=0.01)


def test_scan_equals_a_loop_over_blocks():
  model = make(depth=4)
  params = random_params(model)

  class Unrolled(dit.VideoDiT):
    def _blocks(self, x_btsd, cond_bd, angles, train):
      group = dit._BlockGroup(
        ('space', 'time'),
        dict(
          num_heads=2,
          qk_norm=True,
          mlp_ratio=4.0,
          dropout=0.0,
          train=False,
          implementation='xla',
          dtype='float32',
        ),
        parent=None,
      )
      for i in order:
        block = jax.tree.map(lambda x, i=i: x[i], params['params']['blocks'])
        x_btsd, _ = group.apply({'params': block}, x_btsd, cond_bd, angles)
      return x_btsd

  unrolled = Unrolled(width=16, depth=4, num_heads=2)
  out = jax.jit(model.apply, static_argnames='train')(
    params, VIDEO, TIME, {}, train=False
  )
  order = (0, 1)
  plain = unrolled.apply(params, VIDEO, TIME, {}, train=False)
  chex.assert_trees_all_close(out, plain, rtol=1e-3, atol=1e-3)
  order = (1, 0)
  wrong = unrolled.apply(params, VIDEO, TIME, {}, train=False)
  assert not jnp.allclose(out, wrong, rtol=1e-2, atol=1e-2)


def test_remat_changes_no_gradient():
  params = random_params(make())

  def gradient(**kwargs):
    model = make(**kwargs)
    loss = lambda params: (
      (model.apply(params, VIDEO, TIME, {}, train=True) - VIDEO) ** 2
    ).mean()
    return jax.jit(jax.grad(loss))(params)

  kept = gradient()
  for policy in ('full', 'weight_dots'):
    chex.assert_trees_all_close(
      gradient(remat=policy), kept, rtol=1e-3, atol=1e-4
    )
  with pytest.raises(ValueError, match="Did you mean 'full'"):
    gradient(remat='ful')


def test_dropout_is_only_on_in_training():
  model = make(dropout=0.5)
  params = random_params(model)
  apply = jax.jit(model.apply, static_argnames='train')
  drop = lambda seed: apply(
    params, VIDEO, TIME, {}, train=True, rngs={'dropout': jax.random.key(seed)}
  )
  assert not jnp.allclose(drop(0), drop(1))
  out = apply(params, VIDEO, TIME, {}, train=False)
  same = jax.jit(make().apply, static_argnames='train')
  chex.assert_trees_all_equal(out, same(params, VIDEO, TIME, {}, train=False))


def test_bfloat16_is_close_to_float32_and_returns_float32():
  params = jax.tree.map(lambda x: 0.3 * x, random_params(make()))
  wide, narrow = (
    jax.jit(
      lambda params, dtype=dtype: make(dtype=dtype).apply(
        params, VIDEO, TIME, {}, train=False
      )
    )(params)
    for dtype in ('float32', 'bfloat16')
  )
  assert narrow.dtype == jnp.float32
  error = jnp.abs(wide - narrow).max() / jnp.abs(wide).max()
  assert 0 < error < 0.03


def test_tensor_rules_shard_attention_and_mlp_of_blocks():
  paths = traverse_util.flatten_dict(random_params(make())['params'], sep='/')
  sharded = {
    path: spec
    for path in paths
    for pattern, spec in dit.TENSOR_RULES
    if re.search(pattern, path)
  }
  for axis in ('space', 'time'):
    for name in ('query', 'key', 'value', 'mlp_in'):
      assert sharded[f'blocks/{axis}/{name}/kernel'] == (None, 'tensor')
      assert sharded[f'blocks/{axis}/{name}/bias'] == ('tensor',)
    for name in ('out', 'mlp_out'):
      assert sharded[f'blocks/{axis}/{name}/kernel'] == ('tensor', None)
  assert len(sharded) == 2 * (4 * 2 + 2), 'Nothing else is sharded.'


@pytest.mark.parametrize(
  ('kwargs', 'match'),
  [
    (
      dict(patch_size=(1, 3, 2)),
      r'clips is 3 x 4 x 4; .* patch_size, 1 x 3 x 2',
    ),
    (dict(patch_size=(2, 2, 2)), 'patch_size, 2 x 2 x 2'),
    (dict(depth=3), 'depth is 3; it must be even'),
    (dict(num_heads=3), 'a multiple of num_heads, 3'),
    (dict(attention='ful'), "attention is 'ful'; it must be one of"),
    (dict(positions='rope'), "positions is 'rope'; it must be one of"),
  ],
)
def test_errors_name_the_wrong_field(kwargs, match):
  with pytest.raises(ValueError, match=match):
    random_params(make(**kwargs))

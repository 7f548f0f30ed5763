"""Tests of models/dit.py: scan over blocks, remat, dropout, dtype, sharding."""

import re

import chex
from flax import traverse_util
import jax
import jax.numpy as jnp
import pytest

from tests.models import small_dit
from vgen_jax.models import dit

pytestmark = pytest.mark.usefixtures('compares_finite')


def count_equations(depth: int) -> int:
  model = small_dit.make(depth=depth)
  init = lambda key: model.init(
    key, small_dit.VIDEO, small_dit.TIME, {}, train=False
  )
  params = jax.eval_shape(init, jax.random.key(0))
  apply = lambda params: model.apply(
    params, small_dit.VIDEO, small_dit.TIME, {}, train=False
  )
  return len(str(jax.make_jaxpr(jax.grad(lambda p: apply(p).sum()))(params)))


def test_program_size_does_not_depend_on_depth():
  assert count_equations(12) == pytest.approx(count_equations(4), rel=0.01)


def test_scan_equals_a_loop_over_blocks():
  model = small_dit.make(depth=4)
  params = small_dit.random_params(model)

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
    params, small_dit.VIDEO, small_dit.TIME, {}, train=False
  )
  order = (0, 1)
  plain = unrolled.apply(
    params, small_dit.VIDEO, small_dit.TIME, {}, train=False
  )
  chex.assert_trees_all_close(out, plain, rtol=1e-3, atol=1e-3)
  order = (1, 0)
  wrong = unrolled.apply(
    params, small_dit.VIDEO, small_dit.TIME, {}, train=False
  )
  assert not jnp.allclose(out, wrong, rtol=1e-2, atol=1e-2)


def test_remat_changes_no_gradient():
  params = small_dit.random_params(small_dit.make())

  def gradient(**kwargs):
    model = small_dit.make(**kwargs)
    loss = lambda params: (
      (
        model.apply(params, small_dit.VIDEO, small_dit.TIME, {}, train=True)
        - small_dit.VIDEO
      )
      ** 2
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
  model = small_dit.make(dropout=0.5)
  params = small_dit.random_params(model)
  apply = jax.jit(model.apply, static_argnames='train')
  drop = lambda seed: apply(
    params,
    small_dit.VIDEO,
    small_dit.TIME,
    {},
    train=True,
    rngs={'dropout': jax.random.key(seed)},
  )
  assert not jnp.allclose(drop(0), drop(1))
  out = apply(params, small_dit.VIDEO, small_dit.TIME, {}, train=False)
  same = jax.jit(small_dit.make().apply, static_argnames='train')
  chex.assert_trees_all_equal(
    out, same(params, small_dit.VIDEO, small_dit.TIME, {}, train=False)
  )


def test_bfloat16_is_close_to_float32_and_returns_float32():
  params = jax.tree.map(
    lambda x: 0.3 * x, small_dit.random_params(small_dit.make())
  )
  wide, narrow = (
    jax.jit(
      lambda params, dtype=dtype: small_dit.make(dtype=dtype).apply(
        params, small_dit.VIDEO, small_dit.TIME, {}, train=False
      )
    )(params)
    for dtype in ('float32', 'bfloat16')
  )
  assert narrow.dtype == jnp.float32
  error = jnp.abs(wide - narrow).max() / jnp.abs(wide).max()
  assert 0 < error < 0.03


def test_tensor_rules_shard_attention_and_mlp_of_blocks():
  paths = traverse_util.flatten_dict(
    small_dit.random_params(small_dit.make())['params'], sep='/'
  )
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

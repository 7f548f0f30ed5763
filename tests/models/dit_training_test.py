"""Tests of models/dit.py: scan over blocks, remat, dropout, dtype, sharding."""

import re

import chex
from flax import traverse_util
import jax
import numpy as np
import pytest

from tests import compiled
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
        blocks = self.variables['params']['blocks']
        block = jax.tree.map(lambda x, i=i: x[i], blocks)
        x_btsd, _ = group.apply({'params': block}, x_btsd, cond_bd, angles)
      return x_btsd

  unrolled = Unrolled(width=16, depth=4, num_heads=2)
  run = lambda model: compiled.call(
    model.apply, params, small_dit.VIDEO, small_dit.TIME, {}, train=False
  )
  out = run(model)
  order = (0, 1)
  plain = run(unrolled)
  chex.assert_trees_all_close(out, plain, rtol=1e-3, atol=1e-3)
  order = (1, 0)
  wrong = run(unrolled)
  assert not np.allclose(out, wrong, rtol=1e-2, atol=1e-2)


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
    return compiled.jit(jax.grad(loss))(params)

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
  drop = lambda seed: compiled.apply(
    model,
    params,
    small_dit.VIDEO,
    small_dit.TIME,
    {},
    train=True,
    rngs={'dropout': jax.random.key(seed)},
  )
  assert not np.allclose(drop(0), drop(1))
  out, same = (
    compiled.apply(
      model, params, small_dit.VIDEO, small_dit.TIME, {}, train=False
    )
    for model in (model, small_dit.make())
  )
  np.testing.assert_array_equal(out, same)


def test_bfloat16_is_close_to_float32_and_returns_float32():
  params = jax.tree.map(
    lambda x: 0.3 * x, small_dit.random_params(small_dit.make())
  )
  wide, narrow = (
    compiled.apply(
      small_dit.make(dtype=dtype),
      params, small_dit.VIDEO, small_dit.TIME, {}, train=False,
    )
    for dtype in ('float32', 'bfloat16')
  )  # fmt: skip
  assert narrow.dtype == np.float32
  error = np.abs(wide - narrow).max() / np.abs(wide).max()
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

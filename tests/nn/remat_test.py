"""Tests of nn/remat.py."""

import chex
import flax.linen as nn
import jax
import pytest

from tests import compiled
from vgen_jax.nn import remat

pytestmark = pytest.mark.usefixtures('compares_finite')

X = jax.random.normal(jax.random.key(0), (4, 3))


class _Mlp(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(3)(nn.gelu(nn.Dense(8)(x)))


def loss(policy: str):
  layer = remat.wrap(_Mlp, policy)()
  return lambda params: (layer.apply(params, X) ** 2).sum()


def count_products(policy: str) -> int:
  params = compiled.init(_Mlp(), jax.random.key(1), X)
  return str(jax.make_jaxpr(jax.grad(loss(policy)))(params)).count(
    'dot_general'
  )


def test_policies_change_work_but_not_results():
  assert count_products('none') == count_products('dots')
  assert count_products('weight_dots') == count_products('dots')
  assert count_products('full') > count_products('dots')
  params = compiled.init(_Mlp(), jax.random.key(1), X)
  chex.assert_trees_all_close(
    jax.grad(loss('full'))(params), jax.grad(loss('none'))(params), rtol=1e-5
  )


def test_misspelt_policies_raise():
  with pytest.raises(ValueError, match="Did you mean 'dots'"):
    remat.wrap(_Mlp, 'dot')

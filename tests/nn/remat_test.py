"""Tests of nn/remat.py."""

import chex
import flax.linen as nn
import jax
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn import remat

pytestmark = pytest.mark.usefixtures('compares_finite')

X = arrays.normal((4, 3))


class _Mlp(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(3)(nn.gelu(nn.Dense(8)(x)))


def loss(policy: str):
  layer = remat.wrap(_Mlp, policy)()
  return lambda params: (layer.apply(params, X) ** 2).sum()


def count_products(policy: str, params) -> int:
  return str(jax.make_jaxpr(jax.grad(loss(policy)))(params)).count(
    'dot_general'
  )


def test_policies_change_work_but_not_results():
  params = compiled.init(_Mlp(), jax.random.key(1), X)
  policies = 'none', 'dots', 'weight_dots', 'full'
  count = {x: count_products(x, params) for x in policies}
  assert count['none'] == count['weight_dots'] == count['dots']
  assert count['full'] > count['dots']
  slopes = [
    compiled.call(jax.grad(loss(policy)), params) for policy in ('full', 'none')
  ]
  chex.assert_trees_all_close(*slopes, rtol=1e-5)


def test_misspelt_policies_raise():
  with pytest.raises(ValueError, match="Did you mean 'dots'"):
    remat.wrap(_Mlp, 'dot')

"""Tests of nn/spectral.py."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn import spectral
from vgen_jax.nn.convolution import conv


class Layer(nn.Module):
  """A normalized convolution; one-hot inputs return its kernel."""

  normed: bool = True
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x, *, train: bool):
    layer = conv.Conv3D(
      5, (2, 3, 3), padding='VALID', use_bias=False, dtype=self.dtype
    )
    return spectral.apply(layer, x, normed=self.normed, train=train)


ONE_HOTS = np.eye(36, dtype=np.float32).reshape(36, 2, 3, 3, 2)


@functools.cache
def initial(layer):
  return compiled.call(layer.init, jax.random.key(0), ONE_HOTS, train=False)


def effective_norm(layer, variables) -> float:
  kernel = compiled.apply(layer, variables, ONE_HOTS, train=False).reshape(
    36, 5
  )
  return float(np.linalg.norm(kernel, 2))


def test_norm_is_one_after_some_power_iterations():
  layer = Layer()
  variables = dict(initial(layer))
  variables['params'] = jax.tree.map(lambda x: 7 * x, variables['params'])
  step = compiled.jit(
    lambda v: v | layer.apply(v, ONE_HOTS, train=True, mutable='batch_stats')[1]
  )
  first = effective_norm(layer, variables)
  for _ in range(30):
    variables = step(variables)
  assert effective_norm(layer, variables) == pytest.approx(1, abs=0.01)
  assert first >= 1  # The estimate of the norm is a lower bound.

  plain = Layer(normed=False)
  kernel = variables['params']['Conv3D_0']['kernel']
  norm = effective_norm(plain, {'params': variables['params']})
  assert norm == pytest.approx(
    float(compiled.call(spectral.norm, kernel)), rel=1e-4
  )
  assert norm > 3


def test_vectors_are_updated_only_in_training():
  layer = Layer()
  variables = initial(layer)
  changes = lambda train: jax.tree.leaves(
    jax.tree.map(
      lambda old, new: not np.array_equal(old, new),
      variables['batch_stats'],
      compiled.apply(
        layer, variables, ONE_HOTS, train=train, mutable='batch_stats'
      )[1]['batch_stats'],
    )
  )
  assert not any(changes(False))
  assert all(changes(True))


def test_parameters_and_dtypes_equal_those_of_the_layer():
  shape_of = lambda **fields: jax.eval_shape(
    lambda: Layer(**fields).init(jax.random.key(0), ONE_HOTS, train=False)
  )
  normed = shape_of(dtype='bfloat16')
  assert normed['params'] == shape_of(normed=False)['params']
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(normed))
  layer = Layer(dtype='bfloat16')
  y, _ = jax.eval_shape(
    lambda: layer.init_with_output(jax.random.key(0), ONE_HOTS, train=False)
  )
  assert y.dtype == jnp.bfloat16


def test_gradient_is_zero_along_the_kernel():
  """A normalized layer does not depend on the scale of its kernel."""
  layer = Layer()
  variables = initial(layer)
  x = arrays.normal(ONE_HOTS.shape, seed=1)

  def along(layer):
    def loss(params):
      return jnp.square(
        compiled.apply(layer, variables | params, x, train=False)
      ).mean()

    params = {'params': variables['params']}
    slope = compiled.jit(jax.grad(loss))(params)
    return sum(
      np.vdot(a, b)
      for a, b in zip(
        jax.tree.leaves(params), jax.tree.leaves(slope), strict=True
      )
    )

  assert abs(along(layer)) < 1e-4
  assert along(Layer(normed=False)) > 0.1

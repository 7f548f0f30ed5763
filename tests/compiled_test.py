"""Tests of tests/compiled.py."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled

X = np.float32([[1.0, -2.0]])


class Layer(nn.Module):
  """A dense layer that needs to know whether it is trained."""

  @nn.compact
  def __call__(self, x, scale, *, train):
    y = nn.Dense(2)(x) * scale
    return {'y': y if train else -y, 'key': jax.random.key(0)}


class Shift(nn.Module):
  """Adds a constant."""

  shift: float | np.ndarray

  def __call__(self, x):
    return x + self.shift


def test_results_are_those_of_the_module_as_arrays_of_numpy():
  layer, key = Layer(), jax.random.key(1)
  variables = compiled.init(layer, key, X, 2.0, train=True)
  wanted = layer.init(key, X, 2.0, train=True)
  assert jax.tree.structure(variables) == jax.tree.structure(wanted)
  for one, two in zip(
    jax.tree.leaves(variables), jax.tree.leaves(wanted), strict=True
  ):
    assert type(one) is np.ndarray
    assert (one.shape, one.dtype) == (two.shape, two.dtype)
  for train in (True, False):
    out = compiled.apply(layer, variables, X, 2.0, train=train)
    assert type(out['y']) is np.ndarray
    wanted = layer.apply(variables, X, 2.0, train=train)['y']
    np.testing.assert_allclose(out['y'], wanted, rtol=1e-6)
    assert jnp.issubdtype(out['key'].dtype, jax.dtypes.prng_key)


def test_calls_of_equal_modules_are_traced_once():
  count = []

  class Counted(nn.Module):
    parts: dict

    @nn.compact
    def __call__(self, x, scale):
      count.append(1)
      return nn.Dense(2)(x) * scale * self.parts['a'].features

  make = lambda features=3: Counted({'a': nn.Dense(features)})
  variables = compiled.init(make(), jax.random.key(0), X, 1.0)
  shapes = compiled.shapes(make(), jax.random.key(1), X, 1.0)
  assert shapes['params']['Dense_0']['kernel'].shape == (2, 2)
  assert len(count) == 1
  del count[:]
  one = compiled.apply(make(), variables, X, 1.0)
  same = compiled.apply(make(), variables, X + 1, 1.0)
  assert len(count) == 1
  assert (one != same).all()
  # Other fields, arguments, types of arguments and shapes are traced.
  np.testing.assert_allclose(
    compiled.apply(make(6), variables, X, 1.0), 2 * one
  )
  np.testing.assert_allclose(compiled.apply(make(), variables, X, 2.0), 2 * one)
  compiled.apply(make(), variables, X, 1)
  compiled.apply(make(), variables, np.concatenate([X, X]), 1.0)
  assert len(count) == 5
  once = compiled.once(lambda module, number: [])
  assert once(make(), 1) is once(make(), 1)
  assert once(make(), 1) is not once(make(), 1.0)
  assert once(make(), 1) is not once(make(4), 1)


def test_equal_modules_are_initialized_by_one_trace(monkeypatch):
  count = []

  class Counted(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
      count.append(1)
      return nn.Dense(self.width)(x)

  def shapes(width):
    module = compiled.TracedOnce(Counted(width))
    assert module.width == width
    state = jax.eval_shape(lambda: module.init(jax.random.key(0), X))
    return state['params']['Dense_0']['kernel'].shape

  monkeypatch.setattr(compiled, 'reuse', True)
  assert (shapes(3), shapes(3), shapes(4)) == ((2, 3), (2, 3), (2, 4))
  assert len(count) == 2
  variables = compiled.TracedOnce(Counted(3)).init(jax.random.key(0), X)
  wanted = Counted(3).init(jax.random.key(0), X)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), variables, wanted
  )
  monkeypatch.setattr(compiled, 'reuse', False)
  shapes(3)
  assert len(count) == 4


def test_calls_of_patched_modules_are_traced_again(monkeypatch):
  one = compiled.apply(Shift(np.pi), {}, X)
  monkeypatch.setattr(Shift, '__call__', lambda self, x: x - self.shift)
  other = compiled.apply(Shift(np.pi), {}, X)
  np.testing.assert_allclose(one - other, 2 * np.pi, rtol=1e-5)


def test_modules_with_arrays_are_traced_each_time():
  for shift in (1, 2):
    shifted = compiled.apply(Shift(np.full((1, 2), shift, np.float32)), {}, X)
    np.testing.assert_array_equal(shifted, X + shift)


def test_only_arrays_are_traced():
  seen = []

  def function(x, scale, *, name):
    seen.append((isinstance(x, jax.core.Tracer), scale, name))
    return x * scale

  np.testing.assert_array_equal(compiled.call(function, X, 3, name='a'), 3 * X)
  assert seen == [(True, 3, 'a')]


def test_traced_calls_have_gradients():
  slope = jax.grad(lambda x: compiled.call(jnp.square, x).sum())(X)
  np.testing.assert_array_equal(slope, 2 * X)
  function = compiled.jit(lambda x, n: x**n, static_argnums=1)
  assert type(function(X, 3)) is np.ndarray
  slope = compiled.jit(jax.grad(lambda x: function(x, 3).sum()))(X)
  np.testing.assert_allclose(slope, 3 * X**2)


def test_errors_are_those_of_the_function():
  def function(x):
    raise ValueError(f'x has shape {x.shape}')

  with pytest.raises(ValueError, match=r'x has shape \(1, 2\)'):
    compiled.call(function, X)

"""Tests of tests/faster_flax.py, which conftest.py installs."""

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

X = np.ones((1, 3), np.float32)
CALLS = []


def counted(key, shape, scale):
  CALLS.append(shape)
  return jnp.full(shape, scale)


class Layer(nn.Module):
  """A matrix, drawn by an initializer that counts its calls."""

  width: int
  scale: object = 2.0

  @nn.compact
  def __call__(self, x):
    return x @ self.param('kernel', counted, (3, self.width), self.scale)


def test_a_check_that_passed_is_not_repeated():
  layer = Layer(5)
  variables = layer.init(jax.random.key(0), X)
  first = layer.apply(variables, X)
  CALLS.clear()
  np.testing.assert_array_equal(layer.apply(variables, X), first)
  np.testing.assert_array_equal(first, np.full((1, 5), 6.0))
  assert CALLS == []


def test_parameters_of_another_shape_are_an_error_each_time():
  variables = Layer(4).init(jax.random.key(0), X)
  Layer(4).apply(variables, X)
  Layer(6).apply(Layer(6).init(jax.random.key(0), X), X)
  for _ in range(2):
    with pytest.raises(flax.errors.ScopeParamShapeError, match=r'\(3, 4\)'):
      Layer(6).apply(variables, X)


def test_a_missing_parameter_is_an_error():
  Layer(4).apply(Layer(4).init(jax.random.key(0), X), X)
  with pytest.raises(flax.errors.ScopeParamNotFoundError):
    Layer(4).apply({'params': {'other': X}}, X)


def test_a_name_may_be_used_once():
  class Twice(nn.Module):
    @nn.compact
    def __call__(self, x):
      self.param('kernel', counted, (2,), 1.0)
      return self.param('kernel', counted, (2,), 1.0)

  for _ in range(2):
    with pytest.raises(flax.errors.NameInUseError):
      Twice().apply({'params': {'kernel': np.ones(2)}}, X)


def test_arguments_without_a_hash_are_checked_each_time():
  layer = Layer(4, scale=np.ones(4))
  variables = layer.init(jax.random.key(0), X)
  layer.apply(variables, X)
  CALLS.clear()
  layer.apply(variables, X)
  assert CALLS == [(3, 4)]


def test_boxed_parameters_stay_boxed_or_not():
  class Boxed(nn.Module):
    unbox: bool

    @nn.compact
    def __call__(self):
      init = nn.with_partitioning(counted, ('data', None))
      return self.param('kernel', init, (3, 4), 1.0, unbox=self.unbox)

  variables = Boxed(True).init(jax.random.key(0))
  for _ in range(2):
    assert isinstance(Boxed(False).apply(variables), nn.Partitioned)
    assert Boxed(True).apply(variables).shape == (3, 4)


def test_modules_in_fields_are_still_registered():
  class Holder(nn.Module):
    plain: tuple
    mixed: tuple
    mapping: dict

    def __call__(self, x):
      return self.mapping['b'](self.mixed[1](x)), self.plain

  holder = Holder((1, 'a', None), (2, nn.Dense(4)), {'b': nn.Dense(2)})
  variables = holder.init(jax.random.key(0), X)
  assert set(variables['params']) == {'mixed_1', 'mapping_b'}
  y, plain = holder.apply(variables, X)
  assert (y.shape, plain) == ((1, 2), (1, 'a', None))

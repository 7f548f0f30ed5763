"""Tests of tests/initial.py."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from tests import initial
from vgen_jax.nn import spectral

X = np.ones((1, 64), np.float32)


class Block(nn.Module):
  """A layer within a scan."""

  @nn.compact
  def __call__(self, x, _):
    return x + nn.Dense(64)(nn.LayerNorm()(x)), None


class Network(nn.Module):
  """A network with initializers of several distributions."""

  @nn.compact
  def __call__(self, x):
    blocks = nn.scan(
      nn.remat(Block),
      variable_axes={'params': 0},
      split_rngs={'params': True},
      length=2,
    )
    x, _ = blocks(name='blocks')(x, None)
    uniform = nn.initializers.variance_scaling(3.0, 'fan_in', 'uniform')
    x = nn.Dense(64, kernel_init=uniform, name='uniform')(x)
    x = x + nn.Embed(90, 64, name='table')(jnp.zeros((1, 1), int))[:, 0]
    return nn.Dense(8, kernel_init=nn.initializers.zeros, name='last')(x)


class Mean(nn.Module):
  """A layer with a variable that is computed from its input.

  Attributes:
    depth: Number of operations that NumPy does not have.
  """

  depth: int

  @nn.compact
  def __call__(self, x):
    def mean():
      y = x
      for _ in range(self.depth):
        y = nn.sigmoid(y)
      return y.mean()

    mean = self.variable('stats', 'mean', mean)
    return nn.Dense(2)(x - mean.value)


def test_variables_have_the_distributions_of_the_network():
  found = compiled.init(Network(), jax.random.key(0), X)
  wanted = jax.jit(Network().init)(jax.random.key(0), X)
  same = []
  for (path, one), two in zip(
    jax.tree.leaves_with_path(found), jax.tree.leaves(wanted), strict=True
  ):
    assert (one.shape, one.dtype) == (two.shape, two.dtype), path
    np.testing.assert_allclose(one.std(), two.std(), rtol=0.1, err_msg=path)
    np.testing.assert_allclose(one.mean(), two.mean(), atol=0.02)
    np.testing.assert_allclose(
      np.abs(one).max(), np.abs(two).max(), rtol=0.3, err_msg=path
    )
    if (one == two).all():
      same.append(path[-1].key)
  # Only constants are equal: NumPy has drawn the random numbers.
  assert sorted(set(same)) == ['bias', 'kernel', 'scale']
  assert (found['params']['last']['kernel'] == 0).all()
  one, two = found['params']['blocks']['Dense_0']['kernel']
  assert (one != two).all()


def test_equal_keys_give_equal_variables():
  one, same, other = (
    compiled.init(Network(), jax.random.key(seed), X) for seed in (0, 0, 1)
  )
  jax.tree.map(np.testing.assert_array_equal, one, same)
  kernel = lambda variables: variables['params']['uniform']['kernel']
  assert (kernel(one) != kernel(other)).all()


def test_a_function_may_make_its_own_keys():
  """Draws depend on the seed; keys that are results are those of JAX."""

  @jax.jit
  def make():
    one, other = jax.random.split(jax.random.key(7))
    return jax.random.normal(one, (3,)), other

  (x, key), (same, _), (changed, _) = (
    initial.evaluate(make, seed=seed) for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(x, same)
  assert (x != changed).all()
  drawn, wanted = make()
  assert (x != drawn).all()
  assert jax.random.key_data(key).tolist() == (
    jax.random.key_data(wanted).tolist()
  )


@pytest.mark.parametrize('depth', [2, 20])
def test_variables_may_be_computed_from_inputs(depth):
  found = compiled.init(Mean(depth), jax.random.key(0), X)
  wanted = jax.jit(Mean(depth).init)(jax.random.key(0), X)
  mean = lambda variables: variables['stats']['mean']
  np.testing.assert_allclose(mean(found), mean(wanted), rtol=1e-5)
  # If there is much to compute, the function is compiled as it is.
  one, two = (x['params']['Dense_0']['kernel'] for x in (found, wanted))
  assert np.allclose(one, two, rtol=1e-5) == (depth == 20)


def test_orthogonal_matrices(monkeypatch):
  """No operation is compiled; see `MAX_COMPILED`."""
  monkeypatch.setattr(initial, 'MAX_COMPILED', 0)
  layer = nn.Dense(5, kernel_init=nn.initializers.orthogonal(), use_bias=False)
  matrix = compiled.init(layer, jax.random.key(0), X)['params']['kernel']
  np.testing.assert_allclose(matrix.T @ matrix, np.eye(5), atol=1e-5)
  wanted = jax.jit(layer.init)(jax.random.key(0), X)['params']['kernel']
  assert np.abs(matrix - wanted).max() > 0.01


@pytest.mark.parametrize(
  'function',
  [
    lambda x: jnp.square(x).sum(1) + (x**3).sum(axis=0).max(),
    lambda x: jax.lax.rsqrt(x.max(1)) * (x > 0.5).sum(1),
    lambda x: jnp.where(x == jax.lax.stop_gradient(x[:1]), 1.0, x) @ x.T,
    lambda x: jax.lax.dot_general(x, x, (((0,), (0,)), ((), ()))),
  ],
)
def test_operations_are_those_of_jax(function, monkeypatch):
  """None of them is compiled, but the slice of a row."""

  class Layer(nn.Module):
    @nn.compact
    def __call__(self, x):
      self.variable('stats', 'y', function, x)
      return nn.Dense(2)(x)

  monkeypatch.setattr(initial, 'MAX_COMPILED', 1)
  x = np.random.default_rng(0).uniform(0.1, 1, (3, 4)).astype(np.float32)
  found = compiled.init(Layer(), jax.random.key(0), x)
  wanted = jax.jit(function)(x)
  assert found['stats']['y'].dtype == wanted.dtype
  np.testing.assert_allclose(found['stats']['y'], wanted, rtol=1e-5)
  kernel = Layer().init(jax.random.key(0), x)['params']['Dense_0']['kernel']
  assert (found['params']['Dense_0']['kernel'] != kernel).all()


def test_vectors_of_spectral_norm(monkeypatch):
  monkeypatch.setattr(initial, 'MAX_COMPILED', 0)

  class Layer(nn.Module):
    @nn.compact
    def __call__(self, x):
      return spectral.apply(nn.Dense(5), x, train=True)

  variables = compiled.init(Layer(), jax.random.key(0), X)
  kernel = variables['params']['Dense_0']['kernel']
  stats = variables['batch_stats']['SpectralNorm_0']
  vector, norm = stats['Dense_0/kernel/u'], stats['Dense_0/kernel/sigma']
  np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)
  exact = np.linalg.norm(kernel, 2)
  assert 0.3 * exact < norm <= exact * 1.001
  assert norm <= np.linalg.norm(kernel @ vector.T) * 1.001

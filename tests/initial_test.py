"""Tests of tests/initial.py."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tests import compiled

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
  """A layer with a variable that is computed from its input."""

  @nn.compact
  def __call__(self, x):
    mean = self.variable('stats', 'mean', lambda: jnp.tanh(x).mean())
    return nn.Dense(2)(x - mean.value)


def test_variables_have_the_distributions_of_the_network():
  found = compiled.init(Network(), jax.random.key(0), X)
  wanted = Network().init(jax.random.key(0), X)
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


def test_other_functions_are_compiled():
  found = compiled.init(Mean(), jax.random.key(0), X)
  wanted = Mean().init(jax.random.key(0), X)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), found, wanted
  )

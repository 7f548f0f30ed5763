"""Tests of spade.py."""

import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.convolution import generated_kernels
from vgen_jax.nn.convolution import spade

B, H, W, C, D = 2, 5, 4, 3, 6
KEY = jax.random.key(0)
X = 5 * arrays.normal((B, H, W, C)) + 2
MAP = arrays.normal((B, H, W, D), seed=1)
ZERO = np.zeros_like(X)

modulate = compiled.jit(spade.modulate)


def normalized(x):
  x = np.asarray(x, np.float64)
  mean, std = x.mean((1, 2), keepdims=True), x.std((1, 2), keepdims=True)
  return (x - mean) / std


def test_modulation_of_each_pixel():
  scale, offset = (arrays.normal(X.shape, seed=i) for i in (2, 3))
  expected = normalized(X) * (1 + scale) + offset
  y = modulate(X, scale, offset)
  np.testing.assert_allclose(y, expected, atol=1e-4)


def test_scale_and_mean_of_the_input_are_removed():
  y = modulate(X, ZERO, ZERO)
  np.testing.assert_allclose(modulate(3 * X + 7, ZERO, ZERO), y, atol=1e-4)
  # An image does not depend on the others.
  alone = modulate(X[:1], ZERO[:1], ZERO[:1])
  np.testing.assert_allclose(alone[0], y[0], atol=1e-6)
  constant = modulate(np.ones_like(X), ZERO, ZERO + 2)
  np.testing.assert_allclose(constant, 2, atol=1e-6)


def test_learned_kernels_read_the_map_near_a_pixel():
  layer = spade.SPADE(hidden=4)
  changed = MAP.copy()
  changed[0, 0, 0] += 3

  def both(changed):
    y, variables = layer.init_with_output(KEY, X, MAP)
    return y, layer.apply(variables, X, changed)

  y, other = compiled.call(both, changed)
  change = np.abs(other - y)
  assert change[0, :2, :2].max() > 1e-3
  # Two layers of 3 x 3 pixels reach two pixels far.
  assert change[0, 3:].max() == change[0, :, 3:].max() == change[1].max() == 0


def test_generated_kernels_modulate_each_image_by_its_own():
  layer = spade.SPADE(hidden=4)
  kernels = generated_kernels.Pointwise(
    arrays.normal((B, D, 2 * C)), arrays.normal((B, 2 * C))
  )
  y, variables = compiled.init_with_output(layer, KEY, X, MAP, kernels)
  assert not variables  # Nothing is learned.
  for n in range(B):
    both = MAP[n] @ kernels.kernel_bio[n] + kernels.bias_bo[n]
    expected = normalized(X)[n] * (1 + both[..., :C]) + both[..., C:]
    np.testing.assert_allclose(y[n], expected, atol=1e-4)


def test_block_with_generated_kernels():
  block = spade.ResidualBlock(4, hidden=4)
  width = (C, 4)  # Of the inputs of its two SPADE layers.
  make = lambda seed: [
    generated_kernels.Pointwise(
      arrays.normal((B, D, 2 * n), seed), arrays.normal((B, 2 * n), seed + 1)
    )
    for n in width
  ]
  y, variables = compiled.init_with_output(block, KEY, X, MAP, make(0))
  assert set(variables['params']) == {'conv_0', 'conv_1', 'skip'}
  apply = compiled.jit(block.apply)
  assert y.shape == (B, H, W, 4)
  for i in range(2):  # Both layers are modulated.
    changed = make(0)
    changed[i] = make(7)[i]
    other = apply(variables, X, MAP, changed)
    assert np.abs(other - y).max() > 0.1
  # Without convolutions the connection is left.
  no_conv = {
    'params': {
      name: x if name == 'skip' else jax.tree.map(np.zeros_like, x)
      for name, x in variables['params'].items()
    }
  }
  kernel = variables['params']['skip']['kernel']
  np.testing.assert_allclose(
    apply(no_conv, X, MAP, make(0)), X @ kernel, atol=1e-5
  )
  learned = jax.eval_shape(block.init, KEY, X, MAP)['params']
  assert set(learned) == {'conv_0', 'conv_1', 'skip', 'spade_0', 'spade_1'}


def test_errors():
  with pytest.raises(ValueError, match='kernel_size is 2; it must be odd'):
    spade.SPADE(kernel_size=2)
  with pytest.raises(ValueError, match='hidden is 0'):
    spade.SPADE(hidden=0)
  with pytest.raises(ValueError, match="Axis 'h' is 4 in map_bhwd"):
    compiled.init(spade.SPADE(), KEY, X, MAP[:, 1:])
  with pytest.raises(ValueError, match='scale_bhwc'):
    spade.modulate(X, ZERO[..., :1], ZERO)

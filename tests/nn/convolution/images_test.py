"""Tests of images.py."""

import jax
import jax.numpy as jnp
import numpy as np

from tests import compiled
from vgen_jax.nn.convolution import images

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (2, 16, 16, 3))


def init(network):
  """Returns the parameters of a network, twice as large as usual."""
  return jax.tree.map(lambda x: 2 * x, compiled.jit(network.init)(KEY, X))


def test_encoder_halves_sides_and_keeps_images_apart():
  network = images.Encoder((4, 6, 8), 'none')
  variables = init(network)
  y = compiled.apply(network, variables, X)
  assert y.shape == (2, 4, 4, 8)
  change = np.abs(
    compiled.apply(network, variables, X.at[0, 0, 0].add(1.0)) - y
  )
  assert change[0, 0, 0].max() > 1e-3
  # Kernels of 3, 4 and 4 pixels reach the second position at most.
  assert change[0, 2:].max() == change[0, :, 2:].max() == change[1].max() == 0


def test_unet_has_features_of_all_levels():
  network = images.UNet((4, 6, 8))
  variables = init(network)
  levels = compiled.apply(network, variables, X)
  assert [x.shape for x in levels] == [
    (2, 16, 16, 4), (2, 8, 8, 6), (2, 4, 4, 8),
  ]  # fmt: skip
  # Fine features depend on the exact pixel and on distant ones.
  change = np.abs(
    compiled.apply(network, variables, X.at[0, 0, 0].add(1.0))[0] - levels[0]
  )
  assert change[0, 0, 0].max() > 10 * change[0, 8:, 8:].max() > 0
  assert change[1].max() == 0


def test_flow_is_zero_before_training():
  network = images.Flow((4, 6), scale=7.0)
  variables = compiled.jit(network.init)(KEY, X)
  flow, mask = network.apply(variables, X)
  np.testing.assert_array_equal(flow, jnp.zeros((2, 16, 16, 2)))
  np.testing.assert_array_equal(mask, jnp.full((2, 16, 16), 0.5))
  # A bias of the last layer is the same flow everywhere, in units of the scale.
  bias = jnp.array([1.0, -2.0, 20.0])
  variables['params']['out']['bias'] = bias
  flow, mask = compiled.apply(network, variables, X)
  np.testing.assert_allclose(flow[..., 0], 7)
  np.testing.assert_allclose(flow[..., 1], -14)
  np.testing.assert_allclose(mask, 1, atol=1e-6)


def test_positions_are_x_and_y_from_minus_one_to_one():
  y = images.with_positions(X[:, :3, :5])
  np.testing.assert_array_equal(y[..., :3], X[:, :3, :5])
  for n in range(2):
    np.testing.assert_allclose(y[n, :, 0, 3], -1)
    np.testing.assert_allclose(y[n, 1, :, 3], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(y[n, :, 2, 4], [-1, 0, 1])


def test_smaller_images_have_the_means_of_blocks():
  y = images.smaller(X, 4)
  assert y.shape == (2, 4, 4, 3)
  np.testing.assert_allclose(y[1, 2, 3], X[1, 8:12, 12:].mean((0, 1)), 1e-5)
  np.testing.assert_array_equal(images.smaller(X, 1), X)

"""Tests of images.py."""

import jax
import numpy as np

from tests import arrays
from tests import compiled
from vgen_jax.nn.convolution import images

KEY = jax.random.key(0)
X = arrays.normal((2, 16, 16, 3))
OTHER = X.copy()
OTHER[0, 0, 0] += 1


def outputs(network):
  """Returns outputs for X and for OTHER; parameters are twice as large."""
  variables = jax.tree.map(lambda x: 2 * x, compiled.init(network, KEY, X))
  return [compiled.apply(network, variables, x) for x in (X, OTHER)]


def test_encoder_halves_sides_and_keeps_images_apart():
  y, other = outputs(images.Encoder((4, 6, 8), 'none'))
  assert y.shape == (2, 4, 4, 8)
  change = np.abs(other - y)
  assert change[0, 0, 0].max() > 1e-3
  # Kernels of 3, 4 and 4 pixels reach the second position at most.
  assert change[0, 2:].max() == change[0, :, 2:].max() == change[1].max() == 0


def test_unet_has_features_of_all_levels():
  levels, others = outputs(images.UNet((4, 6, 8)))
  assert [x.shape for x in levels] == [
    (2, 16, 16, 4), (2, 8, 8, 6), (2, 4, 4, 8),
  ]  # fmt: skip
  # Fine features depend on the exact pixel and on distant ones.
  change = np.abs(others[0] - levels[0])
  assert change[0, 0, 0].max() > 10 * change[0, 8:, 8:].max() > 0
  assert change[1].max() == 0


def test_flow_is_zero_before_training():
  network = images.Flow((4, 6), scale=7.0)
  variables = compiled.init(network, KEY, X)
  flow, mask = compiled.apply(network, variables, X)
  np.testing.assert_array_equal(flow, np.zeros((2, 16, 16, 2)))
  np.testing.assert_array_equal(mask, np.full((2, 16, 16), 0.5))
  # A bias of the last layer is the same flow everywhere, in units of the scale.
  bias = np.float32([1, -2, 20])
  variables['params']['out']['bias'] = bias
  flow, mask = compiled.apply(network, variables, X)
  np.testing.assert_allclose(flow[..., 0], 7)
  np.testing.assert_allclose(flow[..., 1], -14)
  np.testing.assert_allclose(mask, 1, atol=1e-6)


def test_positions_are_x_and_y_from_minus_one_to_one():
  y = compiled.call(images.with_positions, X[:, :3, :5])
  np.testing.assert_array_equal(y[..., :3], X[:, :3, :5])
  for n in range(2):
    np.testing.assert_allclose(y[n, :, 0, 3], -1)
    np.testing.assert_allclose(y[n, 1, :, 3], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(y[n, :, 2, 4], [-1, 0, 1])


def test_smaller_images_have_the_means_of_blocks():
  y, same = compiled.call(
    lambda x: (images.downsampled(x, 4), images.downsampled(x, 1)), X
  )
  assert y.shape == (2, 4, 4, 3)
  np.testing.assert_allclose(y[1, 2, 3], X[1, 8:12, 12:].mean((0, 1)), 1e-5)
  np.testing.assert_array_equal(same, X)

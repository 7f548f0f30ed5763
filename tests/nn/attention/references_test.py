"""Tests of references.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.attention import references

B, R, H, W, D, C = 2, 3, 3, 4, 5, 4
KEY = jax.random.key(0)
X = arrays.normal((B, H, W, D))
OTHERS = arrays.normal((B, R, H, W, D), seed=1)
VALUES = arrays.normal((B, R, H, W, C), seed=2)


def attention(others=OTHERS, values=VALUES, width=8, **fields):
  layer = references.ReferenceAttention(width, **fields)
  variables = compiled.init(layer, KEY, X, OTHERS, VALUES)
  return compiled.apply(layer, variables, X, others, values), variables


select = compiled.jit(references.select)


@pytest.mark.parametrize('width', [3, 20])  # Below and above that of values.
def test_weights_are_the_softmax_of_cosines_over_all_positions(width):
  (attended, weight), variables = attention(width=width, sharpness=4.0)
  kernel = np.asarray(variables['params']['project']['kernel'])
  unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
  for n in range(B):
    query = unit(np.asarray(X[n]).reshape(-1, D) @ kernel)
    key = unit(np.asarray(OTHERS[n]).reshape(-1, D) @ kernel)
    probability = np.exp(4 * query @ key.T)
    probability /= probability.sum(1, keepdims=True)
    expected = probability @ np.asarray(VALUES[n]).reshape(-1, C)
    np.testing.assert_allclose(
      attended[n], expected.reshape(H, W, C), atol=1e-5
    )
    mass = probability.reshape(H, W, R, -1).sum(-1)
    np.testing.assert_allclose(weight[n], mass, atol=1e-5)


def test_before_training_cosines_are_those_of_features():
  for width in (D, 9):
    _, variables = attention(width=width)
    kernel = np.asarray(variables['params']['project']['kernel'])
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(D), atol=1e-5)


def test_equal_references_have_equal_weights():
  equal = np.repeat(OTHERS[:, :1], R, axis=1)
  values = np.repeat(VALUES[:, :1], R, axis=1)
  (attended, weight), _ = attention(equal, values)
  np.testing.assert_allclose(weight, 1 / R, atol=1e-6)
  (one, _), _ = attention(OTHERS[:, :1], VALUES[:, :1])
  np.testing.assert_allclose(attended, one, atol=1e-5)
  (_, weight), _ = attention()
  assert np.abs(weight - 1 / R).max() > 0.1


def test_order_of_references_does_not_matter():
  (attended, weight), _ = attention()
  order = np.array([2, 0, 1])
  (other, other_weight), _ = attention(OTHERS[:, order], VALUES[:, order])
  np.testing.assert_allclose(other, attended, atol=1e-5)
  np.testing.assert_allclose(other_weight, weight[..., order], atol=1e-5)
  np.testing.assert_allclose(
    select(other_weight, VALUES[:, order]),
    select(weight, VALUES),
    atol=1e-6,
  )


def test_a_reference_with_equal_features_has_the_largest_weight():
  others = OTHERS.copy()
  others[:, 1] = X
  (attended, weight), _ = attention(others, width=D, sharpness=1e4)
  np.testing.assert_allclose(weight[..., 1], 1, atol=1e-3)
  np.testing.assert_allclose(attended, VALUES[:, 1], atol=0.01)
  chosen = select(weight, VALUES)
  np.testing.assert_allclose(chosen, VALUES[:, 1], atol=1e-6)


def test_selection_has_the_derivatives_of_a_weighted_mean():
  weight = np.exp(arrays.normal((B, H, W, R), seed=3))
  weight /= weight.sum(-1, keepdims=True)
  soft = lambda x: jnp.einsum('bhwr,brijc->bijc', x / (H * W), VALUES)
  hard = lambda x: references.select(x, VALUES)
  of = lambda f: jax.grad(lambda x: (VALUES[:, 0] * f(x)).sum())
  both = lambda x: (of(hard)(x), of(soft)(x))
  np.testing.assert_allclose(*compiled.call(both, weight), atol=1e-5)
  # The value is that of one reference of each image.
  chosen = select(weight, VALUES)
  best = weight.mean((1, 2)).argmax(1)
  for n in range(B):
    np.testing.assert_allclose(chosen[n], VALUES[n, best[n]], atol=1e-6)


def test_borders_of_small_objects_have_the_class_of_the_object():
  fraction = np.zeros((1, 8, 8, 3), np.float32)
  fraction[..., 0] = 1
  fraction[0, 2, 3] = [0, 1, 0]
  fraction[0, 2, 4] = [0.75, 0.25, 0]
  of_classes = compiled.jit(references.of_classes)
  y = of_classes(fraction)
  np.testing.assert_allclose(np.linalg.norm(y, axis=-1), 1, atol=1e-5)
  assert y[0, 2, 4] @ y[0, 2, 3] > 0.95
  assert y[0, 2, 4] @ y[0, 0, 0] < 0.1
  assert y[0, 2, 3] @ y[0, 0, 0] == 0
  # An image without any class has features of zero.
  assert not of_classes(0 * fraction).any()


def test_errors():
  with pytest.raises(ValueError, match='width is 0'):
    references.ReferenceAttention(0)
  with pytest.raises(ValueError, match='sharpness is 0'):
    references.ReferenceAttention(4, sharpness=0)
  with pytest.raises(ValueError, match="Axis 'r' is 2 in value_brhwc"):
    attention(values=VALUES[:, 1:])
  with pytest.raises(ValueError, match='value_brhwc'):
    references.select(np.ones((B, H, W, R)), VALUES[:, 1:])

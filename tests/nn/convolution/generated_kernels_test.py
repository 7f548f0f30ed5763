"""Tests of generated_kernels.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import generated_kernels

B, H, W, SEGMENTS, C, OUT = 3, 4, 5, 2, 6, 7
KEY = jax.random.key(0)
FEATURES = arrays.normal((B, H, W, C))
LOGITS = 3 * arrays.normal((B, H, W, SEGMENTS), seed=1)

pool_segments = compiled.jit(generated_kernels.pool_segments)


def kernels(size=B) -> generated_kernels.Pointwise:
  return generated_kernels.Pointwise(
    arrays.normal((size, C, OUT), seed=2), arrays.normal((size, OUT), seed=3)
  )


def test_images_are_convolved_with_their_own_kernels():
  kernel_bio, bias_bo = kernels()
  y = compiled.call(generated_kernels.apply, FEATURES, kernels())
  convolve = compiled.jit(conv.conv2d)
  for n in range(B):
    expected = convolve(FEATURES[n : n + 1], kernel_bio[n][None, None])
    np.testing.assert_allclose(y[n], expected[0] + bias_bo[n], atol=1e-5)
  with pytest.raises(ValueError, match="Axis 'b' is 2 in kernel_bio"):
    generated_kernels.apply(FEATURES, kernels(2))


def pooled_by_hand(logits, fraction):
  """Returns pooled features; each segment is a part of one class."""
  weight = np.zeros(logits.shape)
  k = fraction.shape[-1]
  for first in range(k):
    part = np.exp(logits[..., first::k])
    part /= part.sum(-1, keepdims=True)
    weight[..., first::k] = part * fraction[..., first, None]
  total = np.einsum('bhwi,bhwc->bic', weight, FEATURES)
  return total / weight.sum((1, 2))[..., None]


def test_segments_are_parts_of_classes():
  logits = 3 * arrays.normal((B, H, W, 6), seed=4)
  for classes in (1, 2, 4):  # Classes 0 and 1 of four have two segments.
    fraction = np.exp(2 * arrays.normal((B, H, W, classes), seed=5))
    fraction /= fraction.sum(-1, keepdims=True)
    pooled = pool_segments(FEATURES, logits, fraction)
    expected = pooled_by_hand(logits, fraction)
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


@compiled.jit
def slope_and_features(logits):
  def loss(logits):
    classes = jnp.full((B, H, W, 2), 0.5)
    pooled = generated_kernels.pool_segments(FEATURES, logits, classes)
    return (pooled**2).sum(), pooled

  return jax.grad(loss, has_aux=True)(logits)


@pytest.mark.parametrize('gap', [45, 1000])
def test_logits_that_differ_much_have_finite_gradients(gap):
  """A softmax over all segments would round those of a class to zero."""
  near = np.round(arrays.normal((B, H, W, 4)))
  far = near.copy()
  far[..., 1::2] += gap
  near_slope, near_pooled = slope_and_features(near)
  far_slope, far_pooled = slope_and_features(far)
  # Only differences within a class have an effect.
  np.testing.assert_allclose(far_pooled, near_pooled, atol=1e-5)
  assert np.abs(near_slope).max() > 0.01
  np.testing.assert_allclose(far_slope, near_slope, atol=1e-5)


def test_a_small_class_has_its_own_features():
  """Without any training, and however large the others are."""
  one_hot = np.zeros((B, H, W, 2), np.float32)
  one_hot[..., 0] = 1
  one_hot[:, 2, 3] = [0, 1]
  pooled = pool_segments(FEATURES, LOGITS, one_hot)
  np.testing.assert_allclose(pooled[:, 1], FEATURES[:, 2, 3], atol=1e-5)
  # With segments of learned logits alone, most of them are others' features.
  alone = pool_segments(FEATURES, LOGITS, np.ones((B, H, W, 1), np.float32))
  assert np.abs(alone[:, 1] - FEATURES[:, 2, 3]).max() > 0.5


def test_fewer_segments_than_classes():
  classes = np.eye(4, dtype=np.float32)[np.arange(H * W) % 4]
  classes = np.broadcast_to(classes.reshape(H, W, 4), (B, H, W, 4))
  pooled = pool_segments(FEATURES, LOGITS, classes)
  for i in range(SEGMENTS):  # Segment 0 has classes 0 and 2.
    inside = (np.arange(H * W).reshape(H, W) % 2) == i
    expected = FEATURES[:, inside].mean(1)
    np.testing.assert_allclose(pooled[:, i], expected, atol=1e-5)


def test_an_empty_segment_has_features_of_zero():
  classes = np.zeros((B, H, W, 2), np.float32)
  classes[..., 0] = 1
  pooled = pool_segments(FEATURES, LOGITS, classes)
  np.testing.assert_allclose(pooled[:, 0], FEATURES.mean((1, 2)), atol=1e-6)
  np.testing.assert_array_equal(pooled[:, 1], 0)


def test_kernels_depend_on_their_own_reference_only():
  network = generated_kernels.KernelGenerator(OUT, 8)
  segments = arrays.normal((B, SEGMENTS, C))
  segments[1:] = 0
  (kernel_bio, bias_bo), variables = compiled.init_with_output(
    network, KEY, segments
  )
  assert kernel_bio.shape == (B, SEGMENTS, OUT)
  # Equal references have equal kernels, and different ones do not.
  for x in (kernel_bio, bias_bo):
    np.testing.assert_array_equal(x[1], x[2])
    assert np.abs(x[0] - x[1]).max() > 0.01
  alone = compiled.apply(network, variables, segments[:1])
  np.testing.assert_allclose(alone.kernel_bio[0], kernel_bio[0], atol=1e-6)
  # A row depends on the features of its own segment.
  segments[0, 1] += 1
  changed = compiled.apply(network, variables, segments).kernel_bio
  np.testing.assert_allclose(changed[0, 0], kernel_bio[0, 0], atol=1e-6)
  assert np.abs(changed[0, 1] - kernel_bio[0, 1]).max() > 0.01


@pytest.mark.parametrize('field', ['out', 'hidden'])
def test_widths_are_positive(field):
  with pytest.raises(ValueError, match=f'{field} is 0'):
    generated_kernels.KernelGenerator(**{'out': 1, 'hidden': 1, field: 0})

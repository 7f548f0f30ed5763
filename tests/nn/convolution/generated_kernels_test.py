"""Tests of generated_kernels.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import generated_kernels

B, H, W, SEGMENTS, C, OUT = 3, 4, 5, 2, 6, 7
KEY = jax.random.key(0)
FEATURES = jax.random.normal(KEY, (B, H, W, C))
LOGITS = 3 * jax.random.normal(jax.random.fold_in(KEY, 1), (B, H, W, SEGMENTS))


def kernels(size=B) -> generated_kernels.Pointwise:
  return generated_kernels.Pointwise(
    jax.random.normal(jax.random.fold_in(KEY, 2), (size, C, OUT)),
    jax.random.normal(jax.random.fold_in(KEY, 3), (size, OUT)),
  )


def test_images_are_convolved_with_their_own_kernels():
  kernel_bio, bias_bo = kernels()
  y = generated_kernels.apply(FEATURES, kernels())
  for n in range(B):
    expected = conv.conv2d(FEATURES[n : n + 1], kernel_bio[n][None, None])
    expected += bias_bo[n][None, None, None]
    np.testing.assert_allclose(y[n], expected[0], atol=1e-5)
  with pytest.raises(ValueError, match="Axis 'b' is 2 in kernel_bio"):
    generated_kernels.apply(FEATURES, kernels(2))


def pooled_by_hand(logits, fraction):
  """Returns pooled features; each segment is a part of one class."""
  logits, fraction = np.asarray(logits), np.asarray(fraction)
  weight = np.zeros(logits.shape)
  k = fraction.shape[-1]
  for first in range(k):
    part = np.exp(logits[..., first::k])
    part /= part.sum(-1, keepdims=True)
    weight[..., first::k] = part * fraction[..., first, None]
  total = np.einsum('bhwi,bhwc->bic', weight, FEATURES)
  return total / weight.sum((1, 2))[..., None]


def test_segments_are_parts_of_classes():
  key = jax.random.fold_in(KEY, 4)
  logits = 3 * jax.random.normal(key, (B, H, W, 6))
  for classes in (1, 2, 4):  # Classes 0 and 1 of four have two segments.
    fraction = jax.nn.softmax(2 * jax.random.normal(key, (B, H, W, classes)))
    pooled = generated_kernels.pool_segments(FEATURES, logits, fraction)
    expected = pooled_by_hand(logits, fraction)
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


@pytest.mark.parametrize('gap', [45, 1000])
def test_logits_that_differ_much_have_finite_gradients(gap):
  """A softmax over all segments would round those of a class to zero."""
  classes = jnp.full((B, H, W, 2), 0.5)
  near = jnp.round(jax.random.normal(KEY, (B, H, W, 4)))
  far = near.at[..., 1::2].add(gap)

  @compiled.jit
  def pool(logits):
    return generated_kernels.pool_segments(FEATURES, logits, classes)

  slope = compiled.jit(jax.grad(lambda x: (pool(x) ** 2).sum()))
  # Only differences within a class have an effect.
  np.testing.assert_allclose(pool(far), pool(near), atol=1e-5)
  assert np.abs(slope(near)).max() > 0.01
  np.testing.assert_allclose(slope(far), slope(near), atol=1e-5)


def test_a_small_class_has_its_own_features():
  """Without any training, and however large the others are."""
  one_hot = jnp.zeros((B, H, W, 2)).at[..., 0].set(1.0)
  one_hot = one_hot.at[:, 2, 3].set(jnp.array([0.0, 1.0]))
  pooled = generated_kernels.pool_segments(FEATURES, LOGITS, one_hot)
  np.testing.assert_allclose(pooled[:, 1], FEATURES[:, 2, 3], atol=1e-5)
  # With segments of learned logits alone, most of them are others' features.
  alone = generated_kernels.pool_segments(
    FEATURES, LOGITS, jnp.ones((B, H, W, 1))
  )
  assert np.abs(alone[:, 1] - FEATURES[:, 2, 3]).max() > 0.5


def test_fewer_segments_than_classes():
  classes = jax.nn.one_hot(jnp.arange(H * W).reshape(1, H, W) % 4, 4)
  classes = jnp.broadcast_to(classes, (B, H, W, 4))
  pooled = generated_kernels.pool_segments(FEATURES, LOGITS, classes)
  for i in range(SEGMENTS):  # Segment 0 has classes 0 and 2.
    inside = (np.arange(H * W).reshape(H, W) % 2) == i
    expected = np.asarray(FEATURES)[:, inside].mean(1)
    np.testing.assert_allclose(pooled[:, i], expected, atol=1e-5)


def test_an_empty_segment_has_features_of_zero():
  classes = jnp.zeros((B, H, W, 2)).at[..., 0].set(1.0)
  pooled = generated_kernels.pool_segments(FEATURES, LOGITS, classes)
  np.testing.assert_allclose(pooled[:, 0], FEATURES.mean((1, 2)), atol=1e-6)
  np.testing.assert_array_equal(pooled[:, 1], 0)


def test_kernels_depend_on_their_own_reference_only():
  network = generated_kernels.KernelGenerator(OUT, 8)
  segments = jax.random.normal(KEY, (B, SEGMENTS, C)).at[1].set(0).at[2].set(0)
  variables = compiled.init(network, KEY, segments)
  kernel_bio, bias_bo = compiled.apply(network, variables, segments)
  assert kernel_bio.shape == (B, SEGMENTS, OUT)
  # Equal references have equal kernels, and different ones do not.
  for x in (kernel_bio, bias_bo):
    np.testing.assert_array_equal(x[1], x[2])
    assert np.abs(x[0] - x[1]).max() > 0.01
  alone = compiled.apply(network, variables, segments[:1])
  np.testing.assert_allclose(alone.kernel_bio[0], kernel_bio[0], atol=1e-6)
  # A row depends on the features of its own segment.
  changed = compiled.apply(
    network, variables, segments.at[0, 1].add(1.0)
  ).kernel_bio
  np.testing.assert_allclose(changed[0, 0], kernel_bio[0, 0], atol=1e-6)
  assert np.abs(changed[0, 1] - kernel_bio[0, 1]).max() > 0.01


@pytest.mark.parametrize('field', ['out', 'hidden'])
def test_widths_are_positive(field):
  with pytest.raises(ValueError, match=f'{field} is 0'):
    generated_kernels.KernelGenerator(**{'out': 1, 'hidden': 1, field: 0})

"""Tests of generated_kernels.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


def test_segments_have_the_mean_features_of_their_pixels():
  hard = jax.nn.one_hot(LOGITS.argmax(-1), SEGMENTS)
  pooled = generated_kernels.pool_segments(FEATURES, 100 * hard)
  for n in range(B):
    for i in range(SEGMENTS):
      inside = np.asarray(hard[n, ..., i]) > 0
      expected = np.asarray(FEATURES[n])[inside].mean(0)
      np.testing.assert_allclose(pooled[n, i], expected, atol=1e-5)
  soft = generated_kernels.pool_segments(FEATURES, LOGITS)
  assert np.abs(soft - pooled).max() > 0.05


def test_an_empty_segment_has_features_of_zero():
  logits = jnp.zeros((B, H, W, SEGMENTS)).at[..., 1].set(-200.0)
  pooled = generated_kernels.pool_segments(FEATURES, logits)
  np.testing.assert_allclose(pooled[:, 0], FEATURES.mean((1, 2)), atol=1e-6)
  np.testing.assert_array_equal(pooled[:, 1], 0)


def test_kernels_depend_on_their_own_reference_only():
  network = generated_kernels.KernelGenerator(OUT, 8)
  segments = jax.random.normal(KEY, (B, SEGMENTS, C)).at[1].set(0).at[2].set(0)
  variables = network.init(KEY, segments)
  kernel_bio, bias_bo = network.apply(variables, segments)
  assert kernel_bio.shape == (B, SEGMENTS, OUT)
  # Equal references have equal kernels, and different ones do not.
  for x in (kernel_bio, bias_bo):
    np.testing.assert_array_equal(x[1], x[2])
    assert np.abs(x[0] - x[1]).max() > 0.01
  alone = network.apply(variables, segments[:1])
  np.testing.assert_allclose(alone.kernel_bio[0], kernel_bio[0], atol=1e-6)
  # A row depends on the features of its own segment.
  changed = network.apply(variables, segments.at[0, 1].add(1.0)).kernel_bio
  np.testing.assert_allclose(changed[0, 0], kernel_bio[0, 0], atol=1e-6)
  assert np.abs(changed[0, 1] - kernel_bio[0, 1]).max() > 0.01


@pytest.mark.parametrize('field', ['out', 'hidden'])
def test_widths_are_positive(field):
  with pytest.raises(ValueError, match=f'{field} is 0'):
    generated_kernels.KernelGenerator(**{'out': 1, 'hidden': 1, field: 0})

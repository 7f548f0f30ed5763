"""Tests of nn/convolution/dynamic_kernels.py."""

import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.convolution import dynamic_kernels

FRAMES = arrays.uniform((3, 6, 7, 2))

apply = compiled.jit(dynamic_kernels.apply)
normalize = compiled.jit(dynamic_kernels.normalize)


def shift(row: int, column: int, size: int = 5) -> np.ndarray:
  """Returns kernels `[3, 1, size, size]` with one weight beside the centre."""
  kernel = np.zeros((3, 1, size, size), np.float32)
  kernel[:, :, size // 2 + row, size // 2 + column] = 1
  return kernel


def test_normalized_kernels_are_convex_weights():
  kernels = normalize(arrays.normal((3, 4, 5, 5), seed=1))
  assert kernels.min() >= 0
  np.testing.assert_allclose(kernels.sum((2, 3)), 1, atol=1e-6)
  # Every weight is 0 before the least one is added; the sum is still 1.
  none = normalize(np.full((1, 1, 3, 3), -5.0, np.float32))
  np.testing.assert_allclose(none, 1 / 9, rtol=1e-5)


def test_the_kernel_of_zeros_keeps_the_frame():
  kernels = normalize(np.zeros((3, 2, 5, 5), np.float32))
  moved = apply(FRAMES, kernels)
  assert moved.shape == (2, *FRAMES.shape)
  np.testing.assert_allclose(moved, np.stack([FRAMES, FRAMES]), atol=1e-6)


@pytest.mark.parametrize('row', [-2, 0, 1])
@pytest.mark.parametrize('column', [-1, 0, 2])
def test_a_kernel_with_one_weight_shifts_the_frame(row, column):
  (moved,) = apply(FRAMES, shift(row, column))
  rows = np.clip(np.arange(6) + row, 0, 5)
  columns = np.clip(np.arange(7) + column, 0, 6)
  np.testing.assert_array_equal(moved, FRAMES[:, rows][:, :, columns])


def test_each_clip_has_its_own_kernels():
  """Results equal a loop over clips, kernels, taps and pixels."""
  kernels = normalize(arrays.normal((3, 2, 3, 5), seed=2))
  padded = np.pad(FRAMES, ((0, 0), (1, 1), (2, 2), (0, 0)), mode='edge')
  expected = np.zeros((2, *FRAMES.shape))
  for n, b, y, x in np.ndindex(2, 3, 6, 7):
    window = padded[b, y : y + 3, x : x + 5]
    expected[n, b, y, x] = (window * kernels[b, n, :, :, None]).sum((0, 1))
  np.testing.assert_allclose(apply(FRAMES, kernels), expected, atol=1e-6)


def test_even_sides_and_other_clips_are_errors():
  with pytest.raises(ValueError, match='4 x 5; their sides must be odd'):
    dynamic_kernels.normalize(np.zeros((1, 1, 4, 5)))
  with pytest.raises(ValueError, match="'b' is 2"):
    dynamic_kernels.apply(FRAMES, shift(0, 0)[:2])

"""Tests of core/pixels.py: conversion to floats in [-1, 1], luma, PSNR."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from vgen_jax.core import pixels

LEVELS = np.arange(256, dtype=np.uint8)


def test_to_float_maps_0_to_minus_1_and_255_to_1():
  video = pixels.to_float(LEVELS)
  assert video.dtype == np.float32
  assert (video[0], video[255]) == (-1, 1)
  wanted = LEVELS.astype(np.float32) / np.float32(127.5) - np.float32(1)
  np.testing.assert_array_equal(video, wanted)


def test_to_float_is_the_same_in_jax():
  video = jax.jit(pixels.to_float)(LEVELS)
  assert isinstance(video, jax.Array)
  assert video.dtype == jnp.float32
  np.testing.assert_allclose(video, pixels.to_float(LEVELS), atol=1e-7)
  on_device = pixels.to_float(jnp.asarray(LEVELS))
  assert isinstance(on_device, jax.Array)


def test_to_uint8_inverts_to_float():
  video = pixels.to_uint8(pixels.to_float(LEVELS))
  assert video.dtype == np.uint8
  np.testing.assert_array_equal(video, LEVELS)


@pytest.mark.parametrize('dtype', [np.float32, np.float64, ml_dtypes.bfloat16])
def test_to_uint8_clips_and_refuses_what_is_no_color(dtype):
  video = np.array([-3, -1, 1, 3], dtype)
  assert pixels.to_uint8(video).tolist() == [0, 0, 255, 255]
  for value in (np.nan, np.inf, -np.inf):
    batch = np.zeros((5, 2, 2), dtype)
    batch[1, 0, 1] = batch[1, 1, 1] = batch[3, 0, 0] = value
    with pytest.raises(FloatingPointError, match='2 of 5 clips have pixels'):
      pixels.to_uint8(batch)


def test_to_uint8_rounds_to_the_nearest_integer():
  level = np.float32([100.4, 100.6, 0.6, 254.6])
  assert pixels.to_uint8(level / 127.5 - 1).tolist() == [100, 101, 1, 255]


@pytest.mark.parametrize('dtype', [np.float32, np.int32, np.bool_])
def test_to_float_rejects_other_types_than_uint8(dtype):
  with pytest.raises(TypeError, match=np.dtype(dtype).name):
    pixels.to_float(np.zeros(3, dtype))


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.bool_])
def test_to_uint8_rejects_other_types_than_floats(dtype):
  with pytest.raises(TypeError, match=np.dtype(dtype).name):
    pixels.to_uint8(np.zeros(3, dtype))


def test_luma_weighs_red_green_and_blue():
  video = np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 200, 200]])
  luma = pixels.luma(video)
  assert luma.dtype == np.float32
  np.testing.assert_allclose(luma, [76.245, 149.685, 29.07, 200], rtol=1e-5)


def test_psnr_depends_on_the_peak_and_is_bounded():
  error = np.float32([1e-2, 1e-4, 0])
  np.testing.assert_allclose(pixels.psnr(error), [20, 40, 100], rtol=1e-5)
  np.testing.assert_allclose(pixels.psnr(4 * error, 2.0), [20, 40, 100], 1e-5)

"""Tests of source.py: the truth reproduces each degradation."""

import numpy as np
import pytest
from scipy import ndimage

from vgen_jax.synthetic.degraded import source

SHAPE = (8, 32, 32, 3)


def pairs(number=12, **kwargs):
  world = source.Degraded(SHAPE, **kwargs)
  for i in range(number):
    clip = world[i]
    clean, degraded = (
      clip['video'].astype(float),
      clip['degraded'].astype(float),
    )
    yield clean, degraded, world.truth(i)


def test_noise_is_white_and_of_the_given_strength():
  expected, measured = [], []
  for clean, degraded, truth in pairs(kind='noise'):
    noise = (degraded - clean) / 255
    expected.append(truth.noise)
    measured.append(noise.std())
    assert abs(noise.mean()) < 0.003
    neighbours = (noise[:, 1:] * noise[:, :-1]).mean() / noise.var()
    frames = (noise[1:] * noise[:-1]).mean() / noise.var()
    assert max(abs(neighbours), abs(frames)) < 0.04
  np.testing.assert_allclose(measured, expected, rtol=0.04)
  assert not np.allclose(measured, expected[::-1], rtol=0.04)
  assert 0.02 <= min(expected) < max(expected) <= 0.1


def test_the_kernel_blurs_the_clean_clip_to_the_degraded_one():
  kernels = [truth.kernel_k for _, _, truth in pairs(kind='blur')]
  for k, (clean, degraded, truth) in enumerate(pairs(kind='blur')):
    blur = lambda kernel, clean=clean: ndimage.correlate1d(
      ndimage.correlate1d(clean, kernel, axis=1, mode='nearest'),
      kernel,
      axis=2,
      mode='nearest',
    )
    assert truth.kernel_k.sum() == pytest.approx(1)
    assert abs(blur(truth.kernel_k) - degraded).max() < 0.51
    assert abs(blur(kernels[k - 1]) - degraded).max() > 1
    assert abs(clean - degraded).max() > 10


def test_least_squares_finds_the_matrix_of_a_cast():
  for clean, degraded, truth in pairs(kind='cast'):
    solved, *_ = np.linalg.lstsq(
      clean.reshape(-1, 3), degraded.reshape(-1, 3), rcond=None
    )
    np.testing.assert_allclose(solved.T, truth.matrix_33, atol=0.005)
    assert abs(solved - truth.matrix_33).max() > 0.02  # Not transposed.
    assert abs(truth.matrix_33 - np.eye(3)).max() > 0.02
    assert degraded.min() > 0  # Nothing is clipped.
    assert degraded.max() < 255


@pytest.mark.parametrize('factor', [2, 4])
def test_a_low_resolution_pixel_is_a_mean(factor):
  for clean, degraded, truth in pairs(4, kind='low_resolution', factor=factor):
    assert truth.factor == factor
    parts = [
      clean[:, y::factor, x::factor]
      for y in range(factor)
      for x in range(factor)
    ]
    assert abs(np.mean(parts, axis=0) - degraded).max() < 0.51
    assert abs(parts[0] - degraded).mean() > 1  # Not a subsampled pixel.
    large = np.repeat(np.repeat(degraded, factor, 1), factor, 2)
    assert abs(large - clean).mean() > 2  # Upsampling loses detail.


def test_the_clean_clip_is_the_same_for_every_kind():
  clips = [source.Degraded(SHAPE, kind=kind)[3] for kind in source.KINDS]
  for clip in clips[1:]:
    np.testing.assert_array_equal(clip['video'], clips[0]['video'])
  assert 60 < clips[0]['video'].min()
  assert clips[0]['video'].max() < 196


@pytest.mark.parametrize('kind', source.KINDS)
@pytest.mark.parametrize('frame', [(16, 32), (32, 16)])
def test_frames_need_not_be_square(kind, frame):
  """Each degradation equals its formula along both axes."""
  world = source.Degraded((4, *frame, 3), kind=kind)
  clip, truth = world[1], world.truth(1)
  clean = clip['video'].astype(float)
  if kind == 'low_resolution':
    rows = (clean[:, ::2] + clean[:, 1::2]) / 2
    clean = (rows[:, :, ::2] + rows[:, :, 1::2]) / 2
  elif kind == 'blur':
    for axis in (1, 2):
      clean = ndimage.correlate1d(clean, truth.kernel_k, axis, mode='nearest')
  elif kind == 'cast':
    clean = clean @ truth.matrix_33.T
  assert clip['degraded'].shape == clean.shape
  gap = np.abs(clip['degraded'] - clean)
  assert gap.max() < (0.51 if kind != 'noise' else 255 * 6 * truth.noise)

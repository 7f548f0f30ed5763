"""Tests of pretrained/resize.py against the code that methods are named for."""

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from tests.pretrained import seeded
from vgen_jax.pretrained import resize

CLOSE = 0.005  # Of 255.


def frame() -> np.ndarray:
  return seeded.clips(0, 1, 1, 12, 17)


def resized(name: str, side: int) -> np.ndarray:
  return np.asarray(resize.resize(name, jnp.array(frame()), side))[0, 0]


def worst(a: np.ndarray, b: np.ndarray) -> float:
  return np.abs(a - b).max()


def tf1(image_hwc: np.ndarray, side: int) -> np.ndarray:
  """Resizes pixel by pixel as TensorFlow 1: pixel i comes from i * scale."""
  h, w, c = image_hwc.shape
  made = np.zeros((side, side, c))
  for y, x in np.ndindex(side, side):
    down, right = y * h / side, x * w / side
    top, left = int(down), int(right)
    low, next_ = min(top + 1, h - 1), min(left + 1, w - 1)
    p, q = down - top, right - left
    upper = image_hwc[top, left] * (1 - q) + image_hwc[top, next_] * q
    lower = image_hwc[low, left] * (1 - q) + image_hwc[low, next_] * q
    made[y, x] = upper * (1 - p) + lower * p
  return made


def pillows(image_hwc: np.ndarray, side: int) -> np.ndarray:
  channels = [
    Image.fromarray(image_hwc[..., i].astype(np.float32)).resize(
      (side, side), Image.Resampling.BICUBIC
    )
    for i in range(3)
  ]
  return np.stack([np.asarray(x) for x in channels], -1)


@pytest.mark.parametrize(('side', 'size'), [(30, 'up'), (7, 'down')])
def test_each_method_equals_its_reference_and_no_other(side, size):
  _, of_pytorch = seeded.load('resize')
  image_hwc = frame()[0, 0]
  wanted = {
    'bilinear-tf1': tf1(image_hwc, side),
    'bilinear-half-pixel': of_pytorch[size],
    'bicubic-antialias': pillows(image_hwc, side),
  }
  for name in wanted:
    for other, image in wanted.items():
      is_close = worst(resized(name, side), image) < CLOSE
      assert is_close == (name == other), (name, other)


def test_the_crop_keeps_the_aspect_ratio():
  _, of_pytorch = seeded.load('resize')
  # 12 x 17 becomes 24 x 34, of which the centre is kept.
  wanted = of_pytorch['aspect'][:, 5:29]
  assert worst(resized('bilinear-half-pixel-crop', 24), wanted) < CLOSE
  assert worst(resized('bilinear-half-pixel', 24), wanted) > 10


@pytest.mark.parametrize('name', resize.METHODS)
def test_constant_frames_stay_constant(name):
  video = jnp.full((2, 3, 9, 14, 1), 200, jnp.uint8)
  found = resize.resize(name, video, 11)
  assert found.shape == (2, 3, 11, 11, 1)
  np.testing.assert_allclose(found, 200, rtol=1e-5)


def test_an_unknown_method_is_an_error():
  with pytest.raises(ValueError, match="Did you mean 'bilinear-tf1'"):
    resize.resize('bilinear-tf', jnp.zeros((1, 1, 4, 4, 3)), 8)

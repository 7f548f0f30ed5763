"""A tracker and a bilinear warp in plain NumPy, which only use pixels."""

import types

import numpy as np
import pytest


def saturation(video: np.ndarray) -> np.ndarray:
  """The largest channel minus the smallest; 0 on grey backgrounds."""
  return video.max(-1).astype(float) - video.min(-1)


def centroid(weight_thw: np.ndarray) -> np.ndarray:
  """Centre of mass `[t, 2]`, (x, y), of the weights of each frame."""
  total_t = weight_thw.sum((1, 2))
  x_t = (weight_thw.sum(1) * np.arange(weight_thw.shape[2])).sum(1) / total_t
  y_t = (weight_thw.sum(2) * np.arange(weight_thw.shape[1])).sum(1) / total_t
  return np.stack([x_t, y_t], 1)


def track(video: np.ndarray) -> np.ndarray:
  """Position of the only colourful object of a clip, `[t, 2]`."""
  return centroid(saturation(video))


def warp(image_hwc: np.ndarray, flow_hw2: np.ndarray) -> np.ndarray:
  """Returns image(p + flow(p)), interpolated, padded with its edges."""
  h, w, _ = image_hwc.shape
  y, x = np.mgrid[:h, :w]
  x = np.clip(x + flow_hw2[..., 0], 0, w - 1)
  y = np.clip(y + flow_hw2[..., 1], 0, h - 1)
  left, top = np.floor(x).astype(int), np.floor(y).astype(int)
  right, low = np.minimum(left + 1, w - 1), np.minimum(top + 1, h - 1)
  dx, dy = (x - left)[..., None], (y - top)[..., None]
  above = image_hwc[top, left] * (1 - dx) + image_hwc[top, right] * dx
  below = image_hwc[low, left] * (1 - dx) + image_hwc[low, right] * dx
  return above * (1 - dy) + below * dy


@pytest.fixture(scope='session')
def pixel_tools():
  """The functions of this file, which only use pixels."""
  return types.SimpleNamespace(
    saturation=saturation, centroid=centroid, track=track, warp=warp
  )

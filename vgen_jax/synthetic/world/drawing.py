"""Draws a flat shape on a flat ground, with soft edges, where it is told to.

Pixel centres are at 0, 1, 2, ...; x goes right, y goes down.
"""

import math
from typing import Any

import numpy as np

from vgen_jax.core.types import ClipShape

BACKGROUND = 24  # Of all three channels, out of 255.


def paint(
  shape: str,
  radius: float,
  center_t2: np.ndarray,
  color_c: np.ndarray,
  clip_shape: ClipShape,
) -> np.ndarray:
  """Returns a clip of one object, uint8 `[t, h, w, 3]`.

  Args:
    shape: As in `coverage`.
    radius: In pixels.
    center_t2: (x, y) in pixels; the object must lie within the frame.
    color_c: Of the object, from 0 to 255.
    clip_shape: (t, h, w, 3).
  """
  t, h, w, c = clip_shape
  size = min(math.ceil(2 * radius) + 3, h, w)
  # Computes near the object only: a window that covers it fits the frame.
  corner_t2 = np.floor(center_t2 - radius).astype(int) - 1
  corner_t2 = np.clip(corner_t2, 0, (w - size, h - size))
  alpha_tmm = coverage(shape, radius, center_t2 - corner_t2, (size, size))
  shades_kc = BACKGROUND + np.linspace(0, 1, 256)[:, None] * (
    color_c - BACKGROUND
  )
  shades_kc = np.rint(shades_kc).astype(np.uint8)
  window_tmmc = shades_kc[np.rint(alpha_tmm * 255).astype(np.uint8)]
  video_thwc = np.full((t, h, w, c), BACKGROUND, np.uint8)
  corners = corner_t2.tolist()
  for i, (left, top) in enumerate(corners):
    video_thwc[i, top : top + size, left : left + size] = window_tmmc[i]
  return video_thwc


def coverage(
  shape: str,
  radius: float | np.ndarray,
  center_t2: np.ndarray,
  frame: tuple[int, int],
) -> np.ndarray:
  """Returns the share of each pixel that an object covers, `[t, h, w]`.

  Args:
    shape: 'circle', 'square', 'triangle' or 'cross'.
    radius: In pixels; one number, or one for each frame `[t]`.
    center_t2: (x, y) in pixels.
    frame: (h, w).
  """
  center_t2 = center_t2.astype(np.float32)
  radius_t11 = np.asarray(radius, np.float32).reshape(-1, 1, 1)
  x_tw = np.arange(frame[1], dtype=np.float32) - center_t2[:, :1]
  y_th = np.arange(frame[0], dtype=np.float32) - center_t2[:, 1:]
  return _alpha(shape, radius_t11, x_tw[:, None, :], y_th[:, :, None])


def _alpha(shape: str, radius: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Returns coverage at offsets (x, y) from the centre, by distance to the rim.

  The centre is the centre of mass of every shape, for trackers to find.
  """
  if shape == 'circle':
    distance = np.sqrt(x * x + y * y) - radius
  elif shape == 'square':
    distance = np.maximum(np.abs(x), np.abs(y)) - 0.87 * radius
  elif shape == 'triangle':  # Equilateral, standing on its base.
    slope = math.sqrt(0.75) * np.abs(x) - 0.5 * y
    distance = np.maximum(y, slope) - 0.5 * radius
  else:  # A cross.
    long, wide = np.abs(x), np.abs(y)
    flat = np.maximum(long - radius, wide - radius / 3)
    upright = np.maximum(wide - radius, long - radius / 3)
    distance = np.minimum(flat, upright)
  return np.clip(0.5 - distance, 0.0, 1.0)

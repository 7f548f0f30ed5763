"""Drawing of coloured shapes with soft edges on grey backgrounds.

Pixel centres are at 0, 1, 2, ...; x points right and y points down.
"""

import math
from typing import Any

import numpy as np

from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base

SHAPES = ('circle', 'square', 'triangle', 'cross')
COLORS = {
  'red': (230, 40, 40),
  'green': (40, 200, 60),
  'blue': (50, 90, 240),
  'yellow': (240, 220, 50),
  'magenta': (220, 60, 220),
  'cyan': (50, 220, 230),
}
COLOR_NAMES = tuple(COLORS)


def gray_background(draws_4: np.ndarray, clip_shape: ClipShape) -> np.ndarray:
  """Returns a static clip of soft grey waves, float32 in [40, 80].

  Args:
    draws_4: Uniform numbers in [0, 1) that determine lengths and phases.
    clip_shape: (t, h, w, c).
  """
  t, h, w, c = clip_shape
  lengths = base.interpolate(draws_4[:2], 0.3, 0.8) * min(h, w)
  phases = draws_4[2:] * 2 * math.pi
  wave_h = np.sin(2 * math.pi * np.arange(h) / lengths[0] + phases[0])
  wave_w = np.cos(2 * math.pi * np.arange(w) / lengths[1] + phases[1])
  background_hw = (60 + 20 * wave_h[:, None] * wave_w).astype(np.float32)
  video_thwc = np.empty((t, h, w, c), np.float32)
  video_thwc[:] = background_hw[None, :, :, None]
  return video_thwc


def paint(
  video_thwc: np.ndarray,
  shape: str,
  radius: float,
  center_t2: np.ndarray,
  color_c: np.ndarray | tuple,
) -> None:
  """Paints an object with soft edges onto a clip of floats, in place.

  Args:
    video_thwc: Clip with values from 0 to 255.
    shape: One of `SHAPES`.
    radius: Half of the object's width, in pixels.
    center_t2: (x, y) in pixels; the object must lie within the frame.
    color_c: Colour of the object, from 0 to 255: one for the clip, or `[t, c]`.
  """
  t = len(video_thwc)
  alpha_tmm, corner_t2 = window_coverage(
    shape, radius, center_t2, video_thwc.shape[1:3]
  )
  alpha_tmm1 = alpha_tmm[..., None]
  color_tc = np.broadcast_to(np.asarray(color_c, np.float32), (t, 3))
  paint_tmmc = alpha_tmm1 * color_tc[:, None, None]
  rest_tmm1 = 1 - alpha_tmm1
  size = alpha_tmm.shape[1]
  for i, (left, top) in enumerate(corner_t2.tolist()):
    window_mmc = video_thwc[i, top : top + size, left : left + size]
    window_mmc *= rest_tmm1[i]
    window_mmc += paint_tmmc[i]


def to_uint8(video_thwc: np.ndarray) -> np.ndarray:
  """Returns a clip of floats in [0, 255] as uint8."""
  return np.rint(video_thwc).astype(np.uint8)


def coverage(
  shape: str,
  radius: float | np.ndarray,
  center_t2: np.ndarray,
  frame: tuple[int, int],
) -> np.ndarray:
  """Returns the fraction of each pixel that an object covers.

  Args:
    shape: One of `SHAPES`.
    radius: Half of the object's width, in pixels; one number, or `[t]`.
    center_t2: (x, y) in pixels.
    frame: (h, w).

  Returns:
    Coverage, float32 `[t, h, w]` in [0, 1].
  """
  center_t2 = center_t2.astype(np.float32)
  radius_t11 = np.asarray(radius, np.float32).reshape(-1, 1, 1)
  x_tw = np.arange(frame[1], dtype=np.float32) - center_t2[:, :1]
  y_th = np.arange(frame[0], dtype=np.float32) - center_t2[:, 1:]
  return _alpha(shape, radius_t11, x_tw[:, None, :], y_th[:, :, None])


def window_coverage(
  shape: str, radius: float, center_t2: np.ndarray, frame: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
  """Returns `coverage` near an object only, which is faster.

  The arguments are those of `coverage`, with one radius for all frames.

  Returns:
    Coverage `[t, m, m]` of windows that contain the object, and the (x, y) of
    their first pixels, int `[t, 2]`.
  """
  h, w = frame
  size = min(math.ceil(2 * radius) + 3, h, w)
  corner_t2 = np.floor(center_t2 - radius).astype(int) - 1
  corner_t2 = np.clip(corner_t2, 0, (w - size, h - size))
  alpha_tmm = coverage(shape, radius, center_t2 - corner_t2, (size, size))
  return alpha_tmm, corner_t2


def _alpha(shape: str, radius: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Returns coverage at offsets (x, y) from the centre.

  Coverage is a linear function of the signed distance to the edge. The centre
  is the centre of mass of every shape, so that trackers can find it.
  """
  if shape == 'circle':
    distance = np.sqrt(x * x + y * y) - radius
  elif shape == 'square':
    distance = np.maximum(np.abs(x), np.abs(y)) - 0.87 * radius
  elif shape == 'triangle':  # Equilateral, with a horizontal lower side.
    slope = math.sqrt(0.75) * np.abs(x) - 0.5 * y
    distance = np.maximum(y, slope) - 0.5 * radius
  else:  # A cross.
    long, wide = np.abs(x), np.abs(y)
    flat = np.maximum(long - radius, wide - radius / 3)
    upright = np.maximum(wide - radius, long - radius / 3)
    distance = np.minimum(flat, upright)
  return np.clip(0.5 - distance, 0.0, 1.0)

"""Rendering of clips of `World`: one object on a uniform background."""

import numpy as np

from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import drawing

BACKGROUND = 24  # Value of all three channels, out of 255.


def render(
  shape: str,
  radius: float,
  center_t2: np.ndarray,
  color_c: np.ndarray,
  clip_shape: ClipShape,
) -> np.ndarray:
  """Returns a clip of one object, uint8 `[t, h, w, 3]`.

  Args:
    shape: One of `synthetic.drawing.SHAPES`.
    radius: Half of the object's width, in pixels.
    center_t2: (x, y) in pixels; the object must lie within the frame.
    color_c: Colour of the object, from 0 to 255.
    clip_shape: (t, h, w, 3).
  """
  alpha_tmm, corner_t2 = drawing.window_coverage(
    shape, radius, center_t2, clip_shape[1:3]
  )
  # Coverage is rounded to 256 levels, whose colours are computed once.
  level_k1 = np.linspace(0, 1, 256)[:, None]
  color_kc = BACKGROUND + level_k1 * (color_c - BACKGROUND)
  color_kc = np.rint(color_kc).astype(np.uint8)
  window_tmmc = color_kc[np.rint(alpha_tmm * 255).astype(np.uint8)]
  video_thwc = np.full(clip_shape, BACKGROUND, np.uint8)
  size = alpha_tmm.shape[1]
  for i, (left, top) in enumerate(corner_t2.tolist()):
    video_thwc[i, top : top + size, left : left + size] = window_tmmc[i]
  return video_thwc

"""Changes of the colours of a video."""

import math

import numpy as np

from vgen_jax.core import pixels

# Luma and the two axes of chroma in the YIQ colours of NTSC.
_YIQ = (pixels.LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def recolored(
  video_thwc: np.ndarray,
  brightness: float = 1.0,
  contrast: float = 1.0,
  saturation: float = 1.0,
  hue: float = 0.0,
) -> np.ndarray:
  """Returns a video with changed colours, the same change in every frame.

  The four changes, in this order, form one linear map, without rounding and
  clipping in between. Grey stays grey, and the last two changes keep luma.

  Args:
    video_thwc: uint8 video with 1 channel or 3.
    brightness: Factor of all pixels.
    contrast: Factor of the difference from the mean luma of the whole clip.
    saturation: Factor of the difference from grey; unused with 1 channel.
    hue: Rotation of hue as a fraction of the circle; unused with 1 channel.
  """
  yiq_33 = np.array(_YIQ)
  if video_thwc.shape[-1] == 1:
    map_cc, luma_c = np.ones((1, 1)), np.ones(1)
  else:
    # The chroma of grey must be exactly 0, in spite of rounded coefficients.
    yiq_33[1:] -= yiq_33[1:].mean(1, keepdims=True)
    cos, sin = (f(2 * math.pi * hue) * saturation for f in (math.cos, math.sin))
    rotation_33 = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    map_cc, luma_c = np.linalg.inv(yiq_33) @ rotation_33 @ yiq_33, yiq_33[0]
  mean = float(video_thwc.mean((0, 1, 2)) @ luma_c) * brightness
  map_cc = (map_cc * brightness * contrast).astype(np.float32)
  pixels = video_thwc.astype(np.float32) @ map_cc.T
  pixels += np.float32((1 - contrast) * mean)
  return np.round(np.clip(pixels, 0, 255)).astype(np.uint8)

"""An invisible watermark that identifies generated clips, also after H.264.

The watermark is one pattern, added to the luma of all frames: noise from the
key, in a ring of low and middle frequencies of the discrete cosine transform
(spread spectrum; Cox et al., "Secure Spread Spectrum Watermarking for
Multimedia", 1997, IEEE Transactions on Image Processing 6). It is the same in
all frames, so cutting in time and other frame rates do not affect it. The noise
is normal and does not depend on the clip, so the score of a clip without the
watermark is distributed as N(0, 1) for any content, over random keys, and the
probability of a false alarm is known. (The score of a uniform clip is 0.)

The watermark survives compression and moderate scaling, and is detected in a
mirrored clip. It does not survive crops, rotations and vertical flips, and it
is not secure against deliberate removal.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from vgen_jax.core import pixels

# Radii of the ring, as fractions of the shorter side, where 1 is the highest
# frequency.
_RING = (1 / 16, 7 / 16)
_GAIN = (0.6, 1.6)  # In smooth and in textured regions.
_TEXTURED = 12.0  # Scale of standard deviations; pixels are from 0 to 255.
_MIN_SIDE = 32
# Exponent of the weight of frequencies: -1 is a matched filter, 0 gives equal
# weights. Chosen by experiment.
_WEIGHT_EXPONENT = -0.5


class Detection(NamedTuple):
  """Evidence for a watermark.

  Attributes:
    z: Score, the larger one of the clip and its mirror image; each is
      distributed as N(0, 1) without the watermark.
    p_value: Upper bound of the probability of a score of z or more without the
      watermark: twice that for a single score.
    mirrored: Whether the mirror image (left and right exchanged) has the larger
      score.
  """

  z: float
  p_value: float
  mirrored: bool


def embed(
  video_thwc: np.ndarray, key: str, strength: float = 1.5
) -> np.ndarray:
  """Returns the clip with a watermark, uint8.

  Args:
    video_thwc: uint8 RGB clip of 32 x 32 pixels or more.
    key: Secret text.
    strength: Approximate root mean square of the watermark, on the scale of
      pixels from 0 to 255. Smaller frames need a larger strength.

  Raises:
    TypeError: If the clip is not uint8.
    ValueError: If it is too small, or has another shape.
  """
  from scipy import fft
  from scipy import ndimage

  luma_thw = _luma(video_thwc)
  h, w = luma_thw.shape[1:]
  ring_hw = _ring(h, w)
  spectrum_hw = np.zeros((h, w), np.float32)
  spectrum_hw[ring_hw] = _noise(key, ring_hw.sum())
  mark_hw = fft.idctn(spectrum_hw, norm='ortho')
  mark_hw /= mark_hw.std()
  # In textured regions a stronger watermark stays invisible.
  box = lambda x: ndimage.uniform_filter(x, (0, 7, 7))
  spread_thw = np.sqrt(
    np.maximum(box(np.square(luma_thw)) - np.square(box(luma_thw)), 0)
  )
  gain_thw = np.minimum(_GAIN[0] + spread_thw / _TEXTURED, _GAIN[1])
  marked = video_thwc + (strength * gain_thw * mark_hw)[..., None]
  return np.uint8(np.clip(np.rint(marked), 0, 255))


def detect(video_thwc: np.ndarray, key: str) -> Detection:
  """Returns the evidence that a clip has the watermark of a key.

  Args:
    video_thwc: Clip as in `embed`, of about the same size.
    key: Key of the watermark.

  Raises:
    TypeError: If the clip is not uint8.
    ValueError: If it is too small, or has another shape.
  """
  from scipy import stats

  frame_hw = _luma(video_thwc).mean(0)
  z, mirrored_z = (_score(x, key) for x in (frame_hw, frame_hw[:, ::-1]))
  best = max(z, mirrored_z)
  return Detection(
    z=best,
    p_value=min(1.0, 2 * float(stats.norm.sf(best))),
    mirrored=mirrored_z > z,
  )


def _score(frame_hw: np.ndarray, key: str) -> float:
  """Returns the projection of the noise of a key on a frame.

  Without the watermark it is distributed as N(0, 1).

  Args:
    frame_hw: Luma, averaged over the frames of a clip.
    key: Key of the watermark.
  """
  from scipy import fft
  from scipy import ndimage

  ring_hw = _ring(*frame_hw.shape)
  spectrum_hw = fft.dctn(frame_hw, norm='ortho')
  # The content masks the watermark, mostly at low frequencies, which therefore
  # get smaller weights.
  size_hw = ndimage.gaussian_filter(np.abs(spectrum_hw), 2.0)
  size_hw += 0.05 * np.abs(spectrum_hw[ring_hw]).mean() + 1e-3
  relative_hw = np.clip(spectrum_hw / size_hw, -3, 3)
  weighted_k = (relative_hw * size_hw**_WEIGHT_EXPONENT)[ring_hw]
  length = np.linalg.norm(weighted_k)
  if length < 1e-6:
    return 0.0
  return float(_noise(key, len(weighted_k)) @ weighted_k / length)


def _ring(h: int, w: int) -> np.ndarray:
  """Returns which frequencies carry the watermark, bool `[h, w]`."""
  side = min(h, w)
  radius_hw = np.hypot(*np.meshgrid(np.arange(h), np.arange(w), indexing='ij'))
  return (radius_hw >= _RING[0] * side) & (radius_hw < _RING[1] * side)


def _noise(key: str, count: int) -> np.ndarray:
  digest = hashlib.sha256(key.encode()).digest()
  seed = int.from_bytes(digest[:16], 'little')
  return np.random.Generator(np.random.Philox(seed)).standard_normal(count)


def _luma(video_thwc: np.ndarray) -> np.ndarray:
  video_thwc = np.asarray(video_thwc)
  if video_thwc.dtype != np.uint8:
    raise TypeError(
      f'The clip is {video_thwc.dtype}; it must be uint8. Convert it with'
      ' core.pixels.to_uint8.'
    )
  if video_thwc.ndim != 4 or video_thwc.shape[-1] != 3:
    raise ValueError(
      f'The clip has shape {video_thwc.shape}; it must be [t, h, w, 3].'
    )
  if min(video_thwc.shape[1:3]) < _MIN_SIDE or not len(video_thwc):
    raise ValueError(
      f'The clip has shape {video_thwc.shape}; a watermark needs 1 frame or'
      f' more, of {_MIN_SIDE} x {_MIN_SIDE} pixels or more. Enlarge the frames.'
    )
  return pixels.luma(video_thwc)

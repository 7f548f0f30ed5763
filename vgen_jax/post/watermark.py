"""An invisible mark that tells a clip of ours from others, through H.264.

The mark is one pattern, added to the luma of all frames: noise drawn from the
key, in a ring of low and middle frequencies of the discrete cosine transform
(spread spectrum; Cox et al., "Secure Spread Spectrum Watermarking for
Multimedia", 1997, IEEE Transactions on Image Processing 6). Since it is the
same in every frame, cutting in time or another frame rate leaves it in place.
As keys are normal noise, a clip that was not marked with a key scores N(0, 1)
against it, whatever it shows: so chances of a false alarm are exact.

It lives through compression and moderate scaling. It does not live through a
crop, a rotation, or a vertical flip; a mirrored clip is found. It is a sign of
good will, no proof against one who wants it gone.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy import ndimage
from scipy import stats

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# The ring, in shares of the shorter side; 1 would be the finest frequency.
_RING = (1 / 16, 7 / 16)
_MASK = (0.6, 1.6)  # Gain over flat and over busy places.
_BUSY = 12.0  # Levels of deviation that count as busy.
_MIN_SIDE = 32
# -1 would be a matched filter, 0 give all the same say; found by trial.
_TRUST = -0.5


class Detection(NamedTuple):
  """What speaks for a mark.

  Attributes:
    z: Score; N(0, 1) without the mark, the greater one of both ways round.
    p_value: Chance of a greater score without the mark, for both ways together.
    mirrored: Whether the clip was found the other way round.
  """

  z: float
  p_value: float
  mirrored: bool


def embed(
  video_thwc: np.ndarray, key: str, strength: float = 1.5
) -> np.ndarray:
  """Returns the clip with the mark of a key in it.

  Args:
    video_thwc: uint8, red, green, blue, of at least 32 pixels a side.
    key: Anything that only you know.
    strength: About the root mean square of the mark, in levels out of 255.
      Smaller frames have less room and need more of it.

  Raises:
    TypeError: If the clip is not uint8.
    ValueError: If it is too small, or of another shape.
  """
  luma_thw = _luma(video_thwc)
  h, w = luma_thw.shape[1:]
  ring_hw = _ring(h, w)
  spectrum_hw = np.zeros((h, w), np.float32)
  spectrum_hw[ring_hw] = _noise(key, ring_hw.sum())
  mark_hw = fft.idctn(spectrum_hw, norm='ortho')
  mark_hw /= mark_hw.std()
  # Where there is much to see, more of it goes unseen.
  box = lambda x: ndimage.uniform_filter(x, (0, 7, 7))
  spread_thw = np.sqrt(
    np.maximum(box(np.square(luma_thw)) - np.square(box(luma_thw)), 0)
  )
  gain_thw = np.minimum(_MASK[0] + spread_thw / _BUSY, _MASK[1])
  marked = video_thwc + (strength * gain_thw * mark_hw)[..., None]
  return np.uint8(np.clip(np.rint(marked), 0, 255))


def detect(video_thwc: np.ndarray, key: str) -> Detection:
  """Returns how sure one can be that a clip bears the mark of a key.

  Args:
    video_thwc: As in `embed`, with frames of about the same shape of side.
    key: The key in question.

  Raises:
    TypeError: If the clip is not uint8.
    ValueError: If it is too small, or of another shape.
  """
  frame_hw = _luma(video_thwc).mean(0)
  z, mirrored_z = (_score(x, key) for x in (frame_hw, frame_hw[:, ::-1]))
  best = max(z, mirrored_z)
  return Detection(
    z=best,
    p_value=min(1.0, 2 * float(stats.norm.sf(best))),
    mirrored=mirrored_z > z,
  )


def _score(frame_hw: np.ndarray, key: str) -> float:
  """Returns the correlation with the key's noise; N(0, 1) without the mark."""
  ring_hw = _ring(*frame_hw.shape)
  spectrum_hw = fft.dctn(frame_hw, norm='ortho')
  # What is shown is in the way, of low frequencies most: there less is said.
  size_hw = ndimage.gaussian_filter(np.abs(spectrum_hw), 2.0)
  size_hw += 0.05 * np.abs(spectrum_hw[ring_hw]).mean() + 1e-3
  seen_hw = np.clip(spectrum_hw / size_hw, -3, 3)
  seen_k = (seen_hw * size_hw**_TRUST)[ring_hw]
  length = np.linalg.norm(seen_k)
  if length < 1e-6:
    return 0.0
  return float(_noise(key, len(seen_k)) @ seen_k / length)


def _ring(h: int, w: int) -> np.ndarray:
  """Returns which frequencies bear the mark, bool `[h, w]`."""
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
    raise TypeError(f'The clip is {video_thwc.dtype}; it must be uint8.')
  if video_thwc.ndim != 4 or video_thwc.shape[-1] != 3:
    raise ValueError(
      f'The clip has shape {video_thwc.shape}; it must be [t, h, w, 3].'
    )
  if min(video_thwc.shape[1:3]) < _MIN_SIDE or not len(video_thwc):
    raise ValueError(
      f'The clip has shape {video_thwc.shape}; a mark needs frames of'
      f' {_MIN_SIDE} x {_MIN_SIDE} pixels or more.'
    )
  return video_thwc.astype(np.float32) @ _LUMA

"""Faces that speak and blink; the mouth opens with the loudness of the sound.

`audio` is float32 `[t, 16]`: the loudness of a frame, in [0, 1], then the
logarithm of its energy in 15 mel bands. The waveform, at 16 kHz, is part of the
truth.
"""

from collections.abc import Callable
import functools
import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.synthetic import base
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.face import speech

EXPRESSIONS = ('neutral', 'happy', 'sad', 'angry')
# Height of the mouth's corners, and depth of the brows' inner ends.
_MOUTHS = {'neutral': 0.0, 'happy': 1.0, 'sad': -1.0, 'angry': -0.5}
_BROWS = {'neutral': 0.0, 'happy': 0.0, 'sad': -1.0, 'angry': 1.0}
_LIPS = (200, 30, 40)
_HAIR = (40, 36, 32)
_BLINK = (0.6, 1.0, 0.6)  # Closure of the eyes in successive frames.


class Truth(NamedTuple):
  """Ground truth of a clip.

  Attributes:
    expression: One of EXPRESSIONS.
    opening_t: Opening of the mouth, in [0, 1]: root mean square of the sound's
      envelope in each frame.
    blink_t: Closure of the eyes, from 0, open, to 1, closed.
    wave_s: Waveform, float32 in [-1, 1], at 16 kHz.
    envelope_s: Loudness at each sample, in [0, 1].
    skin_3: Colour of the skin, from 0 to 255.
    iris_3: Colour of the eyes, from 0 to 255.
    moving_hw: Pixels that can change in this clip, bool: eyes and mouth.
    mouth_hw: Pixels that the mouth can cover in this clip, bool.
  """

  expression: str
  opening_t: np.ndarray
  blink_t: np.ndarray
  wave_s: np.ndarray
  envelope_s: np.ndarray
  skin_3: np.ndarray
  iris_3: np.ndarray
  moving_hw: np.ndarray
  mouth_hw: np.ndarray


class Face(base.SyntheticDataset):
  """A face in which only mouth and eyes move; the label is the expression."""

  class_names = EXPRESSIONS
  audio_bands = 1 + speech.NUM_BANDS
  min_side = 16

  def __getitem__(self, index: int) -> Clip:
    draws, voice, blink_t = self._sample(index)
    expression = int(draws[4] * len(EXPRESSIONS))
    video_thwc = self._static_parts(draws)
    for color, alpha_thw, (rows, columns) in self._moving_parts(
      draws, voice.loudness_t, blink_t
    ):
      window_thwc = video_thwc[:, rows, columns]
      color_c = np.asarray(color, np.float32)
      window_thwc += alpha_thw[..., None] * (color_c - window_thwc)
    return {
      'video': drawing.to_uint8(video_thwc),
      'label': np.int32(expression),
      'audio': speech.features(voice),
    }

  def truth(self, index: int) -> Truth:
    """Returns the expression, motion and sound of clip `index`."""
    draws, voice, blink_t = self._sample(index)
    envelope_s, wave_s = speech.sound(voice)
    # Open eyes and mouth cover all pixels that can change.
    covered = []
    for _, alpha_thw, (rows, columns) in self._moving_parts(
      draws, opening_t=np.ones(1), blink_t=np.zeros(1)
    ):
      part_hw = np.zeros(self.clip_shape[1:3], bool)
      part_hw[rows, columns] = alpha_thw[0] > 0
      covered.append(part_hw)
    skin_3, iris_3 = _identity(draws)
    return Truth(
      expression=EXPRESSIONS[int(draws[4] * len(EXPRESSIONS))],
      opening_t=voice.loudness_t,
      blink_t=blink_t,
      wave_s=wave_s,
      envelope_s=envelope_s,
      skin_3=skin_3,
      iris_3=iris_3,
      moving_hw=np.any(covered, axis=0),
      mouth_hw=covered[-1],
    )

  def _sample(self, index: int) -> tuple[np.ndarray, speech.Voice, np.ndarray]:
    """Returns uniform numbers, the voice, and the closure of the eyes."""
    t = self.clip_shape[0]
    rng = self.rng(index)
    draws = rng.random(12)
    samples = round(speech.RATE / self.schema.frames_per_second)
    voice = speech.sample(rng, t, samples)
    blink_t = np.zeros(t)
    for draw in rng.random(max(1, t // 12)):
      first = 1 + int(draw * (t - len(_BLINK)))
      blink_t[first : first + len(_BLINK)] = _BLINK
    return draws, voice, blink_t

  def _head_center(self, draws: np.ndarray) -> tuple[float, float]:
    """Returns the centre (x, y) of the head."""
    _, h, w, _ = self.clip_shape
    offset_2 = base.interpolate(draws[5:7], -0.03, 0.03) * self.side
    return (w - 1) / 2 + offset_2[0], (h - 1) / 2 + offset_2[1]

  def _static_parts(self, draws: np.ndarray) -> np.ndarray:
    """Returns a clip of the face without eyes and mouth."""
    t, h, w, c = self.clip_shape
    frame_1hwc = drawing.gray_background(draws[:4], (1, h, w, c))
    x, y = self._head_center(draws)
    s = self.side
    skin_3, _ = _identity(draws)
    drawing.paint(frame_1hwc, 'circle', 0.43 * s, np.array([[x, y]]), skin_3)
    tilt = _BROWS[EXPRESSIONS[int(draws[4] * len(EXPRESSIONS))]] * 0.35
    for sign in (-1, 1):
      alpha_thw, (rows, columns) = self._band(
        (x + sign * 0.17 * s, y - 0.22 * s),
        0.1 * s,
        lambda u, sign=sign: -sign * tilt * u * 0.1 * s,
        lambda u: np.full((1, len(u)), 0.025 * s),
        0.08 * s,
      )
      window_1hwc = frame_1hwc[:, rows, columns]
      color_c = np.asarray(_HAIR, np.float32)
      window_1hwc += alpha_thw[..., None] * (color_c - window_1hwc)
    return np.repeat(frame_1hwc, t, axis=0)

  def _moving_parts(
    self, draws: np.ndarray, opening_t: np.ndarray, blink_t: np.ndarray
  ) -> list[tuple]:
    """Returns (colour, coverage, window) of both eyes, then of the mouth.

    Coverage and window are those that `_band` returns.
    """
    x, y = self._head_center(draws)
    s = self.side
    _, iris_3 = _identity(draws)
    curve = _MOUTHS[EXPRESSIONS[int(draws[4] * len(EXPRESSIONS))]]
    parts = []
    eye_t = 0.07 * s * (1 - blink_t)
    mouth_t = s * (0.015 + 0.09 * opening_t)
    for sign in (-1, 1):
      eye_center = (x + sign * 0.17 * s, y - 0.09 * s)
      flat = lambda u: np.zeros_like(u)
      band = self._band(
        eye_center, 0.07 * s, flat, functools.partial(_oval, eye_t), 0.08 * s
      )
      parts.append((iris_3, *band))
    band = self._band(
      (x, y + 0.2 * s),
      0.18 * s,
      lambda u: -curve * 0.07 * s * (u * u - 1 / 3),
      functools.partial(_oval, mouth_t),
      0.16 * s,
    )
    return [*parts, (_LIPS, *band)]

  def _band(
    self,
    center: tuple[float, float],
    half_width: float,
    offset: Callable[[np.ndarray], np.ndarray],
    half_height: Callable[[np.ndarray], np.ndarray],
    reach: float,
  ) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Returns the coverage of a curved band, and the window that contains it.

    Coverage is exact along y, so that areas are exact.

    Args:
      center: (x, y) of the band, in pixels.
      half_width: Half of its width, in pixels.
      offset: Function of u in [-1, 1] along x that returns the distance of the
        band below `center`, in pixels.
      half_height: Function of u that returns half of the height, `[t, n]`.
      reach: Largest vertical distance of the band from `center`.

    Returns:
      Coverage `[t, m, n]`, and (rows, columns) of the window.
    """
    _, h, w, _ = self.clip_shape
    x, y = center
    rows = slice(max(math.floor(y - reach), 0), min(math.ceil(y + reach), h))
    first, last = math.ceil(x - half_width), math.floor(x + half_width)
    columns = slice(max(first, 0), min(last + 1, w))
    u_n = (np.arange(columns.start, columns.stop) - x) / half_width
    middle_n = y + offset(u_n)
    half_tn = half_height(u_n)
    y_m1 = np.arange(rows.start, rows.stop)[:, None]
    top_tmn = np.maximum(y_m1 - 0.5, (middle_n - half_tn)[:, None])
    bottom_tmn = np.minimum(y_m1 + 0.5, (middle_n + half_tn)[:, None])
    alpha_tmn = np.clip(bottom_tmn - top_tmn, 0, 1).astype(np.float32)
    return alpha_tmn, (rows, columns)


def _oval(height_t: np.ndarray, u_n: np.ndarray) -> np.ndarray:
  """Returns half of the height of an ellipse at u in [-1, 1], `[t, n]`."""
  return height_t[:, None] * np.sqrt(np.maximum(1 - u_n * u_n, 0))


def _identity(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the colours of skin and eyes, from 0 to 255."""
  tone = base.interpolate(draws[7], 120, 220)
  skin_3 = tone * np.array([1.0, base.interpolate(draws[8], 0.86, 0.96), 0.82])
  iris_3 = np.array([30.0, *base.interpolate(draws[9:11], 40, 180)])
  return skin_3, iris_3

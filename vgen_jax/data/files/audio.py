"""The sound of a clip: a log-mel spectrum for each of its frames.

The mel scale is m(f) = 2595 log10(1 + f / 700) (O'Shaughnessy, Speech
Communication, 1987). Band k of a spectrum adds up the powers of the frequencies
near its centre, weighted by a triangle in hertz; the corners of the triangles
lie evenly on the mel scale, and each is the centre of the next.
"""

import dataclasses
import math

import av
import numpy as np

from vgen_jax.core import faults
from vgen_jax.data.files import containers

FLOOR = 1e-8  # Power below which all is silence.
# A decoder of sound needs what comes before; this much is then thrown away.
_LEAD_S = 0.5


@dataclasses.dataclass(frozen=True)
class LogMel:
  """How sound becomes numbers: the natural logarithm of powers, by bands.

  A sine of amplitude 1 has power 1 at its frequency, whatever the window; 0 is
  thus about the loudest, and log(1e-8), -18.4, silence.

  Attributes:
    num_bands: Mel bands, f.
    low_hz: Where the first band begins.
    high_hz: Where the last band ends; above half of a track's rate is silence.
    window_s: Length of the Hann window about each frame; None takes twice the
      time from a frame to the next, so that all of the sound counts alike.
  """

  num_bands: int = 64
  low_hz: float = 0.0
  high_hz: float = 8000.0
  window_s: float | None = None

  def __post_init__(self):
    if self.num_bands < 1 or not 0 <= self.low_hz < self.high_hz:
      raise ValueError(
        f'config.data.audio is {self}; it needs a band or more, and low_hz'
        ' from 0 to below high_hz.'
      )

  def read(self, path: str, time_t: np.ndarray, pitch_s: float) -> np.ndarray:
    """Returns the spectra of a file's own track about these times.

    Args:
      path: Local file.
      time_t: Seconds on the file's clock, in any order; before and after the
        track is silence.
      pitch_s: Time from a frame to the next, in seconds.

    Returns:
      float32 `[t, f]`.

    Raises:
      ClipError: If the file has no sound, or it cannot be decoded.
    """
    half_s = (self.window_s or 2 * pitch_s) / 2
    first_s, last_s = np.min(time_t) - half_s, np.max(time_t) + half_s
    sample_n, rate, start = read(path, first_s, last_s)
    return self.spectra(sample_n, rate, time_t - start / rate, pitch_s)

  def spectra(
    self, sample_n: np.ndarray, rate: int, time_t: np.ndarray, pitch_s: float
  ) -> np.ndarray:
    """Returns the spectra of a sound about these times, float32 `[t, f]`.

    Args:
      sample_n: In [-1, 1]; sample i is at i / rate seconds.
      rate: Samples a second.
      time_t: In seconds; what lies outside of the sound is silence.
      pitch_s: Time from a frame to the next, in seconds.
    """
    length = max(2, round((self.window_s or 2 * pitch_s) * rate))
    first_t = np.round(time_t * rate).astype(int) - length // 2
    place_tn = first_t[:, None] + np.arange(length)
    inside_tn = (place_tn >= 0) & (place_tn < len(sample_n))
    padded_n = np.append(np.asarray(sample_n, np.float64), 0.0)
    sound_tn = padded_n[np.where(inside_tn, place_tn, -1)]
    window_n = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    scale = 2 / window_n.sum()  # A sine's power is in two halves of a spectrum.
    power_tk = np.abs(scale * np.fft.rfft(sound_tn * window_n)) ** 2
    hertz_k = np.fft.rfftfreq(length, 1 / rate)
    return np.log(np.maximum(power_tk @ self.weights(hertz_k).T, FLOOR)).astype(
      np.float32
    )

  def weights(self, hertz_k: np.ndarray) -> np.ndarray:
    """Returns how much each frequency counts in each band, `[f, k]`."""
    corner_mel = np.linspace(
      _mel(self.low_hz), _mel(self.high_hz), self.num_bands + 2
    )
    corner = 700 * (10 ** (corner_mel / 2595) - 1)
    low_f1, mid_f1, high_f1 = (
      corner[i : i + self.num_bands, None] for i in range(3)
    )
    rise_fk = (hertz_k - low_f1) / (mid_f1 - low_f1)
    fall_fk = (high_f1 - hertz_k) / (high_f1 - mid_f1)
    return np.maximum(np.minimum(rise_fk, fall_fk), 0)


def read(
  path: str, first_s: float, last_s: float
) -> tuple[np.ndarray, int, int]:
  """Returns a stretch of a file's sound, the mean of its channels.

  It is exact to the sample where the container's clock is, as in mp4; webm and
  mkv count milliseconds.

  Args:
    path: Local file.
    first_s: Where to begin, in seconds on the file's clock.
    last_s: Where to end.

  Returns:
    Samples float32 `[n]` in about [-1, 1], at the rate of the track; that rate;
    and the number of the first sample, where 0 is at second 0. Gaps are silent.

  Raises:
    ClipError: If the file has no sound, or it cannot be decoded.
  """
  path = str(path)
  with containers.opened(path, 'audio') as (container, stream):
    rate = stream.rate
    first, last = math.floor(first_s * rate), math.ceil(last_s * rate)
    sample_n = np.zeros(max(last - first, 0), np.float32)
    from_tick = math.floor((first_s - _LEAD_S) / stream.time_base)
    if from_tick > (stream.start_time or 0):
      container.seek(from_tick, stream=stream, backward=True)
    # Of numbers only: the rate stays, and channels of any layout are kept.
    floats = av.AudioResampler('fltp')
    last_end = None
    for frame in container.decode(stream):
      if frame.pts is None or frame.sample_rate != rate:
        raise faults.ClipError(
          path, 'its sound has no times, or two rates; encode it anew.'
        )
      start = round(frame.pts * frame.time_base * rate) - first
      # Clocks round: what follows within two milliseconds, follows at once.
      if last_end is not None and abs(start - last_end) <= rate // 500:
        start = last_end
      if start >= len(sample_n):
        break
      for planar in floats.resample(frame):
        part_n = planar.to_ndarray().mean(0)
        end = min(start + len(part_n), len(sample_n))
        if end > max(start, 0):
          sample_n[max(start, 0) : end] = part_n[max(-start, 0) : end - start]
        start += len(part_n)
      last_end = start
  return sample_n, rate, first


def _mel(hertz: float) -> float:
  return 2595 * math.log10(1 + hertz / 700)

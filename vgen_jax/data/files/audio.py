"""Audio of a clip: a log-mel spectrum for each of its frames.

The mel scale is m(f) = 2595 log10(1 + f / 700) (O'Shaughnessy, Speech
Communication, 1987). Band k of a spectrum is the sum of the powers of the
frequencies near its centre, with triangular weights in hertz. The corners of
the triangles are evenly spaced on the mel scale, and each is the centre of the
next triangle.
"""

import dataclasses
import math

import av
import numpy as np

from vgen_jax.core import faults
from vgen_jax.data.files import containers

FLOOR = 1e-8  # Smallest power; the power of silence.
# A decoder of audio needs some earlier samples, which are then removed.
_LEAD_S = 0.5


@dataclasses.dataclass(frozen=True)
class LogMel:
  """Log-mel spectra: the natural logarithm of the power in each mel band.

  A sine of amplitude 1 has power 1 at its frequency for any window. So values
  go from log(1e-8) = -18.4 (silence) to about 0 (the loudest sounds).

  Attributes:
    num_bands: Number of mel bands, f.
    low_hz: Lower end of the first band.
    high_hz: Upper end of the last band. Frequencies above half of the sample
      rate of a track are silent.
    window_s: Length in seconds of the Hann window around each frame; None for
      twice the time between two frames, so that all samples have equal weight.

  Raises:
    ValueError: If there is no band, or the frequencies are out of range.
  """

  num_bands: int = 64
  low_hz: float = 0.0
  high_hz: float = 8000.0
  window_s: float | None = None

  def __post_init__(self):
    if self.num_bands < 1 or not 0 <= self.low_hz < self.high_hz:
      raise ValueError(
        f'config.data.audio is {self}; num_bands must be 1 or more, and low_hz'
        ' must be from 0 to below high_hz.'
      )

  def read(
    self, path: str, time_t: np.ndarray, frame_interval: float
  ) -> np.ndarray:
    """Returns the spectra of the audio of a file at these times.

    Args:
      path: Local file.
      time_t: Times in seconds on the clock of the file, in any order. The
        signal is silent before and after the audio track.
      frame_interval: Time from one frame to the next, in seconds.

    Returns:
      float32 `[t, f]`.

    Raises:
      ClipError: If the file has no audio, or it cannot be decoded.
    """
    half_s = (self.window_s or 2 * frame_interval) / 2
    first_s, last_s = np.min(time_t) - half_s, np.max(time_t) + half_s
    sample_n, rate, start = read(path, first_s, last_s)
    time_t = time_t - start / rate
    return self.spectra(sample_n, rate, time_t, frame_interval)

  def spectra(
    self,
    sample_n: np.ndarray,
    rate: int,
    time_t: np.ndarray,
    frame_interval: float,
  ) -> np.ndarray:
    """Returns the spectra of audio samples at these times, float32 `[t, f]`.

    Args:
      sample_n: Samples in [-1, 1]; sample i is at i / rate seconds.
      rate: Samples per second.
      time_t: Times in seconds. Before and after the samples there is silence.
      frame_interval: Time from one frame to the next, in seconds.
    """
    length = max(2, round((self.window_s or 2 * frame_interval) * rate))
    first_t = np.round(time_t * rate).astype(int) - length // 2
    index_tn = first_t[:, None] + np.arange(length)
    inside_tn = (index_tn >= 0) & (index_tn < len(sample_n))
    padded_n = np.append(np.asarray(sample_n, np.float64), 0.0)
    sample_tn = padded_n[np.where(inside_tn, index_tn, -1)]
    window_n = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    scale = 2 / window_n.sum()  # Half of the power is at -f.
    power_tk = np.abs(scale * np.fft.rfft(sample_tn * window_n)) ** 2
    hertz_k = np.fft.rfftfreq(length, 1 / rate)
    return np.log(np.maximum(power_tk @ self.weights(hertz_k).T, FLOOR)).astype(
      np.float32
    )

  def weights(self, hertz_k: np.ndarray) -> np.ndarray:
    """Returns the weight of each frequency in each band, `[f, k]`."""
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
  """Returns a segment of the audio of a file, as the mean of its channels.

  The segment is exact to the sample if the times in the container are, as in
  mp4; webm and mkv round them to milliseconds.

  Args:
    path: Local file.
    first_s: Start of the segment, in seconds on the clock of the file.
    last_s: End of the segment, in seconds.

  Returns:
    (samples, rate, first): samples float32 `[n]` in about [-1, 1] at the rate
    of the track, in samples per second; and the index of the first sample,
    where index 0 is at second 0. Gaps are silent.

  Raises:
    ClipError: If the file has no audio, or it cannot be decoded.
  """
  path = str(path)
  with containers.opened(path, 'audio') as (container, stream):
    rate = stream.rate
    first, last = math.floor(first_s * rate), math.ceil(last_s * rate)
    sample_n = np.zeros(max(last - first, 0), np.float32)
    from_tick = math.floor((first_s - _LEAD_S) / stream.time_base)
    if from_tick > (stream.start_time or 0):
      container.seek(from_tick, stream=stream, backward=True)
    # Only the dtype is converted: the rate and the channels stay.
    floats = av.AudioResampler('fltp')
    last_end = None
    for frame in container.decode(stream):
      if frame.pts is None or frame.sample_rate != rate:
        raise faults.ClipError(
          path,
          'its audio has no timestamps, or its sample rate changes; encode the'
          ' file again.',
        )
      start = round(frame.pts * frame.time_base * rate) - first
      # Times are rounded: a gap of up to two milliseconds is not counted as
      # one.
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

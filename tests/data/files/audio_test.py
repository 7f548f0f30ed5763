"""Tests of data/files/audio.py."""

import math

import av
import numpy as np
import pytest

from vgen_jax.core import faults
from vgen_jax.data.files import audio as audio_lib

RATE = 16000


def tone(hertz: float, seconds: float, amplitude: float = 0.5) -> np.ndarray:
  time_n = np.arange(round(seconds * RATE)) / RATE
  return amplitude * np.sin(2 * np.pi * hertz * time_n)


def write(path, sample_n, codec='pcm_s16le', rate=RATE, channels=1) -> str:
  """Writes a file with frames and this audio, from second 0 on."""
  with av.open(str(path), 'w') as file:
    picture = file.add_stream('libx264', 10)
    picture.height, picture.width, picture.pix_fmt = 16, 16, 'yuv420p'
    layout = ('mono', 'stereo')[channels - 1]
    sound = file.add_stream(codec, rate, layout=layout)
    for i in range(round(10 * len(sample_n) / rate)):
      image = np.full((16, 16, 3), 4 * i, np.uint8)
      file.mux(picture.encode(av.VideoFrame.from_ndarray(image)))
    file.mux(picture.encode())
    # Packed samples, channel by channel, as 16 bits.
    packed = np.round(np.asarray(sample_n) * 32767).astype(np.int16)
    packed = packed.repeat(channels)[None]
    frame = av.AudioFrame.from_ndarray(packed, 's16', layout)
    frame.sample_rate, frame.pts = rate, 0
    for part in av.AudioResampler(sound.format, layout, rate).resample(frame):
      file.mux(sound.encode(part))
    file.mux(sound.encode())
  return str(path)


def test_the_spectrum_of_a_tone():
  """A sine at the frequency of a bin, with a Hann window.

  The window spreads amplitude A over three bins, as A / 2, A, A / 2. With 0.1 s
  of sound, bins are 10 Hz apart.
  """
  log_mel = audio_lib.LogMel(num_bands=10, high_hz=4000, window_s=0.1)
  got_tf = log_mel.spectra(tone(1000, 1), RATE, np.array([0.3, 0.5]), 0.1)
  mel = lambda hertz: 2595 * math.log10(1 + hertz / 700)
  corners = [
    700 * (10 ** (mel(4000) * k / 11 / 2595) - 1) for k in range(10 + 2)
  ]
  want_f = []
  for low, mid, high in zip(corners, corners[1:], corners[2:], strict=False):
    power = 0.0
    for hertz, amplitude in ((990, 0.25), (1000, 0.5), (1010, 0.25)):
      weight = min((hertz - low) / (mid - low), (high - hertz) / (high - mid))
      power += max(weight, 0) * amplitude**2
    want_f.append(math.log(max(power, 1e-8)))
  assert sum(x > -10 for x in want_f) == 2  # Two bands overlap at any tone.
  np.testing.assert_allclose(got_tf, [want_f, want_f], atol=1e-3)
  assert got_tf.dtype == np.float32
  other = log_mel.spectra(tone(1300, 1), RATE, np.array([0.5]), 0.1)
  assert np.abs(other[0] - want_f).max() > 1


def test_the_weights_of_all_bands_add_up_to_1():
  hertz_k = np.arange(8000.0)
  weight_fk = audio_lib.LogMel(20).weights(hertz_k)
  np.testing.assert_allclose(weight_fk.sum(0)[100:7000], 1, atol=1e-9)
  peak_f = hertz_k[weight_fk.argmax(1)]
  assert (np.diff(peak_f) > 0).all()
  assert np.ptp(np.diff(peak_f)) > 100  # Their distances grow.


def test_spectra_are_aligned_with_frames():
  """A beep at 0.5 s is in the frame at 0.5 s, and silence has FLOOR."""
  sample_n = np.zeros(RATE)
  sample_n[RATE // 2 : RATE // 2 + 800] = tone(1000, 0.05)
  time_t = np.arange(10) / 10
  spectra_tf = audio_lib.LogMel(window_s=0.1).spectra(sample_n, RATE, time_t, 1)
  loud_t = spectra_tf.max(1) > math.log(1e-4)
  assert np.flatnonzero(loud_t).tolist() == [5]
  silence = np.full_like(spectra_tf[0], math.log(audio_lib.FLOOR))
  np.testing.assert_array_equal(spectra_tf[0], silence)


def test_windows_of_two_frame_intervals_cover_all_samples():
  """A click of one sample at any time changes a spectrum."""
  time_t = np.arange(1, 9) / 10
  for index in (4000, 5600, 5599, 7123):
    sample_n = np.zeros(RATE)
    sample_n[index] = 1
    peaks = [
      audio_lib.LogMel(window_s=window_s)
      .spectra(sample_n, RATE, time_t, 0.1)
      .max()
      for window_s in (None, 0.02)
    ]
    assert peaks[0] > math.log(audio_lib.FLOOR)
    if index == 4000 + 800 * 2:  # It is between two narrow windows.
      assert peaks[1] == pytest.approx(math.log(audio_lib.FLOOR))


@pytest.mark.parametrize(
  ('name', 'codec', 'rate', 'atol', 'most'),
  [  # `most`: largest error of the times in the container, in samples.
    ('a.mkv', 'pcm_s16le', 16000, 1e-4, 8),
    ('a.mov', 'pcm_s16le', 22050, 1e-4, 0),
    ('a.mkv', 'flac', 22050, 1e-4, 11),
    ('a.mp4', 'aac', 16000, 0.05, 0),
  ],
)
@pytest.mark.parametrize('channels', [1, 2])
def test_a_segment_equals_that_part_of_the_track(
  tmp_path, name, codec, rate, atol, most, channels
):
  rng = np.random.default_rng(0)
  slow_n = np.cumsum(rng.standard_normal(3 * rate))
  sample_n = 0.2 * np.sin(slow_n / 20)
  path = write(tmp_path / name, sample_n, codec, rate, channels)
  for first_s, last_s in ((0, 3), (1.25, 1.5), (2.2, 2.9)):
    got_n, got_rate, first = audio_lib.read(path, first_s, last_s)
    assert (got_rate, first) == (rate, math.floor(first_s * rate))
    # The codec has artefacts at the start and the end of the track.
    inner = slice(2000, -2000) if first_s == 0 else slice(None)
    error = {
      shift: np.abs(got_n - np.roll(sample_n, shift - first)[: len(got_n)])
      for shift in (*range(-most, most + 1), 50)
    }
    shift = min(error, key=lambda shift: error[shift][inner].max())
    assert abs(shift) <= most
    assert error[shift][inner].max() < atol
    assert error[50][inner].max() > atol  # A shift would be noticed.
  got_n, _, first = audio_lib.read(path, -0.5, 0.25)
  assert first == -rate // 2
  assert not got_n[: rate // 2 - 1000].any()  # It is silent before the track.
  assert len(got_n) == round(0.75 * rate)


def test_spectra_of_a_file(tmp_path):
  path = write(tmp_path / 'a.mkv', tone(1000, 2))
  log_mel = audio_lib.LogMel(num_bands=16)
  time_t = 0.5 + np.arange(8) / 8
  got_tf = log_mel.read(path, time_t, 1 / 8)
  want_tf = log_mel.spectra(tone(1000, 2), RATE, time_t, 1 / 8)
  assert got_tf.shape == (8, 16)
  loud = want_tf > -8  # Below is the noise of 16 bits.
  assert loud.any(1).all()
  np.testing.assert_allclose(got_tf[loud], want_tf[loud], atol=1e-2)


def test_a_file_without_audio_is_named(tmp_path):
  path = tmp_path / 'silent.mp4'
  with av.open(str(path), 'w') as file:
    picture = file.add_stream('libx264', 10)
    picture.height, picture.width, picture.pix_fmt = 16, 16, 'yuv420p'
    file.mux(picture.encode(av.VideoFrame(16, 16)))
    file.mux(picture.encode())
  with pytest.raises(faults.ClipError, match=r'silent\.mp4: it has no audio'):
    audio_lib.LogMel().read(str(path), np.array([0.0]), 0.1)


def test_errors():
  with pytest.raises(
    ValueError, match='num_bands must be 1 or more, and low_hz'
  ):
    audio_lib.LogMel(high_hz=0.0)

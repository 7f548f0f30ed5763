"""Tests of source.py and speech.py by pixels and waveforms only."""

import numpy as np
import pytest

from vgen_jax.synthetic.face import source
from vgen_jax.synthetic.face import speech

SHAPE = (24, 32, 32, 3)


def redness(video) -> np.ndarray:
  """Redness of each frame, which is linear in the area of the lips."""
  return (video[..., 0].astype(float) - video[..., 1]).sum((1, 2))


def correlation(a, b, lag=0):
  if lag:
    a, b = a[:-lag], b[lag:]
  return np.corrcoef(a, b)[0, 1]


def loudness(truth, num_frames) -> np.ndarray:
  """Root mean square of the waveform during each frame."""
  wave_tn = truth.wave_s.astype(float).reshape(num_frames, -1)
  return np.sqrt((wave_tn**2).mean(1))


@pytest.mark.parametrize('shape', [SHAPE, (16, 64, 48, 3)], ids=str)
def test_the_mouth_opens_with_the_sound(shape):
  world = source.Face(shape)
  for i in range(15):
    truth, clip = world.truth(i), world[i]
    # Only the lower half, because eyes change, too.
    seen_t = redness(clip['video'][:, shape[1] // 2 + 1 :])
    loud_t = loudness(truth, shape[0])
    assert correlation(seen_t, truth.opening_t) >= 0.99
    assert correlation(seen_t, loud_t) >= 0.99
    assert correlation(seen_t, loud_t, lag=1) < 0.9
    assert correlation(loud_t, seen_t, lag=1) < 0.9
  other_t = loudness(world.truth(20), shape[0])
  assert abs(correlation(seen_t, other_t)) < 0.7


def test_audio_features_equal_those_of_the_waveform():
  world = source.Face(SHAPE)
  for i in range(6):
    truth, audio = world.truth(i), world[i]['audio']
    assert len(truth.wave_s) == 24 * speech.RATE // 8
    assert abs(truth.wave_s).max() <= 1
    envelope_tn = truth.envelope_s.reshape(24, -1)
    np.testing.assert_allclose(
      np.sqrt((envelope_tn**2).mean(1)), audio[:, 0], rtol=1e-3, atol=1e-4
    )
    # An independent mel spectrum of the waveform.
    wave_tn = truth.wave_s.astype(float).reshape(24, -1)
    window = np.hanning(wave_tn.shape[1])
    power = abs(np.fft.rfft(wave_tn * window)) ** 2 * 2
    power /= wave_tn.shape[1] * (window**2).sum()
    hertz = np.fft.rfftfreq(wave_tn.shape[1], 1 / speech.RATE)
    edges = 1127.01 * np.log(1 + np.array([80, 4000]) / 700)
    points = np.linspace(*edges, speech.NUM_BANDS + 2)
    mel = 1127.01 * np.log(1 + hertz / 700)
    bands = [
      np.interp(mel, points[b : b + 3], [0, 1, 0])
      for b in range(len(points) - 2)
    ]
    log_tb = np.log(1e-4 + power @ np.array(bands).T)
    assert correlation(log_tb.ravel(), audio[:, 1:].ravel()) > 0.95
    later = np.roll(audio[:, 1:], 1, axis=0)
    assert correlation(log_tb.ravel(), later.ravel()) < 0.9


def test_eyes_close_in_blinks(pixel_tools):
  world = source.Face(SHAPE)
  blinks = 0
  for i in range(15):
    truth, clip = world.truth(i), world[i]
    # Closed eyes differ from open ones above the mouth.
    upper = clip['video'][:, : SHAPE[1] // 2].astype(float)
    wide = upper[truth.blink_t == 0][0]
    changed_t = abs(upper - wide).sum((1, 2, 3))
    assert correlation(changed_t, truth.blink_t) >= 0.99
    blinks += (truth.blink_t == 1).sum()
  assert blinks >= 15


def measured_expression(video) -> np.ndarray:
  """Height of the mouth's corners above its middle, and tilt of the brows."""
  frame = video.astype(float).mean(0)
  lips = np.clip(frame[..., 0] - frame[..., 1] - 45, 0, None)[33:]
  y_m = np.arange(len(lips))
  columns = np.nonzero(lips.sum(0) > lips.sum(0).max() * 0.2)[0]
  middle_n = (lips * y_m[:, None]).sum(0)[columns] / lips.sum(0)[columns]
  n = len(columns)
  curve = middle_n[n // 3 : -n // 3].mean() - middle_n[[0, 1, -2, -1]].mean()
  dark = np.clip(70 - frame.max(-1), 0, None)[12:24, 15:49]
  y_b = np.arange(12)[:, None]
  weight_n = dark.sum(0)
  height_n = (dark * y_b).sum(0) / np.maximum(weight_n, 1e-9)
  left = np.nonzero(weight_n[:17] > 20)[0]
  tilt = np.polyfit(left, height_n[left], 1)[0]
  return np.array([curve, tilt])


def test_expressions_can_be_classified():
  world = source.Face((8, 64, 64, 3))
  clips = [world[i] for i in range(80)]
  seen = np.array([measured_expression(clip['video']) for clip in clips])
  label = np.array([clip['label'] for clip in clips])
  means = np.array([seen[:40][label[:40] == k].mean(0) for k in range(4)])
  gap = ((seen[40:, None] - means) / seen.std(0)) ** 2
  assert (gap.sum(-1).argmin(1) == label[40:]).mean() >= 0.95
  curve, tilt = means.T
  happy, sad, angry = (
    source.EXPRESSIONS.index(k) for k in ('happy', 'sad', 'angry')
  )
  assert curve[happy] > curve[0] > curve[sad]
  assert tilt[angry] > tilt[0] > tilt[sad]
  names = [world.truth(i).expression for i in range(80)]
  assert names == [world.schema.class_names[k] for k in label]


def test_only_eyes_and_mouth_move():
  world = source.Face(SHAPE)
  for i in range(15):
    video, moving = world[i]['video'], world.truth(i).moving_hw
    assert (video[:, ~moving] == video[0, ~moving]).all()
    changing = (video != video[:1]).any((0, 3))
    assert changing.sum() > 0.5 * moving.sum()
    assert moving.mean() < 0.3

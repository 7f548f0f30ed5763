"""Tests of post/watermark.py: which changes the watermark survives."""

import functools
import io

import av
import numpy as np
from PIL import Image
import pytest

from vgen_jax.post import watermark


def scenery(seed: int, side: int = 128, t: int = 16) -> np.ndarray:
  """Returns a moving texture with the spectrum of photographs, and noise."""
  rng = np.random.default_rng(seed)
  frequency = np.fft.fftfreq(2 * side)
  radius = np.hypot(frequency[:, None], frequency[None])
  falls = np.maximum(radius, 1 / (2 * side)) ** -1.1
  phase = np.exp(2j * np.pi * rng.random(falls.shape))
  texture = np.fft.ifft2(falls * phase).real
  texture *= 42 / texture.std()
  step = rng.integers(-2, 3, 2)
  tint = rng.uniform(0.7, 1.3, 3)
  frames = [
    np.roll(texture, i * step, (0, 1))[:side, :side, None] * tint
    for i in range(t)
  ]
  grain = rng.normal(0, 1.5, (t, side, side, 3))
  return np.uint8(np.clip(120 + np.stack(frames) + grain, 0, 255))


def compressed(video_thwc: np.ndarray, crf: int) -> np.ndarray:
  """Returns a clip after H.264."""
  file = io.BytesIO()
  with av.open(file, 'w', format='mp4') as container:
    stream = container.add_stream('libx264', 8, options={'crf': str(crf)})
    stream.height, stream.width = video_thwc.shape[1:3]
    stream.pix_fmt = 'yuv420p'
    for frame in video_thwc:
      image = av.VideoFrame.from_ndarray(frame, format='rgb24')
      container.mux(stream.encode(image))
    container.mux(stream.encode())
  file.seek(0)
  with av.open(file) as container:
    return np.stack(
      [x.to_ndarray(format='rgb24') for x in container.decode(video=0)]
    )


def psnr(one, other) -> float:
  error = np.square(one.astype(np.float64) - other).mean()
  return 10 * np.log10(255**2 / error)


@functools.cache
def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
  clips = [scenery(seed) for seed in range(8)]
  return [(clip, watermark.embed(clip, 'ours')) for clip in clips]


def z_of(video, key='ours') -> float:
  return watermark.detect(video, key).z


def test_the_watermark_is_invisible_and_detected():
  """For 128 pixels and CRF 23, z > 6 in all clips at 40 dB or more."""
  for clip, marked in pairs():
    assert psnr(clip, marked) >= 40
    assert z_of(compressed(marked, 23)) > 6
    assert z_of(compressed(clip, 23)) < 4.5
    assert z_of(compressed(marked, 23), 'another') < 4.5


each_content = pytest.mark.parametrize(
  'content', ['scenery', 'flat', 'stripes']
)


@each_content
def test_scores_without_a_watermark_are_normal(content):
  """The distribution is over keys, for any content."""
  check_scores(content, 1_500)


@pytest.mark.slow
@each_content
def test_more_scores_without_a_watermark_are_normal(content):
  check_scores(content, 7_000)


def check_scores(content, count):
  num_clips = count // 100 if content == 'scenery' else 1
  num_keys = count // num_clips
  scores = []
  for seed in range(num_clips):
    video = scenery(seed, side=64, t=2)
    if content == 'flat':
      video = np.full_like(video, 30)
    elif content == 'stripes':
      video = np.uint8(video * 0 + 255 * (np.arange(64) % 4 < 2)[:, None])
    frame = watermark._luma(video).mean(0)
    scores += [watermark._score(frame, f'{seed}/{i}') for i in range(num_keys)]
  assert len(scores) == count
  if content == 'flat':  # A clip without content has the score 0.
    assert np.std(scores) == 0 or abs(np.std(scores) - 1) < 0.03
    return
  assert abs(np.std(scores) - 1) < 0.03
  assert abs(np.mean(scores)) < 0.05
  assert np.mean(np.array(scores) > 3) < 0.004


@pytest.mark.slow
def test_it_is_detected_in_each_of_100_clips():
  for seed in range(100):
    marked = watermark.embed(scenery(seed), 'ours')
    assert psnr(scenery(seed), marked) >= 40
    assert z_of(compressed(marked, 23)) > 6


@pytest.mark.slow
def test_scores_of_many_clips_without_a_watermark_are_normal():
  frames = [watermark._luma(scenery(s, 64, 2)).mean(0) for s in range(300)]
  scores = np.array(
    [
      watermark._score(frame, f'{s}/{i}')
      for s, frame in enumerate(frames)
      for i in range(100)
    ]
  )
  assert abs(scores.std() - 1) < 0.02
  assert abs((scores > 3).mean() - 1.35e-3) < 7e-4


def test_p_values_account_for_the_mirror_image():
  p = [watermark.detect(pairs()[0][0], f'{i}').p_value for i in range(300)]
  # Doubling gives an upper bound, which is nearly uniform for small values.
  assert 0.02 < np.mean(np.array(p) < 0.1) < 0.18


def test_it_survives_cuts_in_time_scaling_and_mirroring():
  for _, marked in pairs()[:3]:
    assert z_of(marked[5:7]) > 6
    assert z_of(compressed(marked[::2], 23)) > 6
    found = watermark.detect(marked[:, :, ::-1], 'ours')
    assert found.z > 6
    assert found.mirrored
    assert not watermark.detect(marked, 'ours').mirrored
    smaller = [np.asarray(Image.fromarray(x).resize((96, 96))) for x in marked]
    # Scaling back restores the positions of frequencies.
    larger = [
      np.asarray(Image.fromarray(x).resize((128, 128))) for x in smaller
    ]
    assert z_of(np.stack(larger)) > 6


def test_it_does_not_survive_a_crop_or_a_vertical_flip():
  """The docstring of the module states this."""
  for _, marked in pairs()[:3]:
    crop = marked[:, 3:125, 3:125]
    crop = [np.asarray(Image.fromarray(x).resize((128, 128))) for x in crop]
    assert z_of(np.stack(crop)) < 5
    assert z_of(marked[:, ::-1]) < 5


@pytest.mark.parametrize(
  ('video', 'error', 'message'),
  [
    (np.zeros((2, 64, 64, 3)), TypeError, 'float64; it must be uint8'),
    (np.zeros((2, 16, 64, 3), np.uint8), ValueError, '32 x 32'),
    (np.zeros((2, 64, 64), np.uint8), ValueError, r'\[t, h, w, 3\]'),
  ],
)
def test_bad_clips_are_errors(video, error, message):
  with pytest.raises(error, match=message):
    watermark.embed(video, 'ours')
  with pytest.raises(error, match=message):
    watermark.detect(video, 'ours')

"""Tests of digits/verifier.py: real clips are valid, corrupted ones are not."""

import functools

import numpy as np
import pytest
from scipy import ndimage

from vgen_jax.synthetic.digits import appearance
from vgen_jax.synthetic.digits import source as digits_lib
from vgen_jax.synthetic.digits import verifier

SOURCES = {
  'fine': dict(clip_shape=(16, 64, 64, 1)),
  'whole pixels': dict(clip_shape=(16, 64, 64, 1), subpixel=False),
  'middle': dict(clip_shape=(16, 32, 40, 3)),
  'coarse': dict(clip_shape=(8, 32, 32, 1), side=12, speed=(0.1, 0.2)),
}
each_source = pytest.mark.parametrize('which', SOURCES)


def source_of(which):
  return digits_lib.MovingDigits(split='test', num_digits=1, **SOURCES[which])


@functools.cache
def clips(which, count=24):
  source = source_of(which)
  drawn = [source[i] for i in range(count)]
  return source, *(np.stack([d[k] for d in drawn]) for k in ('video', 'label'))


def blur(video, level):
  return ndimage.gaussian_filter(video, (0, 0, level, level, 0))


def grain(video, level):
  drawn = np.random.default_rng(0).normal(0, 255 * level, video.shape)
  return np.clip(video + drawn, 0, 255).astype(np.uint8)


@each_source
def test_real_clips_are_valid(which):
  check_real_clips(which, 8)


@pytest.mark.slow
@each_source
def test_more_real_clips_are_valid(which):
  check_real_clips(which, 24)


def check_real_clips(which, count):
  source, video, label = clips(which, count)
  for changed in (video, video.astype(np.float32) / 127.5 - 1):
    report = verifier.report(source, changed, label)
    assert report['valid_and_correct'] == report['digit_presence'] == 1
    assert report['class_switch_fraction'] == 0
    assert report['image_similarity'] > 0.98
  # Specks of noise do not count as part of the digit.
  report = verifier.report(source, grain(video, 0.1), label)
  assert report['class_accuracy'] == report['digit_presence'] == 1
  assert report['path_error'] < 0.45
  report = verifier.report(source, blur(video, 1), label)
  assert report['class_accuracy'] > (0.99 if which != 'coarse' else 0.9)


def test_position_and_speed_are_exact():
  _, h, w, _ = SOURCES['fine']['clip_shape']
  start, velocity = np.array([3.0, 20.0]), np.array([2.3, 1.7])
  corner = digits_lib._bounce(start, velocity, np.array([h, w]) - 28, 16)
  image = digits_lib.images(28)[0][1500]
  video = render([image] * 16, corner)[None]
  found = verifier.compute_features(source_of('fine'), video)
  ink = image / image.sum()
  inner = [(ink.sum(1 - a) * np.arange(28)).sum() for a in (0, 1)]
  wanted = (corner + inner)[:, ::-1]  # (x, y).
  np.testing.assert_allclose(found.center_bt2[0], wanted, atol=0.05)
  assert found.speed_b[0] == pytest.approx(np.hypot(*velocity) / 28, rel=0.01)
  assert found.valid_b[0]


def render(images, corner_t2):
  """Returns a clip that shows an image in each frame, along a path."""
  video = np.zeros((len(corner_t2), 64, 64), np.float32)
  for t, image in enumerate(images):
    digits_lib._draw(video[t : t + 1], image, corner_t2[t : t + 1])
  return np.round(video).astype(np.uint8)[..., None]


CORRUPTIONS = {
  'blurred': lambda v, rng: blur(v, 3),
  'noisy': lambda v, rng: grain(v, 0.3),
  'shuffled': lambda v, rng: v[:, rng.permutation(v.shape[1])],
  'still': lambda v, rng: np.repeat(v[:, :1], v.shape[1], 1),
  'frozen halfway': lambda v, rng: np.concatenate(
    [v[:, : v.shape[1] // 2]]
    + [v[:, v.shape[1] // 2 - 1, None]] * (v.shape[1] - v.shape[1] // 2),
    1,
  ),
  'pale': lambda v, rng: v // 2,
  'nothing': lambda v, rng: np.zeros_like(v),
  'noise': lambda v, rng: rng.integers(0, 256, v.shape).astype(np.uint8),
  'gone for a frame': lambda v, rng: (
    v * (np.arange(v.shape[1]) != 4)[:, None, None, None].astype(np.uint8)
  ),
  'two digits': lambda v, rng: np.maximum(v, v[::-1]),
  'slow': lambda v, rng: np.repeat(v, 3, 1)[:, : v.shape[1]],
  'fast': lambda v, rng: np.concatenate([v[:, ::2], v[:, -2::-2]], 1),
}


each_corruption = pytest.mark.parametrize('name', CORRUPTIONS)


@each_corruption
def test_corrupted_clips_are_invalid(name):
  check_corruption('middle', name, 12)


@pytest.mark.slow
@each_source
@each_corruption
def test_corrupted_clips_are_invalid_at_all_sizes(which, name):
  check_corruption(which, name, 24)


def check_corruption(which, name, count):
  source, video, label = clips(which, count)
  changed = CORRUPTIONS[name](video, np.random.default_rng(0))
  assert verifier.report(source, changed, label)['validity'] <= 0.1


def test_a_change_of_digit_is_detected():
  images, labels = digits_lib.images(28)
  rng = np.random.default_rng(0)
  videos, room = [], np.array([36, 36])
  for _ in range(32):
    one, other = rng.choice(len(images), 2, replace=False)
    if labels[one] == labels[other]:  # They may look alike.
      continue
    corner = digits_lib._bounce(
      rng.uniform(0, 36, 2), np.array([2.0, 2.0]), room, 16
    )
    videos.append(render([images[one]] * 8 + [images[other]] * 8, corner))
  found = verifier.compute_features(source_of('fine'), np.stack(videos))
  assert not found.valid_b.any()
  switch_b = (found.label_bt != found.label_b[:, None]).mean(1)
  assert (switch_b > 0.4).all()  # Half of the frames, or all of them.


def test_motion_through_walls_is_invalid(monkeypatch):
  def wrapped(start, velocity, max_corner_2, num_frames):
    return (start + velocity * np.arange(num_frames)[:, None]) % max_corner_2

  source, turned, _ = clips('fine', 16)
  monkeypatch.setattr(digits_lib, '_bounce', wrapped)
  video = np.stack([source[i]['video'] for i in range(16)])
  meets_b = (np.abs(video - 1.0 * turned) > 8).any((1, 2, 3, 4))
  valid_b = verifier.compute_features(source, video).valid_b
  assert meets_b.sum() >= 12
  assert valid_b[meets_b].mean() < 0.1


@pytest.mark.slow
def test_unknown_digits_are_mostly_classified(monkeypatch):
  """The verifier uses training images only; clips show other images."""
  known, whole = digits_lib.image_range('train')[1], digits_lib.images
  source, video, label = clips('fine', 64)
  monkeypatch.setattr(
    digits_lib, 'images', lambda side: tuple(x[:known] for x in whole(side))
  )
  appearance.reference_images.cache_clear()
  report = verifier.report(source, video, label)
  appearance.reference_images.cache_clear()
  assert 0.85 < report['class_accuracy'] < 1
  assert 0.85 < report['validity'] < 1


def test_class_entropy_detects_missing_classes():
  source, video, label = clips('middle', 64)
  assert verifier.report(source, video)['class_entropy'] > 0.9
  ones = video[label == label[0]]
  assert verifier.report(source, ones)['class_entropy'] < 0.01


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    ({'num_digits': 2}, 'only one can be tracked'),
    ({'side': 32}, 'cannot move'),
    ({'clip_shape': (16, 32, 32, 3)}, 'whose clips have the same shape'),
  ],
)
def test_unsuitable_datasets_are_rejected(change, words):
  kwargs = dict(clip_shape=(16, 32, 40, 3), num_digits=1) | change
  with pytest.raises(ValueError, match=words):
    verifier.compute_features(
      digits_lib.MovingDigits(**kwargs), clips('middle')[1]
    )


def test_labels_of_another_shape_are_rejected():
  source, video, label = clips('coarse')
  for wrong in (label[1:], label[:, None]):
    with pytest.raises(ValueError, match='label_b'):
      verifier.report(source, video, wrong)


@pytest.mark.parametrize('frame', [(32, 64), (64, 32)])
def test_walls_are_those_of_frames_that_are_not_square(frame):
  """Digits cross the whole frame, so wrong walls give wrong paths."""
  source = digits_lib.MovingDigits(
    (16, *frame, 1), split='test', num_digits=1, speed=(0.13, 0.14)
  )
  drawn = [source[i] for i in range(8)]
  video = np.stack([clip['video'] for clip in drawn])
  found = verifier.compute_features(source, video)
  assert found.valid_b.all()
  assert np.isfinite(found.center_bt2).all()
  # A digit of 14 pixels moves 18 between the walls of the shorter side.
  spread_2 = np.ptp(found.center_bt2, axis=1).max(0)
  assert spread_2[np.argmax(frame[::-1])] > 20
  assert found.path_error_b.max() < 0.05

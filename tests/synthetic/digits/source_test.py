"""Tests of synthetic/digits/source.py."""

import pickle
import sys

import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.synthetic.digits import source as digits

SPLITS = ('train', 'validation', 'test')


def one_digit(**kwargs) -> digits.MovingDigits:
  kwargs = {'num_digits': 1, 'side': 12, 'speed': (0.2, 0.3)} | kwargs
  return digits.MovingDigits((24, 32, 40, 1), **kwargs)


def center_t2(video_thwc: np.ndarray) -> np.ndarray:
  """Centre of mass of each frame, (y, x)."""
  mass_thw = video_thwc[..., 0].astype(float)
  grid_2hw = np.mgrid[: mass_thw.shape[1], : mass_thw.shape[2]]
  moment_t2 = np.einsum('thw,ahw->ta', mass_thw, grid_2hw)
  return moment_t2 / mass_thw.sum((1, 2))[:, None]


def follows_rules(video_thwc: np.ndarray) -> bool:
  """Whether speed is constant except at walls, and digits stay in the frame."""
  mass_t = video_thwc.astype(float).sum((1, 2, 3))
  step_t2 = np.diff(center_t2(video_thwc), axis=0)
  # At a bounce a step is shorter than the others; else it is as long.
  speed_2 = np.median(np.abs(step_t2), axis=0)
  steady = np.abs(np.abs(step_t2) - speed_2) < 0.1
  turns = np.abs(step_t2) < speed_2 + 0.1
  return bool(
    np.all(np.abs(mass_t / mass_t[0] - 1) < 0.02)
    and turns.all()
    and steady.mean() > 0.7
  )


def test_speed_is_constant_and_digits_stay_in_the_frame():
  source = one_digit()
  assert all(follows_rules(source[i]['video']) for i in range(5))


def test_motion_check_fails_without_walls(monkeypatch):
  def wrap(start, velocity, max_corner_2, num_frames):
    return (start + velocity * np.arange(num_frames)[:, None]) % max_corner_2

  monkeypatch.setattr(digits, '_bounce', wrap)
  source = one_digit()
  assert not all(follows_rules(source[i]['video']) for i in range(5))


def test_bounce_mirrors_the_path():
  corner_t2 = digits._bounce(
    np.array([1.0, 0.0]), np.array([2.0, 0.0]), np.array([4.0, 0.0]), 5
  )
  assert corner_t2[:, 0].tolist() == [1, 3, 3, 1, 1]
  assert not corner_t2[:, 1].any()  # No free space: it stays.


def test_clips_depend_on_seed_split_and_index():
  clip = one_digit()[7]
  same = pickle.loads(pickle.dumps(one_digit()))[np.int64(7)]
  np.testing.assert_array_equal(clip['video'], same['video'])
  others = [
    one_digit()[8],
    one_digit(seed=1)[7],
    one_digit(split='validation')[7],
  ]
  assert all(np.any(x['video'] != clip['video']) for x in others)


def test_label_is_the_visible_digit():
  """At full size a digit cannot move, so a clip shows only its image."""
  source = digits.MovingDigits(
    (1, 8, 8, 1), num_digits=1, side=8, split='test', num_clips=50
  )
  images, label_n = digits.images(8)
  for clip in (source[i] for i in range(50)):
    far_n = np.abs(images - clip['video'][0, ..., 0]).mean((1, 2))
    assert far_n.min() < 1
    assert label_n[far_n.argmin()] == clip['label']
    assert far_n.argmin() >= digits.image_range('test')[0]


def test_splits_share_no_image():
  numbers = [set(range(*digits.image_range(split))) for split in SPLITS]
  assert sum(len(x) for x in numbers) == len(set.union(*numbers)) == 1797
  images, _ = digits.images(8)
  assert len(np.unique(images.reshape(1797, -1), axis=0)) == 1797


def test_whole_pixel_motion_does_not_interpolate():
  frames = one_digit(subpixel=False)[3]['video']
  for number in range(*digits.image_range('train')):
    image = np.round(digits.images(12)[0][number]).astype(np.uint8)
    if image.sum() == frames[0].sum():
      break
  assert {int(frame.sum()) for frame in frames} == {int(image.sum())}


def test_channels_and_schema_follow_the_config():
  source = build.source(
    {'name': 'synthetic.digits.source.MovingDigits', 'num_digits': 2},
    (3, 16, 16, 3),
  )
  clip = source[0]
  assert clip['video'].shape == (3, 16, 16, 3)
  assert np.ptp(clip['video'], axis=-1).max() == 0  # Grey.
  assert 'label' not in clip
  assert source.schema.num_classes == 0
  assert one_digit().schema.class_names == tuple('0123456789')


def test_scikit_learn_is_not_imported():
  before = set(sys.modules)
  digits.images.cache_clear()
  digits.images(8)
  new = set(sys.modules) - before
  assert not any(name.startswith('sklearn') for name in new)


@pytest.mark.parametrize(
  ('kwargs', 'message'),
  [
    ({'split': 'valid'}, "split is 'valid'; it must be one of"),
    ({'side': 33}, 'side is 33; it must be from 1 to 32'),
    ({'num_digits': 0}, 'num_digits is 0; it must be at least 1'),
  ],
)
def test_invalid_arguments_are_rejected(kwargs, message):
  with pytest.raises(ValueError, match=message):
    one_digit(**kwargs)


def test_invalid_channels_and_index_are_rejected():
  with pytest.raises(ValueError, match='is 2; it must be one of 1, 3'):
    digits.MovingDigits((2, 8, 8, 2))
  with pytest.raises(
    IndexError, match='Clip 5 does not exist; indices are from 0 to 4'
  ):
    one_digit(num_clips=5)[5]


def test_missing_scikit_learn_error_says_what_to_install(monkeypatch):
  digits.images.cache_clear()
  monkeypatch.setattr(digits.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(FileNotFoundError, match='pip install scikit-learn'):
    digits.images(8)

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


def moves_by_the_rules(video_thwc: np.ndarray) -> bool:
  """Whether speed is constant but for bounces, and nothing leaves the frame."""
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


def test_motion_is_steady_and_stays_within_walls():
  source = one_digit()
  assert all(moves_by_the_rules(source[i]['video']) for i in range(5))


def test_motion_check_catches_a_world_without_walls(monkeypatch):
  def wrap(start, velocity, room, num_frames):
    return (start + velocity * np.arange(num_frames)[:, None]) % room

  monkeypatch.setattr(digits, '_bounce', wrap)
  source = one_digit()
  assert not all(moves_by_the_rules(source[i]['video']) for i in range(5))


def test_bounce_mirrors_the_path():
  corner_t2 = digits._bounce(
    np.array([1.0, 0.0]), np.array([2.0, 0.0]), np.array([4.0, 0.0]), 5
  )
  assert corner_t2[:, 0].tolist() == [1, 3, 3, 1, 1]
  assert not corner_t2[:, 1].any()  # No room: it stays.


def test_a_clip_is_a_function_of_seed_split_and_index():
  clip = one_digit()[7]
  same = pickle.loads(pickle.dumps(one_digit()))[np.int64(7)]
  np.testing.assert_array_equal(clip['video'], same['video'])
  others = [
    one_digit()[8],
    one_digit(seed=1)[7],
    one_digit(split='validation')[7],
  ]
  assert all(np.any(x['video'] != clip['video']) for x in others)


def test_label_is_the_digit_shown():
  """Standing still at full size, a clip shows nothing but its digit."""
  source = digits.MovingDigits(
    (1, 8, 8, 1), num_digits=1, side=8, split='test', num_clips=50
  )
  images, label_n = digits._digits(8)
  for clip in (source[i] for i in range(50)):
    far_n = np.abs(images - clip['video'][0, ..., 0]).mean((1, 2))
    assert far_n.min() < 1
    assert label_n[far_n.argmin()] == clip['label']
    assert far_n.argmin() >= digits.digit_numbers('test')[0]


def test_splits_share_no_digit():
  numbers = [set(range(*digits.digit_numbers(split))) for split in SPLITS]
  assert sum(len(x) for x in numbers) == len(set.union(*numbers)) == 1797
  images, _ = digits._digits(8)
  assert len(np.unique(images.reshape(1797, -1), axis=0)) == 1797


def test_whole_pixels_show_the_digit_unblended():
  frames = one_digit(subpixel=False)[3]['video']
  for number in range(*digits.digit_numbers('train')):
    image = np.round(digits._digits(12)[0][number]).astype(np.uint8)
    if image.sum() == frames[0].sum():
      break
  assert {int(frame.sum()) for frame in frames} == {int(image.sum())}


def test_colour_and_schema_follow_the_config():
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
  digits._digits.cache_clear()
  digits._digits(8)
  new = set(sys.modules) - before
  assert not any(name.startswith('sklearn') for name in new)


@pytest.mark.parametrize(
  ('kwargs', 'message'),
  [
    ({'split': 'valid'}, "split is 'valid'; it must be one of"),
    ({'side': 33}, 'side is 33; a digit must fit into frames of 32x40'),
    ({'num_digits': 0}, 'clips of 0 digits; both numbers must be 1 or more'),
  ],
)
def test_errors_name_the_key(kwargs, message):
  with pytest.raises(ValueError, match=message):
    one_digit(**kwargs)


def test_errors_of_channels_and_index():
  with pytest.raises(ValueError, match='in 1 channel or 3, not in 2'):
    digits.MovingDigits((2, 8, 8, 2))
  with pytest.raises(IndexError, match='Clip 5 of 5'):
    one_digit(num_clips=5)[5]


def test_missing_package_says_what_to_install(monkeypatch):
  digits._digits.cache_clear()
  monkeypatch.setattr(digits.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(FileNotFoundError, match='pip install scikit-learn'):
    digits._digits(8)

"""Tests of report/clips.py: sheets contain each pixel of each frame."""

import io
import re

import numpy as np
from PIL import Image
import pytest

from vgen_jax.evaluation.report import clips as clips_lib


def frames(sheet: bytes, num_frames: int, h: int, w: int) -> np.ndarray:
  """Returns the frames of a sheet, as the page's script reads them."""
  image = np.asarray(Image.open(io.BytesIO(sheet)).convert('RGB'))
  across = clips_lib.columns(num_frames)
  positions = [divmod(i, across) for i in range(num_frames)]
  return np.stack(
    [image[y * h : (y + 1) * h, x * w : (x + 1) * w] for y, x in positions]
  )


@pytest.mark.parametrize('shape', [(1, 8, 8, 3), (5, 6, 9, 3), (16, 8, 8, 1)])
def test_a_sheet_contains_each_pixel(shape):
  video = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  got = frames(clips_lib.sheet(video), *shape[:3])
  np.testing.assert_array_equal(got, np.repeat(video, 3 // shape[-1], -1))
  lossy = frames(clips_lib.sheet(video, exact=False), *shape[:3])
  assert (lossy != video).any()


@pytest.mark.parametrize(
  'video',
  [
    np.zeros((2, 8, 8, 3)),
    np.zeros((2, 8, 8, 4), np.uint8),
    np.zeros((0, 8, 8, 3), np.uint8),
  ],
)
def test_bad_clips_are_errors(video):
  with pytest.raises(ValueError, match='it must be uint8'):
    clips_lib.sheet(video)


def test_equal_real_clips_are_shown_once(clips):
  other = clips | {'generated': 255 - clips['generated']}
  labels = lambda html: re.findall(r'class="of" title="(.*?)"', html)
  html = clips_lib.rows(['a', 'b'], [clips, other], [8, 8])
  assert labels(html) == ['a', 'b', 'real'] * 3
  apart = other | {'real': 255 - clips['real']}
  html = clips_lib.rows(['a', 'b'], [clips, apart], [8, 8])
  assert labels(html) == ['a', 'b', 'real', 'real'] * 3


def test_clips_with_the_same_noise_are_side_by_side(clips):
  late = {key: x[1:] for key, x in clips.items()}
  html = clips_lib.rows(['a', 'b'], [clips, late], [8, 8])
  rows = html.split('<figure>')[1:]
  assert [row.count('<canvas') for row in rows] == [2, 3, 3]
  other = clips | {'seed': clips['seed'] + 1}
  html = clips_lib.rows(['a', 'b'], [clips, other], [8, 8])
  assert html.count('<figure>') == 6


def test_captions_state_the_number_of_a_clip_and_its_seed(clips):
  html = clips_lib.rows(['a'], [clips], [8])
  captions = re.findall(r'<figcaption.*?</b>(.*?)</figcaption>', html)
  assert captions == [f' clip {i} of seed 7' for i in range(3)]


def test_a_real_clip_of_another_class_is_not_shown(clips):
  some = clips | {'has_real': np.array([True, False, True])}
  html = clips_lib.rows(['a'], [some], [8])
  rows = html.split('<figure>')[1:]
  assert [row.count('title="real"') for row in rows] == [1, 0, 1]


def test_large_clips_are_compressed(clips, monkeypatch):
  few = clips_lib.rows(['a'], [clips], [8])
  assert 'approximate' not in few
  monkeypatch.setattr(clips_lib, '_MAX_BYTES', 10)
  assert 'approximate' in clips_lib.rows(['a'], [clips], [8])


def test_without_clips_there_are_no_rows():
  assert clips_lib.rows(['a', 'b'], [{}, {}], [8, 8]) is None

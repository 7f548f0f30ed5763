"""Tests of runtime/output/pictures.py."""

import numpy as np
import pytest

from vgen_jax.runtime.output import pictures

_RNG = np.random.default_rng(0)


def clips(b=3, t=4, h=6, w=10) -> np.ndarray:
  # No pixel is as bright as the paper or as dark as the ink.
  return _RNG.integers(60, 200, (b, t, h, w, 3)).astype(np.uint8)


def tiles(picture: np.ndarray, tile_hwc: np.ndarray) -> list[tuple[int, int]]:
  """Returns the positions (y, x) at which an image is in a picture."""
  h, w, _ = tile_hwc.shape
  windows = np.lib.stride_tricks.sliding_window_view(picture, (h, w, 3))
  first = (picture[: -h + 1, : -w + 1] == tile_hwc[0, 0]).all(-1)
  return [
    (int(y), int(x))
    for y, x in np.argwhere(first)
    if (windows[y, x, 0] == tile_hwc).all()
  ]


def times(image_hwc: np.ndarray, n: int) -> np.ndarray:
  return image_hwc.repeat(n, axis=0).repeat(n, axis=1)


def test_small_frames_are_enlarged_without_smoothing():
  video = clips(b=1)
  picture = pictures.side_by_side([pictures.Section(video)])
  assert len(picture) == 4
  for t in range(4):
    # 10 pixels become 130, the first multiple of at least 128.
    assert tiles(picture[t], times(video[0, t], 13)) == [(6, 6)]
  large = clips(b=1, h=140, w=130)
  picture = pictures.side_by_side([pictures.Section(large)])
  assert tiles(picture[0], large[0, 0]) == [(6, 6)]


def test_clips_have_gaps():
  video = clips(b=4, h=8, w=8)
  picture = pictures.side_by_side([pictures.Section(video)])[0]
  found = [tiles(picture, times(clip[0], 16)) for clip in video]
  assert found == [[(6, 6)], [(6, 140)], [(140, 6)], [(140, 140)]]
  assert (picture[134:140] == 255).all()
  assert (picture[:, 134:140] == 255).all()
  assert picture.shape == (274, 274, 3)


@pytest.mark.parametrize(('b', 't'), [(64, 1), (64, 8), (64, 16), (7, 4)])
def test_pictures_are_almost_square(b: int, t: int):
  section = pictures.Section(clips(b, t, 16, 16), labels=['a'] * b)
  for h, w in (
    pictures.sheet([section]).shape[:2],
    pictures.side_by_side([section]).shape[1:3],
  ):
    assert 0.5 < h / w < 2


def test_a_sheet_has_all_frames_of_a_clip_in_order():
  video = clips(b=2, t=3, h=64, w=64)
  picture = pictures.sheet([pictures.Section(video)])
  for clip in video:
    found = [tiles(picture, frame) for frame in clip]
    assert [len(positions) for positions in found] == [1, 1, 1]
    (y, x), *rest = [positions[0] for positions in found]
    assert rest == [(y, x + 66), (y, x + 132)]


def test_long_clips_have_several_rows_of_equal_length():
  video = clips(b=1, t=20, h=64, w=64)
  picture = pictures.sheet([pictures.Section(video)])
  [first], [last] = tiles(picture, video[0, 9]), tiles(picture, video[0, 19])
  assert last == (first[0] + 66, first[1])


def test_labels_are_above_their_clips():
  video = clips(b=2, h=128, w=128)
  plain = pictures.side_by_side([pictures.Section(video)])[0]
  picture = pictures.side_by_side(
    [pictures.Section(video, labels=['left', ''])]
  )[0]
  assert picture.shape == (plain.shape[0] + 16, *plain.shape[1:])
  [(y, x)] = tiles(picture, video[0, 0])
  is_ink = (picture[y - 16 : y, x : x + 128] < 128).all(-1)
  assert is_ink.any()
  assert is_ink.any(0).argmin() < 60  # 'left' is short.
  [(y, x)] = tiles(picture, video[1, 0])
  assert (picture[y - 16 : y, x : x + 128] == 255).all()
  with pytest.raises(ValueError, match='There are 1 labels for 2 clips'):
    pictures.Section(video, labels=['a'])


@pytest.mark.parametrize('label', ['long ' * 100, 'a\nb', '\u732b', '\u0000'])
def test_any_label_can_be_shown(label: str):
  video = clips(b=1, h=128, w=128)
  picture = pictures.side_by_side([pictures.Section(video, labels=[label])])[0]
  assert picture.shape == (128 + 16 + 12, 128 + 12, 3)
  assert tiles(picture, video[0, 0]) == [(22, 6)]


def test_sections_are_below_each_other_with_a_line():
  one, two = clips(b=2, h=128, w=128), clips(b=1, t=6, h=128, w=128)
  sections = [pictures.Section(one, 'generated'), pictures.Section(two, 'real')]
  picture = pictures.side_by_side(sections)
  assert len(picture) == 6
  [(end, x)] = tiles(picture[0], one[0, 0])
  [(start, x_below)] = tiles(picture[0], two[0, 0])
  assert x == x_below
  assert start > end + 128
  between = picture[0, end + 128 : start, 6:-6]
  is_line = (between == 40).all((1, 2))
  assert is_line.sum() == 2
  # The shorter clips stay at their last frame.
  assert len(tiles(picture[5], one[0, 3])) == 1
  assert len(tiles(picture[5], two[0, 5])) == 1


def test_floats_become_uint8_rgb():
  levels = np.array([-1, -0.5, 0, 1, 1.7, -9], np.float32)
  got = pictures.to_rgb(levels.reshape(1, 1, 1, -1, 1))
  want = [0, 64, 128, 255, 255, 0]
  np.testing.assert_array_equal(got[0, 0, 0], np.array([want] * 3).T)
  video = clips()
  back = video.astype(np.float32) / 127.5 - 1  # As in the train step.
  np.testing.assert_array_equal(pictures.to_rgb(back), video)
  is_second_b1111 = np.arange(3)[:, None, None, None, None] == 1
  with pytest.raises(FloatingPointError, match='1 of 3 clips'):
    pictures.to_rgb(np.where(is_second_b1111, np.nan, back))
  with pytest.raises(ValueError, match='1 or 3 channels'):
    pictures.to_rgb(np.zeros((1, 2, 4, 4, 2)))

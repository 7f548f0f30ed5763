"""Tests of data/clips.py."""

import numpy as np
import pytest

from vgen_jax.data import clips


def ramp(h: int, w: int, c: int = 3) -> np.ndarray:
  """Two equal frames, brighter to the right and to the bottom."""
  y, x = np.mgrid[:h, :w]
  image_hw = (2 * y + 3 * x).astype(np.uint8)
  return np.broadcast_to(image_hw[None, ..., None], (2, h, w, c)).copy()


@pytest.mark.parametrize(
  ('num_frames', 'stride', 'windows'),
  [(15, 1, 0), (16, 1, 1), (31, 1, 1), (32, 1, 2), (31, 2, 1), (63, 2, 2)],
)
def test_windows_fit_and_have_no_frame_in_common(num_frames, stride, windows):
  last = num_frames - 1
  assert clips.num_windows(last, 16, stride) == windows
  taken = [
    clips.positions(k * 16 * stride, 16, stride, 0, last, 'error')
    for k in range(windows)
  ]
  taken = np.concatenate([[], *taken])
  assert len(set(taken)) == len(taken)
  with pytest.raises(ValueError, match='does not fit in a video from 0 to'):
    clips.positions(windows * 16 * stride, 16, stride, 0, last, 'error')


def test_windows_tolerate_rounded_times():
  """17 frames at 30 per second, with times rounded to milliseconds."""
  assert clips.num_windows(0.533, 17, 1 / 30) == 1
  assert len(clips.positions(0, 17, 1 / 30, 0, 0.533, 'error')) == 17
  assert clips.num_windows(15 / 30, 17, 1 / 30) == 0


def test_short_videos_loop_forward_and_backward_or_hold():
  loop = clips.positions(5, 8, 1, 5, 8, 'loop')
  assert loop.tolist() == [5, 6, 7, 8, 7, 6, 5, 6]
  assert clips.positions(5, 6, 1, 5, 8, 'hold').tolist() == [5, 6, 7, 8, 8, 8]
  assert not clips.positions(0, 4, 1, 0, 0, 'loop').any()  # One frame.


def test_crops_are_centred_and_keep_the_aspect_ratio():
  video_thwc = ramp(8, 20)
  crop = clips.crop_and_resize(video_thwc, 4, 4)
  # The middle 8x8, each pixel the mean of 2x2 of it.
  want = video_thwc[:, :, 6:14].reshape(2, 4, 2, 4, 2, 3).mean((2, 4))
  np.testing.assert_allclose(crop, want, atol=0.51)
  left = clips.crop_and_resize(video_thwc, 8, 8, horizontal=0)
  np.testing.assert_array_equal(left, video_thwc[:, :, :8])
  right = clips.crop_and_resize(video_thwc, 8, 8, horizontal=1)
  np.testing.assert_array_equal(right, video_thwc[:, :, 12:])


def test_downsampling_does_not_alias():
  """Stripes of one pixel become grey, not black or white."""
  stripes = ramp(16, 16)
  stripes[:, :, ::2], stripes[:, :, 1::2] = 0, 255
  assert (
    np.abs(clips.crop_and_resize(stripes, 4, 4).astype(int) - 128).max() <= 1
  )
  subsampled = stripes[:, ::4, ::4]
  assert np.abs(subsampled.astype(int) - 128).max() > 100


@pytest.mark.parametrize('c', [1, 3])
def test_results_have_the_requested_size(c):
  for h, w in [(6, 6), (5, 9), (9, 5), (3, 4)]:
    assert clips.crop_and_resize(ramp(7, 7, c), h, w).shape == (2, h, w, c)


def test_channels():
  grey = ramp(4, 4, 1)
  np.testing.assert_array_equal(
    clips.with_channels(clips.with_channels(grey, 3), 1), grey
  )
  green = np.zeros((1, 1, 1, 3), np.uint8)
  green[..., 1] = 255
  assert clips.with_channels(green, 1).item() == 150  # 0.587 * 255.


def test_mirror_swaps_left_and_right():
  video_thwc = ramp(4, 6)
  mirrored = clips.mirrored(video_thwc)
  np.testing.assert_array_equal(mirrored[:, :, 0], video_thwc[:, :, -1])
  assert np.any(mirrored != video_thwc)

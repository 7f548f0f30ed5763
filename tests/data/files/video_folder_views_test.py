"""Tests of data/files/video_folder.py: its views and errors."""

import fractions
import itertools

import av
import numpy as np
import pytest

from vgen_jax.data import host_shards
from vgen_jax.data import pipeline
from vgen_jax.data.files import codecs
from vgen_jax.data.files import video_folder

TICKS = np.cumsum([0] + [30 + 60 * (i % 3) for i in range(59)])  # In ms.


def write(path, num_frames: int, ticks=None) -> None:
  """Writes a video at 10 frames/s whose pixels encode frame and column."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with av.open(str(path), 'w') as file:
    stream = file.add_stream('libx264', 10, options={'crf': '0', 'g': '12'})
    stream.height, stream.width, stream.pix_fmt = 16, 24, 'yuv444p'
    if ticks is not None:
      stream.codec_context.time_base = fractions.Fraction(1, 1000)
    for i in range(num_frames):
      image = np.zeros((16, 24, 3), np.uint8)
      image[:8] = 4 * i
      image[8:] = (10 * np.arange(24))[:, None]
      frame = av.VideoFrame.from_ndarray(image)
      if ticks is not None:
        frame.pts = int(ticks[i])
        frame.time_base = stream.codec_context.time_base
      file.mux(stream.encode(frame))
    file.mux(stream.encode())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three videos of 60, 40 and 20 frames."""
  folder = tmp_path_factory.mktemp('views')
  for i, num_frames in enumerate((60, 40, 20)):
    write(folder / f'{i}.mp4', num_frames)
  return folder


def make(folder, t: int = 8, **kwargs) -> video_folder.VideoFolder:
  kwargs = {'split': 'all'} | kwargs
  return video_folder.VideoFolder((t, 16, 16, 3), str(folder), **kwargs)


def frames(clip) -> list[int]:
  top_t = clip['video'][:, 1:7].mean((1, 2, 3))
  return np.round(top_t / 4).astype(int).tolist()


def left(clip) -> int:
  return int(np.round(clip['video'][0, 12, 0].mean() / 10))


def random_views(source, index: int = 0, number: int = 60) -> list:
  return [
    source.random_view(index, np.random.default_rng(i)) for i in range(number)
  ]


def test_random_views_have_one_of_several_strides(folder):
  source = make(folder, stride=(1, 4, 7))
  steps = [np.diff(frames(clip)) for clip in random_views(source)]
  assert all(len(set(step.tolist())) == 1 for step in steps)
  assert {int(step[0]) for step in steps} == {1, 4, 7}
  assert frames(source[0]) == list(range(8))  # The first stride.
  assert source.schema.frames_per_second == pytest.approx(10)
  # Of a video too short for 4 and 7, nothing else can be taken.
  last = random_views(source, index=len(source) - 1)
  assert {tuple(np.diff(frames(clip))) for clip in last} == {(1,) * 7}


def test_jitter_shifts_frames_within_the_video(folder):
  kwargs = dict(time_jitter=0.4, short='hold')
  moved = [frames(x) for x in random_views(make(folder, stride=4, **kwargs))]
  steps = set(np.diff(moved).ravel().tolist())
  assert {2, 3, 4, 5, 6} <= steps <= set(range(9))
  assert 0 <= np.min(moved) <= np.max(moved) <= 59
  by_time = make(folder, frames_per_second=2.5, **kwargs)
  steps = set(
    np.diff([frames(x) for x in random_views(by_time)]).ravel().tolist()
  )
  assert {2, 3, 4, 5, 6} <= steps <= set(range(9))
  again = [frames(x) for x in random_views(make(folder, stride=4, **kwargs))]
  assert moved == again


@pytest.mark.parametrize('count', [1, 2, 4])
def test_evaluation_reads_each_window_and_view_once(folder, count):
  source = make(folder, num_windows=3, num_views=2)
  assert len(source) == 3 * 3 * 2
  found = []
  for h in range(count):
    with pipeline.evaluation_batches(
      source, 4, host=host_shards.Host(h, count)
    ) as batches:
      for batch in batches:
        for i in np.flatnonzero(batch['mask']):
          clip = {'video': batch['video'][i]}
          found.append((frames(clip)[0], left(clip)))
  starts = [0, 26, 52, 0, 16, 32, 0, 6, 12]
  assert sorted(found) == sorted(itertools.product(starts, (0, 8)))
  one = make(folder, num_windows=1)  # It is in the middle.
  assert [frames(one[i])[0] for i in range(3)] == [26, 16, 6]
  # By default, the number of windows depends on the length.
  assert len(make(folder)) == 7 + 5 + 2


def test_windows_of_a_video_with_variable_rate_are_selected_by_time(tmp_path):
  write(tmp_path / 'a.mp4', 60, TICKS)
  source = make(tmp_path, frames_per_second=10.0, num_windows=3)
  for i, start in enumerate(np.linspace(0, TICKS[-1] / 1000 - 0.7, 3)):
    time_t = 1000 * (start + np.arange(8) / 10)
    shown = np.searchsorted(TICKS, time_t + 1, 'right') - 1
    assert frames(source[i]) == shown.tolist()
  assert len({tuple(np.diff(frames(x))) for x in random_views(source)}) > 3


def test_a_rate_far_above_that_of_the_file_is_an_error(folder):
  assert set(np.diff(frames(make(folder, frames_per_second=40.0)[0]))) == {0, 1}
  with pytest.raises(codecs.ClipError, match=r'it has 10 frames .* is 41, so'):
    make(folder, frames_per_second=41.0)
  with pytest.raises(ValueError, match=r'it has 10 frames .* is 1e\+06, so'):
    make(folder, frames_per_second=1e6)


def test_a_video_and_a_link_to_it_are_in_one_split(folder, tmp_path):
  for i in range(3):
    (tmp_path / f'{i}.mp4').symlink_to(folder / f'{i}.mp4')
    (tmp_path / f'again {i}.mp4').symlink_to(f'{i}.mp4')
  # If names decided, two splits would have one of the six paths each.
  for split in ('train', 'validation', 'test'):
    source = make(tmp_path, split=split, num_windows=1)
    assert len(source) == 2
    np.testing.assert_array_equal(source[0]['video'], source[1]['video'])


def test_other_files_are_skipped_or_named(folder, tmp_path):
  write(tmp_path / 'clips.mp4/a.mp4', 20)  # A folder of that name.
  assert len(make(tmp_path)) == 2
  (tmp_path / 'link.mp4').symlink_to('nowhere.mp4')
  with pytest.raises(codecs.ClipError, match=r'link.mp4: No such file'):
    make(tmp_path)
  with pytest.raises(codecs.ClipError, match=r'16 x 24 pixels, more than 300'):
    make(folder, max_pixels=300)


@pytest.mark.parametrize(
  ('kwargs', 'message'),
  [
    ({'stride': (1, 0)}, r'stride is \(1, 0\) .* both must be positive'),
    ({'stride': ()}, r'stride is \(\) .* both must be positive'),
    ({'time_jitter': 1}, 'time_jitter is 1; it must be from 0 to 0.5'),
    ({'num_windows': 0}, 'num_windows is 0; it must be at least 1'),
    ({'num_views': 0}, 'num_views is 0; it must be at least 1'),
    (
      {'text': object()},
      'config.data.text is given, but config.data.annotations',
    ),
  ],
)
def test_errors_name_the_key(folder, kwargs, message):
  with pytest.raises(ValueError, match=message):
    make(folder, **kwargs)

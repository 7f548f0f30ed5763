"""Tests of data/files/video_folder.py."""

import pickle

import av
import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.data import host_shards
from vgen_jax.data import pipeline
from vgen_jax.data.files import codecs
from vgen_jax.data.files import video_folder
from vgen_jax.data.files import video_writers


def write(path, num_frames: int, shade: int = 0, rate: int = 10) -> None:
  """Writes a grey video; its top encodes the frame, its bottom the video."""
  path.parent.mkdir(parents=True, exist_ok=True)
  video_thwc = np.zeros((num_frames, 16, 24, 3), np.uint8)
  video_thwc[:, :8] = (np.arange(num_frames) * 4)[:, None, None, None]
  video_thwc[:, 8:] = shade
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('libx264', rate, options={'crf': '0'})
    stream.height, stream.width, stream.pix_fmt = 16, 24, 'yuv444p'
    for image_hwc in video_thwc:
      frame = av.VideoFrame.from_ndarray(image_hwc, format='rgb24')
      container.mux(stream.encode(frame))
    container.mux(stream.encode())


def frames(clip) -> list[int]:
  """Indices of the video frames in a clip."""
  top_t = clip['video'][:, 1:7].mean((1, 2, 3))
  return np.round(top_t / 4).astype(int).tolist()


def shade(clip) -> int:
  return int(np.round(clip['video'][:, 9:15].mean() / 20))


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
  """Two videos of 60 and 50 frames."""
  folder = tmp_path_factory.mktemp('pair')
  write(folder / 'a.mp4', 60)
  write(folder / 'b.mp4', 50, shade=200)
  return folder


@pytest.fixture(scope='module')
def sorted_videos(tmp_path_factory):
  """Twelve videos in two folders, each in a different shade of grey."""
  folder = tmp_path_factory.mktemp('sorted')
  for i in range(12):
    name = ('walks', 'runs')[i % 2]
    write(folder / name / f'{i}.mp4', 10, shade=20 * i)
  (folder / 'walks' / '._0.mp4').write_bytes(b'left by a file manager')
  (folder / 'notes.txt').write_text('This is not a video.')
  return folder


def source_of(folder, t: int = 8, **kwargs) -> video_folder.VideoFolder:
  kwargs = {'split': 'all'} | kwargs
  return video_folder.VideoFolder((t, 16, 16, 3), str(folder), **kwargs)


def test_long_videos_have_many_clips(pair):
  source = source_of(pair)
  assert len(source) == 60 // 8 + 50 // 8
  assert frames(source[0]) == list(range(8))
  assert frames(source[6]) == list(range(48, 56))
  assert frames(source[7]) == list(range(8))  # The next video.
  assert frames(source_of(pair, stride=3)[1]) == list(range(24, 48, 3))
  with pytest.raises(
    IndexError, match='Clip 13 does not exist; indices are from 0 to 12'
  ):
    source[13]


def test_clips_sampled_at_a_rate_have_the_frames_at_those_times(tmp_path):
  """Videos of 10 and 20 frames a second have the same motion at 5."""
  write(tmp_path / 'slow.mp4', 40, rate=10)
  write(tmp_path / 'fast.mp4', 40, rate=20)
  source = source_of(tmp_path, frames_per_second=5)
  assert len(source) == 1 + 2  # Sorted by name: 2 s of video, then 4 s.
  assert frames(source[0]) == list(range(0, 32, 4))
  assert frames(source[2]) == list(range(16, 32, 2))
  assert source.schema.frames_per_second == 5
  by_stride = source_of(tmp_path, stride=2).schema
  assert by_stride.frames_per_second == pytest.approx(7.5)


def test_random_views_are_from_anywhere_in_the_video(pair):
  source = source_of(pair, t=40)
  rng = np.random.default_rng(0)
  runs = [frames(source.random_view(1, rng)) for _ in range(60)]
  assert all(np.diff(run).tolist() == [1] * 39 for run in runs)
  assert {run[0] for run in runs} == set(range(50 - 40 + 1))
  by_time = source_of(pair, frames_per_second=10)
  runs = [frames(by_time.random_view(9, rng)) for _ in range(20)]
  assert all(np.diff(run).tolist() == [1] * 7 for run in runs)
  assert max(run[-1] for run in runs) <= 49


def test_random_views_crop_and_flip(tmp_path):
  video_thwc = np.zeros((4, 16, 32, 3), np.uint8)
  video_thwc += np.arange(0, 256, 8, dtype=np.uint8)[:, None]
  video_writers.write_mp4(str(tmp_path / 'ramp.mp4'), video_thwc, 10)

  def views(**kwargs):
    source = source_of(tmp_path, t=4, **kwargs)
    clips = [source.random_view(0, np.random.default_rng(i)) for i in range(20)]
    ramps = [clip['video'][0, 0, :, 0].astype(int) for clip in clips]
    return {int(ramp.min() // 8) for ramp in ramps}, {
      bool(ramp[0] > ramp[-1]) for ramp in ramps
    }

  lefts, flips = views(crops_at_random=False)
  assert (len(lefts), flips) == (1, {False})
  assert len(views()[0]) > 5
  assert views(flips=True)[1] == {False, True}
  middle = source_of(tmp_path, t=4)[0]['video'][0, 0, :, 0]
  assert abs(int(middle[0]) - 64) < 8


def test_splits_by_video_have_no_video_in_common(sorted_videos):
  shades = [
    shades_of(iterate(source_of(sorted_videos, split=split, t=4)))
    for split in ('train', 'validation', 'test')
  ]
  assert [len(x) for x in shades] == [10, 1, 1]
  assert len(set.union(*shades)) == 12
  # A split by clip would have videos in common.
  clips = iterate(source_of(sorted_videos, t=4))
  assert shades_of(clips[::2]) & shades_of(clips[1::2])


def shades_of(clips) -> set[int]:
  return {shade(clip) for clip in clips}


def iterate(source):
  return [source[i] for i in range(len(source))]


def test_splits_by_time_have_no_frame_in_common(pair):
  found = {}
  for split in ('train', 'validation', 'test'):
    source = source_of(pair, split=split, t=5)
    views = [source.random_view(0, np.random.default_rng(i)) for i in range(10)]
    first = iterate(source)[: len(source) // 2]  # Of the first video.
    found[split] = {n for clip in first + views for n in frames(clip)}
  assert max(found['train']) + 5 <= min(found['validation'])
  assert max(found['validation']) + 5 <= min(found['test'])
  assert max(found['test']) <= 59


def test_labels_are_sub_folders_and_the_same_in_all_splits(sorted_videos):
  for split in ('train', 'validation', 'test'):
    source = source_of(sorted_videos, split=split)
    assert source.schema.class_names == ('runs', 'walks')
    assert source.schema.num_classes == 2
    for clip in iterate(source):
      assert clip['label'] == 1 - shade(clip) % 2
      assert clip['label'].dtype == np.int32
  source = source_of(sorted_videos, has_labels=False)
  assert source.schema.num_classes == 0
  assert 'label' not in source[0]


def test_short_videos(tmp_path):
  write(tmp_path / 'short.mp4', 5)
  message = (
    r'short.mp4: it lasts 5 frames, but a clip lasts 8 frames. Set short=.loop'
  )
  with pytest.raises(codecs.ClipError, match=message):
    source_of(tmp_path)
  with pytest.raises(
    codecs.ClipError, match=r'it lasts 0.5 s, but a clip lasts 0.8 s'
  ):
    source_of(tmp_path, frames_per_second=10)
  loop = source_of(tmp_path, short='loop')
  assert len(loop) == 1
  assert frames(loop[0]) == [0, 1, 2, 3, 4, 3, 2, 1]
  hold = source_of(tmp_path, short='hold', frames_per_second=10)
  assert frames(hold[0]) == [0, 1, 2, 3, 4, 4, 4, 4]
  view = loop.random_view(0, np.random.default_rng(0))
  assert frames(view) == frames(loop[0])


def test_too_short_to_split_by_time(tmp_path):
  write(tmp_path / 'one.mp4', 30)
  message = 'it lasts 30 frames, but a split by time into clips of 8 frames'
  for split in ('train', 'validation', 'test'):
    with pytest.raises(codecs.ClipError, match=message + '.* needs 38 frames'):
      source_of(tmp_path, split=split)
  write(tmp_path / 'one.mp4', 38)
  assert frames(source_of(tmp_path, split='train')[0]) == list(range(8))


def test_grey_clips_and_build(pair):
  spec = {'name': 'data.files.video_folder.VideoFolder', 'folder': str(pair)}
  source = build.source(spec, (4, 8, 8, 1), split='test')
  assert source[0]['video'].shape == (4, 8, 8, 1)
  assert source.schema.clip_shape == (4, 8, 8, 1)


def test_batches_are_the_same_with_any_number_of_hosts(pair):
  source = pickle.loads(pickle.dumps(source_of(pair, flips=True)))

  def shard(index, count):
    host = host_shards.Host(index, count)
    with pipeline.batches(source, batch_size=4, seed=0, host=host) as batches:
      return next(batches)['video']

  two = np.concatenate([shard(0, 2), shard(1, 2)])
  np.testing.assert_array_equal(two, shard(0, 1))


def test_unreadable_videos_are_named(tmp_path):
  write(tmp_path / 'good.mp4', 10)
  (tmp_path / 'bad.webm').write_bytes(b'nothing')
  with pytest.raises(codecs.ClipError, match=r'bad.webm: Invalid data'):
    source_of(tmp_path)


def test_missing_and_empty_folders(tmp_path):
  with pytest.raises(FileNotFoundError, match='there is no such folder'):
    source_of(tmp_path / 'gone')
  (tmp_path / 'a.txt').write_text('')
  with pytest.raises(FileNotFoundError, match=r"'.avi', .*'.webm'"):
    source_of(tmp_path)


@pytest.mark.parametrize(
  ('kwargs', 'message'),
  [
    ({'split': 'val'}, "split is 'val'; it must be one of"),
    ({'short': 'cut'}, "short is 'cut'; it must be one of"),
    ({'stride': 0}, 'both must be positive'),
    ({'stride': 2, 'frames_per_second': 5}, 'give only one of them'),
    ({'split': 'test', 'test': 0}, 'test is 0, so the split .test. is empty'),
  ],
)
def test_errors_name_the_key(pair, kwargs, message):
  with pytest.raises(ValueError, match=message):
    source_of(pair, **kwargs)
  with pytest.raises(ValueError, match='must be 1 or 3, not 4'):
    video_folder.VideoFolder((2, 8, 8, 4), str(pair))


def test_gif_and_other_containers_are_found(tmp_path):
  assert set(video_folder.EXTENSIONS) == {
    *('.gif', '.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm'),
  }
  for suffix in ('.gif', '.GIF'):
    still = np.arange(6 * 8 * 8, dtype=np.uint32).reshape(6, 8, 8, 1) % 251
    video_writers.write_gif(
      str(tmp_path / f'a{suffix}'), still.astype(np.uint8), 10
    )
  assert len(source_of(tmp_path, t=6)) == 2

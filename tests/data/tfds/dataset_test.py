"""Tests of data/tfds/dataset.py: clips have the right frames."""

import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.core import digests as digests_lib
from vgen_jax.core import faults
from vgen_jax.core import sources
from vgen_jax.data import pipeline
from vgen_jax.data import text
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.data.prepare import write
from vgen_jax.data.tfds import adapters
from vgen_jax.data.tfds import dataset
from vgen_jax.data.tfds import storage

NUM_FRAMES = 30
KINDS = storage.FORMATS


class Counting(sources.Captioned):
  """A source whose pixels are the index of the frame and of the clip."""

  def __init__(self, num_frames: int = NUM_FRAMES):
    self.num_frames = num_frames
    self.schema = type('Schema', (), {'frames_per_second': 10.0})

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    video_thwc = np.zeros((self.num_frames, 16, 24, 3), np.uint8)
    video_thwc[:, :8] = 8 * np.arange(self.num_frames)[:, None, None, None]
    video_thwc[:, 8:] = 5 * index
    action_ta = np.arange(self.num_frames)[:, None] + [0, 0.5]
    return {'video': video_thwc, 'label': index % 2, 'action': action_ta}

  def caption(self, index: int) -> str:
    return f'clip {index}'


def frames_of(clip) -> list[int]:
  """Indices of the video frames in a clip."""
  top_t = clip['video'][:, 1:6].mean((1, 2, 3))
  return np.round(top_t / 8).astype(int).tolist()


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  """Folders of datasets with the same 44 clips in each format."""
  rows = [tables.Row(f'{i}', raw_videos.Clip(Counting(), i)) for i in range(44)]
  table = tables.Table(
    'counting',
    {'train': rows[:40], 'test': rows[40:]},
    ('even', 'odd'),
    has_captions=True,
    action_width=2,
  )
  out = tmp_path_factory.mktemp('tfds')
  return {
    kind: write.write(table, str(out / kind), raw_videos.Options(kind))[0]
    for kind in KINDS
  }


def source_of(folder: str, t: int = 8, **kwargs) -> dataset.TFDSVideo:
  return dataset.TFDSVideo((t, 16, 24, 3), data_dir=folder, **kwargs)


def test_contents_by_split_and_by_class(folders, monkeypatch):
  source = source_of(folders[KINDS[0]])
  assert source.contents().splits == {'train': 40, 'test': 4}
  assert list(source.contents().clips_per_class) == [20, 20]
  assert (
    source_of(folders[KINDS[0]], keys=()).contents().clips_per_class is None
  )
  record = source.record
  monkeypatch.setattr(source, 'record', lambda i: record(i) if i else b'?')
  assert source.contents().clips_per_class.sum() == 39
  monkeypatch.setattr(dataset, '_MAX_COUNTED', 39)
  assert source.contents().clips_per_class is None


@pytest.mark.parametrize('kind', KINDS)
def test_a_clip_has_the_middle_frames(folders, kind):
  source = source_of(folders[kind], split='all')
  number = int(source.caption(0).split()[1])
  clip = source[0]
  assert frames_of(clip) == list(range(11, 19))  # The middle of 30.
  np.testing.assert_array_equal(clip['action'][:, 0], range(11, 19))
  assert clip['label'] == number % 2
  assert abs(clip['video'][:, 10:].mean() - 5 * number) < 2
  with_stride = source_of(folders[kind], t=6, stride=4)
  assert frames_of(with_stride[0]) == list(range(4, 28, 4))
  slow = source_of(folders[kind], t=5, frames_per_second=2.5)
  assert frames_of(slow[0]) == list(range(6, 26, 4))
  assert slow.schema.frames_per_second == 2.5
  assert source.schema.frames_per_second == 10
  assert source.schema.action_width == 2


@pytest.mark.parametrize('kind', KINDS)
def test_random_views_come_from_everywhere_and_equal_full_decoding(
  folders, kind
):
  source = source_of(folders[kind], crops_at_random=False)
  whole_thwc, rate = source.frames(1)
  assert (len(whole_thwc), rate) == (NUM_FRAMES, 10)
  starts = set()
  for seed in range(200):
    clip = source.random_view(1, np.random.default_rng(seed))
    first = frames_of(clip)[0]
    starts.add(first)
    np.testing.assert_array_equal(clip['video'], whole_thwc[first : first + 8])
  assert min(starts) == 0
  assert max(starts) == NUM_FRAMES - 8


def test_only_the_frames_of_the_clip_are_decoded(folders, monkeypatch):
  decoded = []
  real = storage.image
  monkeypatch.setattr(
    storage, 'image', lambda *args: decoded.append(1) or real(*args)
  )
  source_of(folders['jpeg'])[0]
  assert len(decoded) == 8
  source_of(folders['jpeg']).frames(0)  # All frames are decoded here.
  assert len(decoded) == 8 + NUM_FRAMES


def test_splits_and_slices_are_those_of_tfds(folders):
  ids = lambda split: [
    s.caption(i)
    for s in [source_of(folders['raw'], split=split)]
    for i in range(len(s))
  ]
  assert len(ids('train[:50%]')) == 20
  both = ids('train[:50%]') + ids('train[50%:]')
  assert sorted(both) == sorted(ids('train'))
  assert len(ids('all')) == 44
  assert sorted(ids('test')) == [f'clip {i}' for i in range(40, 44)]
  # A slice of training may have segments of videos in training.
  with pytest.raises(
    ValueError, match='videos may have other segments in training'
  ):
    ids('validation')
  with pytest.raises(ValueError, match="'counting' has"):
    adapters.slices('test', ('train',), 'counting')


def test_short_videos_raise_or_hold(folders):
  with pytest.raises(faults.ClipError, match=r'counting, train.*does not fit'):
    source_of(folders['jpeg'], t=40)[0]
  held = frames_of(source_of(folders['jpeg'], t=40, short='hold')[0])
  assert held == [*range(30), *[29] * 10]


def test_captions_become_tokens(folders):
  tokenizer = text.Bytes(length=16)
  spec = {
    'name': 'data.tfds.dataset.TFDSVideo',
    'data_dir': folders['raw'],
    'tokenizer': {'name': 'data.text.Bytes', 'length': 16},
  }
  source = build.source(spec, (8, 16, 24, 3))
  assert source.schema.vocab_size == tokenizer.vocab_size
  assert tokenizer.decode(source[2]['text']) == source.caption(2)


def test_batches_do_not_depend_on_threads_and_pickling(folders):
  source = pickle.loads(pickle.dumps(source_of(folders['mp4'])))
  digests = []
  for num_threads in (0, 2):
    reader = pipeline.Reader(num_threads=num_threads)
    with pipeline.batches(
      source, batch_size=4, seed=0, reader=reader
    ) as batches:
      digests.append([digests_lib.tree(next(batches)) for _ in range(3)])
  assert digests[0] == digests[1]
  assert len(set(digests[0])) == 3


def test_a_damaged_record_is_named(folders, monkeypatch):
  source = source_of(folders['mp4'])
  record = source.record(1)
  sound = source.frames(1)[0]
  at = record.index(b'mdat') + 40
  torn = record[:at] + bytes(len(record) - at - 300) + record[-300:]
  monkeypatch.setattr(source, 'record', lambda index: torn)
  with pytest.raises(faults.ClipError, match=r'counting, train.*example 1'):
    source.frames(1)
  monkeypatch.setattr(source, 'record', lambda index: record)
  np.testing.assert_array_equal(source.frames(1)[0], sound)


@pytest.mark.parametrize(
  ('kwargs', 'message'),
  [
    ({'keys': ('lable',)}, "unknown key 'lable'. Did you mean 'label'"),
    ({'features': {'video': 'vidoe'}}, "has the path 'vidoe', which"),
    ({'features': {'film': 'video'}}, "features: unknown key 'film'"),
    ({'split': 'validate'}, 'validate'),
    ({'split': 'train[:1%]'}, r"'train\[:1%\]' of 'counting' has no example"),
    ({'stride': 0}, 'must be positive'),
  ],
)
def test_errors_name_the_wrong_value(folders, kwargs, message):
  with pytest.raises(ValueError, match=message):
    source_of(folders['raw'], **kwargs)


def test_errors_about_missing_datasets(folders, tmp_path):
  for kwargs, message in (
    ({'data_dir': str(tmp_path)}, 'No dataset .*dataset_info.json'),
    ({'dataset': 'no_such_set', 'data_dir': str(tmp_path)}, "'no_such_set'"),
    (
      {'dataset': 'ucf101', 'data_dir': str(tmp_path)},
      'vgen data prepare tfrec',
    ),
  ):
    with pytest.raises(FileNotFoundError, match=message):
      dataset.TFDSVideo((8, 16, 24, 3), split='train', **kwargs)
  with pytest.raises(ValueError, match='neither dataset nor data_dir'):
    dataset.TFDSVideo((8, 16, 24, 3))
  out = pathlib.Path(folders['raw']).parents[1]  # It can also be found by name.
  found = dataset.TFDSVideo((8, 16, 24, 3), 'counting', str(out), 'test')
  assert len(found) == 4


def test_nothing_imports_tensorflow(tmp_path):
  code = f"""
import sys
from vgen_jax.data.prepare import raw_videos, write
from vgen_jax.data.tfds import dataset
from vgen_jax.synthetic.digits import prepare
table = prepare.table((4, 16, 16, 1), 4)
folder, _ = write.write(table, {str(tmp_path)!r}, raw_videos.Options('jpeg'))
source = dataset.TFDSVideo((4, 16, 16, 1), data_dir=folder)
assert source[0]['video'].any()
print('tensorflow' in sys.modules, 'tensorflow_datasets' in sys.modules)
"""
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=False
  )
  assert done.stdout.split() == ['False', 'True'], done.stderr

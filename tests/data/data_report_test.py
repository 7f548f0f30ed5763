"""Tests of data/data_report.py: what a run logs about its data at its start."""

import dataclasses
import logging
import re

import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import sources
from vgen_jax.core.types import Schema
from vgen_jax.data import data_report
from vgen_jax.data import encoded
from vgen_jax.data import run_data
from vgen_jax.data import text
from vgen_jax.data import transforms
from vgen_jax.data.encodings import manifest as manifest_lib
from vgen_jax.data.files import video_folder
from vgen_jax.families import base
from vgen_jax.synthetic.world import source as world

SHAPE = (4, 8, 8, 3)


class Source(sources.HasContents):
  """Two clips with these entries; the counts are those of `classes`."""

  def __init__(self, entries=('label',), classes=(), counts=None):
    kinds = {
      'label': np.int32(0),
      'text': np.zeros(5, np.int32),
      'text_mask': np.ones(5, bool),
      'action': np.zeros((4, 2), np.float32),
      'audio': np.zeros((4, 3), np.float32),
      'layout': np.zeros(SHAPE[:3], np.int32),
      'unknown': np.zeros(2, np.float32),
    }
    self._clip = {'video': np.zeros(SHAPE, np.uint8)}
    self._clip |= {key: kinds[key] for key in entries}
    classes = tuple(classes)
    self.schema = Schema(SHAPE, len(classes), classes)
    self._counts = counts

  def __len__(self):
    return 2

  def __getitem__(self, index):
    return self._clip

  def contents(self):
    counts = None if self._counts is None else np.array(list(self._counts))
    return sources.Contents({'train': 8, 'test': 2}, 'videos', counts)


class Model(base.VideoModel):
  """A model that uses these conditions."""

  keys: tuple[str, ...] = ()

  @property
  def condition_keys(self):
    return self.keys


def data_of(monkeypatch, source, **spec) -> run_data.RunData:
  monkeypatch.setattr(build, 'source', lambda *args, **kwargs: source)
  config = {
    'clip_shape': SHAPE,
    'batch_size': 2,
    'num_steps': 1,
    'data': {'name': 'data.a.Source', **spec},
    'model': {},
    'optim': {},
  }
  return run_data.RunData(settings_lib.read(config))


ALL = ('label', 'text', 'text_mask', 'action', 'audio', 'layout', 'unknown')


@pytest.mark.parametrize(
  'used',
  [(), ('label',), ('text', 'text_mask'), ('action', 'label'), ('layout',)],
)
def test_each_entry_is_in_the_table_with_its_use(monkeypatch, used):
  data = data_of(monkeypatch, Source(ALL))
  head, *rows = data_report.usage(data, Model(SHAPE, used))
  assert head.split() == ['key', 'kind', 'shape', 'used', 'by']
  found = {row.split()[0]: row for row in rows}
  assert list(found) == ['video', *(x for x in ALL if x != 'text_mask')]
  is_used = {key for key, row in found.items() if row.endswith('  Model')}
  assert is_used == {'video', *used} - {'text_mask'}
  assert all(
    row.endswith('  not used')
    for key, row in found.items()
    if key not in is_used
  )
  assert re.search(r'action +frame +float32 \[4, 2\] ', found['action'])
  conditions = set(ALL) - {'text_mask', 'unknown'}
  unused = data_report.unused(data, Model(SHAPE, used))
  assert unused == sorted(conditions - set(used))


def test_a_run_logs_the_table_and_warns_of_what_is_ignored(monkeypatch, caplog):
  data = data_of(monkeypatch, Source(('label', 'text', 'text_mask')))
  with caplog.at_level(logging.INFO):
    data_report.log(data, Model(SHAPE, ('label',)))
  table, warning = caplog.records
  assert 'label' in table.getMessage()
  assert table.levelno == logging.INFO
  assert 'Model does not use text: it is trained as if' in warning.getMessage()
  caplog.clear()
  data_report.log(data, Model(SHAPE, ('label', 'text', 'text_mask')))
  assert [x for x in caplog.records if x.levelno > logging.INFO] == []


@pytest.mark.parametrize(
  ('spec', 'path', 'key'),
  [
    ({'audio': True}, 'config.data.audio', 'audio'),
    ({'text': {'name': 'data.text.Bytes'}}, 'config.data.text', 'text'),
    ({'tokenizer': {'name': 'x'}}, 'config.data.tokenizer', 'text'),
    ({'source': {'audio': {'a': 1}}}, 'config.data.source.audio', 'audio'),
  ],
)
def test_a_condition_that_is_asked_for_must_be_used(spec, path, key):
  entries = {key: 0 for key in ALL}
  accepting = Model(SHAPE, (key, 'label'))
  data_report.check_asked(spec, accepting, entries)
  data_report.check_asked({'annotations': 'x.csv'}, Model(SHAPE), entries)
  with pytest.raises(ValueError, match=f"{path} asks for '{key}'") as caught:
    data_report.check_asked(spec, Model(SHAPE, ('label',)), entries)
  assert 'It uses label.' in str(caught.value)
  assert f'Remove {path}' in str(caught.value)


def test_the_summary_counts_clips_classes_and_splits(monkeypatch):
  data = data_of(monkeypatch, Source(classes=('a', 'b'), counts=[3, 1]))
  assert data_report.summary(data) == [
    'Data: Source: 2 clips of 4 x 8 x 8 x 3 at 8 frames per second.',
    'Splits: train 8, test 2 videos.',
    "Classes: 2; clips of each: 'a' 3, 'b' 1.",
  ]
  assert data_report.problems(data) == []
  many = data_of(
    monkeypatch, Source(classes=map(str, range(30)), counts=range(30))
  )
  assert '30 with 0 to 29 clips each' in data_report.summary(many)[-1]
  unknown = data_of(monkeypatch, Source(classes=('a', 'b')))
  assert data_report.summary(unknown)[-1] == 'Classes: 2.'
  assert data_report.problems(unknown) == []


def test_a_class_without_a_clip_is_a_problem(monkeypatch):
  source = Source(classes=('a', 'b', 'c'), counts=[0, 4, 0])
  [line] = data_report.problems(data_of(monkeypatch, source))
  assert line.startswith("2 of 3 classes have no training clip: 'a', 'c'. ")
  source = Source(classes=map(str, range(40)), counts=[1] + [0] * 39)
  [line] = data_report.problems(data_of(monkeypatch, source))
  assert "'10' and 29 more." in line


def test_a_folder_counts_its_videos_and_clips(clips):
  """Three videos of each class, of five clips each."""
  whole = video_folder.VideoFolder(SHAPE, str(clips), split='all').contents()
  assert (whole.splits, whole.unit) == ({'all': 6}, 'videos')
  assert list(whole.clips_per_class) == [15, 15]
  train = video_folder.VideoFolder(SHAPE, str(clips), num_windows=1)
  found = train.contents()
  assert sum(found.splits.values()) == 6
  assert found.splits['train'] == sum(found.clips_per_class) == len(train)
  views = transforms.Transformed((2, 4, 4, 3), train, num_views=3)
  np.testing.assert_array_equal(
    views.contents().clips_per_class, 3 * found.clips_per_class
  )


def test_a_folder_without_classes_has_no_counts(clips):
  found = video_folder.VideoFolder(SHAPE, str(clips / 'left'), split='all')
  assert found.contents().clips_per_class is None


def test_synthetic_datasets_state_their_splits():
  found = world.World((8, 16, 16, 3), num_clips=7).contents()
  assert found.splits == {'train': 7, 'validation': 7, 'test': 7}
  text_world = world.World((8, 16, 16, 3), text=text.Bytes(9))
  assert text_world.schema.vocabulary == 'bytes'


def test_encoded_clips_are_counted_by_class(tmp_path):
  schema = Schema(SHAPE, 3, ('a', 'b', 'c'))
  for split, labels in (('train', [0, 2, 2, 0, 2]), ('test', [1])):
    records = np.zeros(len(labels), [('label', 'i4'), ('codes', 'u1', (1,))])
    records['label'] = labels
    manifest = manifest_lib.Manifest(
      kind='codes', shape=(1,), dtype='uint8', num_clips=len(labels),
      shard_clips=3, tokenizer='', autoencoder={}, workdir='', step=0, data={},
      split=split, clip_shape=SHAPE, schema=dataclasses.asdict(schema),
      identity={}, num_codes=9,
    )  # fmt: skip
    (tmp_path / split).mkdir()
    (tmp_path / split / manifest_lib.MANIFEST).write_text(manifest.to_json())
    for shard in range(manifest.num_shards):
      file = tmp_path / split / manifest_lib.file_name(shard)
      np.save(file, records[3 * shard : 3 * shard + 3])
  found = encoded.Encoded(SHAPE, str(tmp_path)).contents()
  assert found.splits == {'test': 1, 'train': 5}
  assert list(found.clips_per_class) == [2, 0, 3]

  # Damage is an error when a clip is read, not when a run starts.
  records = np.load(tmp_path / f'train/{manifest_lib.file_name(0)}')
  records['label'] = [-2_000_000_000, 2_000_000_000, 1]
  np.save(tmp_path / f'train/{manifest_lib.file_name(0)}', records)
  (tmp_path / f'train/{manifest_lib.file_name(1)}').write_text('')
  (tmp_path / 'test' / manifest_lib.MANIFEST).write_text('{}')
  found = encoded.Encoded(SHAPE, str(tmp_path)).contents()
  assert found.splits == {'train': 5}
  assert list(found.clips_per_class) == [0, 1, 0]

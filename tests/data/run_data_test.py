"""Tests of data/run_data.py: data is opened late, and compared when opened."""

import dataclasses

import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import faults
from vgen_jax.core.types import Schema
from vgen_jax.data import run_data
from vgen_jax.data import run_schema

SHAPE = (4, 8, 8, 3)


class Source:
  """Two clips with a label."""

  def __init__(self, names=('a', 'b'), split='train', label=np.int32):
    self.schema = Schema(SHAPE, len(names), names)
    self.label = label

  def __len__(self):
    return 2

  def __getitem__(self, index):
    return {
      'video': np.full(SHAPE, index, np.uint8),
      'label': self.label(index),
    }


@pytest.fixture
def opened(monkeypatch):
  """A log of opened sources, and a list whose last source is opened next."""
  log = []
  monkeypatch.setattr(
    build, 'source', lambda *args, **kwargs: log.append(1) or log_next[-1]
  )
  log_next = [Source()]
  return log, log_next


def settings(**changes) -> settings_lib.Settings:
  config = {
    'clip_shape': SHAPE,
    'batch_size': 2,
    'num_steps': 1,
    'data': {'name': 'data.files.video_folder.VideoFolder', 'folder': 'videos'},
    'model': {},
    'optim': {},
  }
  return settings_lib.read(config | changes)


RECORD = run_schema.RunSchema.of(Source(), faults.Faults())


def test_data_without_a_record_is_opened_at_once(opened):
  data = run_data.RunData(settings())
  assert opened[0] == [1]
  assert data.record == RECORD
  assert not data.is_recorded
  assert len(data) == 2
  assert opened[0] == [1]


def test_data_with_a_record_is_opened_when_a_clip_is_read(opened):
  data = run_data.RunData(settings(), RECORD, 'runs/x')
  assert data.schema == RECORD.schema
  assert data.record.batch(3)['label'].shape == (3,)
  assert opened[0] == []
  assert data[1]['video'][0, 0, 0, 0] == 1
  assert data.split == 'train'
  assert opened[0] == [1]


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'foldr': 'x'}, r"no argument 'foldr'. Did you mean 'folder'"),
    ({'name': 'data.files.video_folder.Folder'}, "no class 'Folder'"),
    (
      {'audio': {'name': 'data.files.audio.LogMel', 'bands': 2}},
      r"config\.data\.audio: .*no argument 'bands'",
    ),
  ],
)
def test_misspelt_fields_are_errors_without_opening(opened, change, message):
  data = settings().data | change
  with pytest.raises(ValueError, match=message):
    run_data.RunData(settings(data=data), RECORD, 'runs/x')
  assert opened[0] == []


@pytest.mark.parametrize(
  ('source', 'message'),
  [
    (
      Source(('b', 'a')),
      r"^runs/x was trained with class_names \('a', 'b'\), but config.data,"
      r" videos, has \('b', 'a'\)\. \(the order differs\.\)",
    ),
    (Source(label=np.int64), r"int32 \[\] 'label' .* int64 \[\] 'label'"),
  ],
)
def test_other_data_is_an_error_whenever_it_is_read(opened, source, message):
  opened[1].append(source)
  data = run_data.RunData(settings(), RECORD, 'runs/x')
  for _ in range(2):
    with pytest.raises(ValueError, match=message):
      data[0]
  with pytest.raises(ValueError, match=message):
    len(data)


def test_the_clip_shape_is_that_of_the_settings(opened):
  larger = (8, 16, 16, 3)
  data = run_data.RunData(settings(clip_shape=larger), RECORD, 'runs/x')
  assert data.schema == dataclasses.replace(RECORD.schema, clip_shape=larger)
  with pytest.raises(ValueError, match=r'clip_shape \(8, 16, 16, 3\), but'):
    _ = data.source

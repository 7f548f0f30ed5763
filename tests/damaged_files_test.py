"""Tests that damaged files are read or refused with an error that names them.

Every reader of JSON and CSV in the package gets files with seeded damage: bytes
that were cut or changed, and values of other kinds.
"""

from collections.abc import Callable
import json
import pathlib
from typing import Any

import pytest

from tests import written_files
from tests.core import damage
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.data import encoded
from vgen_jax.data.encodings import manifest as manifest_lib
from vgen_jax.data.files import annotations
from vgen_jax.data.prepare import public_datasets
from vgen_jax.data.prepare import tfrecords
from vgen_jax.data.prepare import video_folder
from vgen_jax.data.tfds import trusted_features
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import page
from vgen_jax.runtime.output import metrics_log


def outcomes(
  file: pathlib.Path, contents, read: Callable[[], Any], name: str = ''
) -> set[str]:
  """Returns what happened to damaged contents: 'read', 'refused', or errors."""
  found = set()
  for content in contents:
    file.write_bytes(content)
    try:
      read()
      found.add('read')
    except (ValueError, FileNotFoundError) as error:
      is_named = (name or file.name) in str(error)
      found.add('refused' if is_named else f'{type(error)}: {error}')
    except Exception as error:  # What must not happen.
      found.add(f'{type(error).__name__}: {error} for {content[:200]!r}')
  return found


def test_config_json(tmp_path):
  config = config_lib.load('demo:smoke')
  content = json.loads(config_lib.to_json(settings_lib.plain(config)))
  del content['digest']  # Otherwise all damage would be refused because of it.

  def read():
    """Reads the config; errors name the file or the path of a field."""
    loaded = settings_lib.read(config_lib.load(str(tmp_path / 'config.json')))
    try:
      build.model(loaded.model, written_files.SCHEMA)
      build.source(loaded.data, loaded.clip_shape)
    except ValueError as error:
      raise ValueError(f'config.json: {error}') from error

  found = outcomes(
    tmp_path / 'config.json', damage.of_json(content, 0, 150), read
  )
  assert found == {'read', 'refused'}


def test_evaluations(tmp_path):
  result = written_files.result()
  (tmp_path / 'evaluation').mkdir()

  def read():
    found = results.read(tmp_path)
    page.render([found], [results.read_clips(tmp_path, found)], [[]])

  found = outcomes(
    tmp_path / 'evaluation/5.json',
    damage.of_json(result.to_json(), 1, 150),
    read,
  )
  assert found == {'read', 'refused'}


def test_manifests(tmp_path):
  (tmp_path / 'train').mkdir()

  def read():
    try:
      encoded.Encoded((4, 8, 8, 3), str(tmp_path)).schema  # noqa: B018
    except ValueError as error:  # Missing shards, or another clip shape.
      if 'lacks' in str(error) or 'config.clip_shape' in str(error):
        raise ValueError('manifest.json') from error
      raise

  content = json.loads(written_files.MANIFEST.to_json())
  for shard in range(2):
    (tmp_path / 'train' / manifest_lib.file_name(shard)).touch()
  file = tmp_path / 'train/manifest.json'
  assert outcomes(file, [json.dumps(content).encode()], read) == {'read'}
  found = outcomes(file, damage.of_json(content, 2, 150), read)
  assert found <= {'read', 'refused'}
  assert 'refused' in found


def test_features_json(tmp_path):
  content = {
    'pythonClassName': 'tensorflow_datasets.core.features.features_dict.F',
    'featuresDict': {'features': {'a': {'type': 'x', 'n': [1]}}},
  }
  read = lambda: trusted_features.check_folder(tmp_path)
  file = tmp_path / 'features.json'
  found = outcomes(file, damage.of_json(content, 3), read)
  assert found == {'read', 'refused'}


def test_dataset_info_json(tmp_path):
  content = {
    'fileFormat': 'tfrecord',
    'splits': [{'name': 'train', 'shardLengths': ['0']}],
  }
  (tmp_path / 'in').mkdir()
  numbers = iter(range(10_000))

  def read():
    tfrecords.convert(str(tmp_path / 'in'), str(tmp_path / f'{next(numbers)}'))

  file = tmp_path / 'in/dataset_info.json'
  found = outcomes(file, damage.of_json(content, 4), read)
  assert found <= {'read', 'refused'}
  assert 'refused' in found


@pytest.mark.parametrize('suffix', ['csv', 'jsonl'])
def test_tables_of_annotations(tmp_path, suffix):
  text = {
    'csv': 'file,caption,action\na.mp4,"a, cat","[[1, 2]]"\nb.mp4,x,"[[3, 4]]"',
    'jsonl': '{"file": "a.mp4", "caption": "x", "action": [[1, 2]]}\n' * 2,
  }[suffix]
  file = tmp_path / f'table.{suffix}'
  for name in ('a.mp4', 'b.mp4'):
    (tmp_path / name).touch()

  def read():
    annotations.action_width(annotations.read(str(file), tmp_path))

  found = outcomes(file, damage.of_text(text, 5), read)
  assert found - {'read', 'refused'} <= {
    x for x in found if 'config.data.annotations has actions' in x
  }
  assert 'refused' in found


@pytest.mark.parametrize('suffix', ['csv', 'jsonl'])
def test_tables_of_folders(tmp_path, suffix):
  (tmp_path / 'a.mp4').touch()
  text = {
    'csv': 'path,caption,start_s,end_s\na.mp4,"a, cat",0,1\na.mp4,b,1,2',
    'jsonl': '{"path": "a.mp4", "caption": "x", "start_s": 0.5}\n',
  }[suffix]
  file = tmp_path / f'table.{suffix}'
  read = lambda: video_folder.table(str(tmp_path), file=str(file))
  found = outcomes(file, damage.of_text(text, 6), read)
  missing = {x for x in found if 'is in the table, but does not exist' in x}
  assert found - missing <= {'read', 'refused'}
  assert 'refused' in found


def test_labels_of_something_something(tmp_path):
  for name in ('train', 'validation'):
    (tmp_path / f'{name}.json').write_text('[]')
  read = lambda: public_datasets.something_something(str(tmp_path))
  file = tmp_path / 'labels.json'
  found = outcomes(file, damage.of_json({'A': '0', 'B': '1'}, 7), read)
  assert 'refused' in found
  assert all('are empty' in x for x in found - {'refused'})
  file.write_text('{"A": "0"}')
  content = [{'id': '1', 'template': '[A]', 'label': 'a b'}] * 2
  file = tmp_path / 'train.json'
  found = outcomes(file, damage.of_json(content, 8), read)
  assert 'refused' in found
  assert all('are empty' in x for x in found - {'refused'})


def test_a_broken_log_stops_nothing(tmp_path):
  entry = {'step': 1, 'model/loss': 0.5, 'other': 'nan'}
  lines = ''.join(f'{json.dumps(entry | {"step": i})}\n' for i in range(1, 6))
  file = tmp_path / metrics_log.FILE
  for content in damage.of_text(lines, 9, 100):
    file.write_bytes(content)
    read = metrics_log.read(str(tmp_path))
    kept = metrics_log.remove_after(file, 3)
    assert file.read_text() == ''.join(kept)
    after = metrics_log.read(str(tmp_path))
    assert all(x['step'] > 3 or str(x) in map(str, after) for x in read[:-1])
    assert all(x['step'] <= 3 for x in after)
    intact = [
      json.loads(line)['step']
      for line in lines.splitlines()
      if f'{line}\n'.encode() in content
    ]
    assert {s for s in intact if s <= 3} <= {x['step'] for x in after}

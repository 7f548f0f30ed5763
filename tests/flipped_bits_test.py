"""Tests that a flipped bit in a file that a run writes is noticed.

A file is written, one bit of it is flipped, and it is read again: the reader
returns what was written, or raises an error that names the file. Files that can
be computed again are. Tests of the same kind for checkpoints, features and
encoded clips are in runtime/damage_test.py, evaluation/evaluator_test.py and
data/encoded_damage_test.py.
"""

from collections.abc import Callable
import dataclasses
import json
import logging
import pathlib
from typing import Any

import jax
import numpy as np
import pytest

from tests import written_files
from tests.core import damage
from vgen_jax.cli import main as cli
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.data import run_schema
from vgen_jax.data.encodings import manifest as manifest_lib
from vgen_jax.data.files import scan_cache
from vgen_jax.evaluation import output
from vgen_jax.evaluation.metrics import results
from vgen_jax.runtime import workdir as workdir_lib
from vgen_jax.runtime.output import metrics_log


def check(file: pathlib.Path, read: Callable[[], Any], num: int = 300) -> None:
  """Asserts that `read` returns the same or refuses the file by its name.

  Most bits of the file must matter, so that a reader that ignores the file does
  not pass.
  """
  content, wanted, errors = file.read_bytes(), read(), []
  for flipped in damage.flips(content, 0, num):
    file.write_bytes(flipped)
    try:
      assert read() == wanted, flipped
    except ValueError as error:
      errors.append(str(error))
  file.write_bytes(content)
  assert read() == wanted
  assert len(errors) > 0.8 * num
  assert [x for x in errors if str(file) not in x] == []


def test_config_json(tmp_path):
  config = settings_lib.read(config_lib.load('demo:smoke'))
  file = tmp_path / 'config.json'
  file.write_text(config_lib.to_json(dataclasses.asdict(config)))
  check(file, lambda: config_lib.load(str(file)).to_dict())


def test_a_flipped_digit_of_a_config_is_an_error_with_a_remedy(
  tmp_path, capsys
):
  config = settings_lib.read(config_lib.load('demo:smoke'))
  text = config_lib.to_json(dataclasses.asdict(config))
  file = tmp_path / 'config.json'
  file.write_text(text.replace('"batch_size": ', '"batch_size": 1', 1))
  assert file.read_text() != text
  for command in ('train', 'sample', 'evaluate'):
    assert cli.main([command, f'--workdir={tmp_path}']) == 1
    error = capsys.readouterr().err
    assert f'{file}: its content does not match its digest' in error
    assert 'delete its line "digest"' in error
    assert 'repeat the command that started the run' in error


def test_an_edited_config_without_its_digest_is_used(tmp_path, caplog):
  """So is that of an earlier version; the next start writes a digest."""
  settings = settings_lib.read(config_lib.load('demo:smoke'))
  workdir_lib.claim(str(tmp_path), settings)
  file = tmp_path / 'config.json'
  content = json.loads(file.read_text())
  del content['digest']
  file.write_text(json.dumps(content | {'seed': 77}))
  for _ in range(2):
    again = settings_lib.read(config_lib.load(str(file)))
  assert again == dataclasses.replace(settings, seed=77)
  [record] = [x for x in caplog.records if 'has no digest' in x.message]
  assert str(file) in record.message
  workdir_lib.claim(str(tmp_path), again)
  assert 'digest' in json.loads(file.read_text())
  assert config_lib.load(str(file)).seed == 77
  assert [x for x in caplog.records if 'has no digest' in x.message] == [record]


def test_schema_json(tmp_path):
  entries = {
    'video': jax.ShapeDtypeStruct(written_files.SCHEMA.clip_shape, np.uint8)
  }
  schema = run_schema.RunSchema(written_files.SCHEMA, entries)
  run_schema.write(str(tmp_path), schema)
  check(tmp_path / run_schema.FILE, lambda: run_schema.read(str(tmp_path)))


def test_manifests_of_encoded_clips(tmp_path):
  file = tmp_path / manifest_lib.MANIFEST
  file.write_text(written_files.MANIFEST.to_json())
  check(file, lambda: manifest_lib.Manifest.read(tmp_path))


def test_evaluations_and_their_clips(tmp_path):
  result = written_files.result()
  video = np.random.default_rng(0).integers(0, 255, (2, 3, 8, 8, 3), np.uint8)
  clips = {
    'generated': video, 'real': video[::-1], 'title': np.array(['a', 'b']),
    'clip': np.arange(2), 'seed': np.zeros(2, int),
  }  # fmt: skip
  folder = tmp_path / results.FOLDER
  output.write(folder, result, clips)
  file = folder / '5.json'
  check(file, lambda: results.read_file(file))
  found = results.read_file(file)

  def read() -> dict:
    arrays = results.read_clips(tmp_path, found)
    return {k: (x.dtype.str, x.tolist()) for k, x in arrays.items()}

  check(folder / found.clips, read)


def test_a_damaged_evaluation_is_refused_before_the_next_one(tmp_path):
  folder = tmp_path / results.FOLDER
  folder.mkdir()
  output.check_earlier(folder, '5')
  (folder / '5.json').write_text('{"digest": "0", "run": "r"}')
  with pytest.raises(ValueError, match='remove the file and evaluate again'):
    output.check_earlier(folder, '5')


def test_logs_of_metrics(tmp_path, caplog):
  """A damaged line is left out, with a warning."""
  lines = [
    metrics_log.to_line(step, {'loss': 1 / step, 'other': float('nan')})
    for step in range(1, 6)
  ]
  file = tmp_path / metrics_log.FILE
  content, silent = ''.join(lines).encode(), 0
  file.write_bytes(content)
  known = [str(x) for x in metrics_log.read(str(tmp_path))]
  assert len(known) == 5
  for flipped in damage.flips(content, 0, 300):
    caplog.clear()
    file.write_bytes(flipped)
    with caplog.at_level(logging.WARNING):
      found = [str(x) for x in metrics_log.read(str(tmp_path))]
    assert set(found) <= set(known), flipped
    if len(found) < 5:  # An incomplete last line is not damage.
      assert 'left out' in caplog.text or flipped[-1:] != b'\n'
    silent += len(found) == 5
  assert silent < 0.1 * 300
  file.write_text(''.join(lines).replace('"loss": 0.25', '"loss": 0.75'))
  kept = metrics_log.remove_after(file, 5)
  assert kept == [*lines[:3], lines[4]]
  assert '"loss": 0.75' in (tmp_path / f'{file.name}.broken').read_text()


def test_caches_of_scans(clips, tmp_path, monkeypatch):
  """A damaged file is not used; the videos are scanned again."""
  monkeypatch.setenv(scan_cache.VARIABLE, str(tmp_path))
  paths = sorted(clips.glob('left/*.mp4'))

  def scanned() -> tuple[scan_cache.ScanCache, list[str]]:
    cache = scan_cache.ScanCache(clips, 2**20)
    return cache, [scan_cache._encoded(cache.scan(path)) for path in paths]

  cache, wanted = scanned()
  cache.save()
  assert scanned()[0].num_scanned == 0
  content, again = cache.file.read_bytes(), 0
  for flipped in damage.flips(content, 0, 60):
    cache.file.write_bytes(flipped)
    found, indices = scanned()
    assert indices == wanted
    again += found.num_scanned == len(paths)
  assert again >= 55

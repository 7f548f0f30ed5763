"""Tests that a full disk is reported in one clear line."""

import errno
import os
import pathlib

import numpy as np
import pytest

from vgen_jax.cli import configs
from vgen_jax.cli import main as cli
from vgen_jax.core import atomic_files
from vgen_jax.core import disk
from vgen_jax.core.processes import locks
from vgen_jax.data.prepare import encodings
from vgen_jax.runtime import writers

FULL = pathlib.Path('/dev/full')  # Writing to it fails as on a full disk.
needs_full = pytest.mark.skipif(not FULL.exists(), reason='no /dev/full')


def raised(error: BaseException, cause: BaseException) -> BaseException:
  try:
    raise error from cause
  except type(error) as found:
    return found


SPACE = OSError(errno.ENOSPC, 'No space left on device', '/x/metrics.jsonl')
LONG = 'Traceback\n' * 300 + 'write failed [OS error 28: ENOSPC]'


@pytest.mark.parametrize(
  ('error', 'expected'),
  [
    (SPACE, True),
    (OSError(errno.EDQUOT, 'Disk quota exceeded'), True),
    (ValueError(LONG), True),
    (raised(ValueError('x'), raised(RuntimeError('y'), SPACE)), True),
    (ExceptionGroup('tasks', [ValueError('x'), SPACE]), True),
    (OSError(errno.EACCES, 'Permission denied'), False),
    (ValueError('RESOURCE_EXHAUSTED: Out of memory'), False),
  ],
)
def test_a_full_disk_is_recognised(error, expected):
  assert disk.is_full(error) == expected
  line = cli.one_line(error)
  assert (disk.FULL in line) == expected
  assert not expected or len(line) < 200


def test_the_line_names_the_file():
  assert 'File: /x/metrics.jsonl.' in cli.one_line(SPACE)


@needs_full
def test_a_shard_on_a_full_disk_states_the_reason(tmp_path):
  """The message of NumPy is only '256 requested and 195 written'."""
  os.symlink(FULL, tmp_path / '0.npy.new')
  with pytest.raises(OSError) as error:  # noqa: PT011
    encodings._save(tmp_path / '0.npy', np.zeros(100_000))
  assert error.value.errno == errno.ENOSPC
  assert disk.FULL in cli.one_line(error.value)
  assert os.listdir(tmp_path) == []


@needs_full
@pytest.mark.parametrize(
  ('name', 'write'),
  [
    ('a.txt', lambda file: atomic_files.write_text(file, 'text')),
    ('a.npy', lambda file: writers.save_array(file, np.zeros((1, 1, 2, 2, 3)))),
    ('demo.py', lambda file: configs._copy('demo', str(file.parent))),
  ],
)
def test_a_file_on_a_full_disk_is_named_and_not_left(tmp_path, name, write):
  """The error of the operating system does not name the file."""
  os.symlink(FULL, tmp_path / f'{name}.new')
  with pytest.raises(OSError, match='No space left') as error:
    write(tmp_path / name)
  assert f'File: {tmp_path / name}.' in cli.one_line(error.value)
  assert os.listdir(tmp_path) == []


def test_a_lock_on_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
  write_text = pathlib.Path.write_text

  def half(path, text):
    write_text(path, text[: len(text) // 2])
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(pathlib.Path, 'write_text', half)
  with pytest.raises(OSError, match='No space left'), locks.held(tmp_path):
    pass
  assert os.listdir(tmp_path) == []


def test_a_shard_is_written_completely(tmp_path):
  records = np.array([(1, 2.5), (3, 4.5)], [('a', 'i4'), ('b', 'f8')])
  encodings._save(tmp_path / '0.npy', records)
  np.testing.assert_array_equal(np.load(tmp_path / '0.npy'), records)

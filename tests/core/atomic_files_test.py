"""Tests of files that are written completely or not at all."""

import os

from etils import epath
import etils.epath.testing
import pytest

from vgen_jax.core import atomic_files


@pytest.mark.parametrize('kind', [str, epath.Path])
def test_new_content_replaces_the_old(tmp_path, kind):
  path = tmp_path / 'a.bin'
  for content in (b'a long first content', b'short'):
    atomic_files.write_bytes(kind(path), content)
    assert path.read_bytes() == content
  assert os.listdir(tmp_path) == ['a.bin']


def test_text_is_written_as_utf_8_with_its_line_ends(tmp_path):
  atomic_files.write_text(tmp_path / 'a.txt', 'Käse\r\n')
  assert (tmp_path / 'a.txt').read_bytes() == b'K\xc3\xa4se\r\n'


def test_an_error_leaves_the_old_file_and_no_temporary_one(tmp_path):
  path = tmp_path / 'a.txt'
  path.write_text('old')

  def write_half():
    with atomic_files.replacing(path) as temporary:
      temporary.write_text('half')
      assert path.read_text() == 'old'
      raise KeyError

  with pytest.raises(KeyError):
    write_half()
  assert path.read_text() == 'old'
  assert os.listdir(tmp_path) == ['a.txt']


def test_the_content_is_flushed_before_the_file_is_renamed(
  tmp_path, monkeypatch
):
  path, exists = tmp_path / 'a.txt', []
  fsync = os.fsync

  def check(descriptor):
    exists.append(path.exists())
    fsync(descriptor)

  monkeypatch.setattr(os, 'fsync', check)
  atomic_files.write_text(path, 'new')
  assert exists == [False]
  assert path.exists()


def test_a_leftover_of_a_killed_process_is_overwritten(tmp_path):
  (tmp_path / 'a.txt.new').write_text('a longer leftover')
  atomic_files.write_text(tmp_path / 'a.txt', 'new')
  assert (tmp_path / 'a.txt').read_text() == 'new'
  assert os.listdir(tmp_path) == ['a.txt']


def test_nothing_written_is_an_error(tmp_path):
  replacing = atomic_files.replacing(tmp_path / 'a.txt')
  with pytest.raises(FileNotFoundError), replacing:
    pass


def test_a_remote_file_is_written_and_renamed(tmp_path):
  def local(path):
    return tmp_path / str(path).removeprefix('gs://').replace('/', '_')

  with etils.epath.testing.mock_epath(
    open=lambda _, path, mode, **kwargs: open(local(path), mode, **kwargs),
    replace=lambda _, path, target: local(path).replace(local(target)),
  ):
    atomic_files.write_text('gs://bucket/a.txt', 'new')
  assert (tmp_path / 'bucket_a.txt').read_text() == 'new'
  assert os.listdir(tmp_path) == ['bucket_a.txt']


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  for name in ('file', 'file/folder'):
    with pytest.raises(OSError, match='file'):
      atomic_files.check_folder(tmp_path / name)
  atomic_files.check_folder(tmp_path / 'new' / 'folder')
  assert not list((tmp_path / 'new' / 'folder').iterdir())
  with pytest.raises(OSError, match='proc'):  # It exists, but is read-only.
    atomic_files.check_folder('/proc')

"""Tests of data/files/folders.py: which files of a folder are read."""

import os
import pathlib

import numpy as np
import pytest

from vgen_jax.data.files import folders
from vgen_jax.data.files import video_folder as source
from vgen_jax.data.files import video_writers
from vgen_jax.data.prepare import public_datasets
from vgen_jax.data.prepare import unpacked
from vgen_jax.data.prepare import video_folder


@pytest.fixture(autouse=True)
def silence(monkeypatch):
  monkeypatch.setattr(folders, '_said', set())


def touch(folder: pathlib.Path, *names: str) -> None:
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b'')


def found(folder: pathlib.Path) -> list[str]:
  paths = folders.find(folder)
  return [path.relative_to(folder).as_posix() for path in paths]


@pytest.fixture
def linked(tmp_path):
  """Three classes: a folder, a link to a folder, and a link to that link."""
  touch(tmp_path / 'disk', 'dog/a.mp4', 'dog/inner/b.mp4', 'owl/c.mp4')
  top = tmp_path / 'set'
  touch(top, 'cat/d.mp4')
  (top / 'dog').symlink_to(tmp_path / 'disk/dog')
  (tmp_path / 'disk/link').symlink_to('owl')
  (top / 'owl').symlink_to('../disk/link')
  return top


def test_class_folders_may_be_links(linked):
  names = ['cat/d.mp4', 'dog/a.mp4', 'dog/inner/b.mp4', 'owl/c.mp4']
  assert found(linked) == names
  paths = folders.find(linked)
  relative = [path.relative_to(linked) for path in paths]
  assert folders.class_names(relative) == ('cat', 'dog', 'owl')


def test_training_and_preparing_read_the_same_videos(linked, tmp_path):
  """The rules about links and hidden names are the same for both."""
  touch(linked, '.ipynb_checkpoints/e.mp4', 'cat/.f.mp4', 'cat/.g/h.mp4')
  video_thwc = np.zeros((8, 16, 16, 3), np.uint8)
  for path in folders.find(linked):
    video_writers.write_mp4(path, video_thwc, 10)
  trained = source.VideoFolder((4, 16, 16, 3), str(linked), 'all')
  table = video_folder.table(str(linked), validation=0, test=0)
  rows = table.splits['train']
  paths = [segment.index.path for segment in trained._segments]
  assert paths == [row.video.path for row in rows]
  assert len(paths) == 4
  assert (
    trained.schema.class_names == table.class_names == ('cat', 'dog', 'owl')
  )
  labels = [clip['label'] for clip in (trained[i] for i in range(0, 8, 2))]
  assert [table.class_names[i] for i in labels] == [row.label for row in rows]


def test_there_is_an_end_to_links(tmp_path):
  touch(tmp_path, 'a/x.mp4', 'b/y.mp4')
  (tmp_path / 'a/up').symlink_to('..')
  (tmp_path / 'a/again').symlink_to('../a')
  (tmp_path / 'b/itself').symlink_to('itself')
  (tmp_path / 'b/gone').symlink_to('nowhere')
  (tmp_path / 'top').symlink_to(tmp_path)
  assert found(tmp_path) == ['a/x.mp4', 'b/y.mp4']
  for i in range(12):  # Each of twelve folders has links to all others.
    for k in range(12):
      (tmp_path / f'n{i}').mkdir(exist_ok=True)
      (tmp_path / f'n{i}/m{k}').symlink_to(f'../n{k}')
  assert len(folders.walk(tmp_path).folders) <= 14 * 15


def test_two_classes_may_share_a_folder(tmp_path):
  """Each class has its videos; a split never separates them."""
  touch(tmp_path, 'cat/x.mp4', 'dog/y.mp4')
  (tmp_path / 'pet').symlink_to('cat')
  names = found(tmp_path)
  assert names == ['cat/x.mp4', 'dog/y.mp4', 'pet/x.mp4']
  paths = [tmp_path / name for name in names]
  originals = folders.original_names(paths, tmp_path)
  assert originals == ['cat/x.mp4', 'dog/y.mp4', 'cat/x.mp4']


def test_what_is_not_read_is_counted_and_said_once(
  tmp_path, caplog, monkeypatch
):
  touch(tmp_path, 'a.mp4', 'b.MP4', 'c.wmv', 'd.wmv', 'notes.txt', 'README')
  touch(tmp_path, '.hidden.mp4', '.trash/e.mp4', 'locked/f.mp4', 'e/g.mp4')
  touch(tmp_path, 'bad\x1b[31m\nname.xyz')
  (tmp_path / 'e/up').symlink_to('..')
  scandir = os.scandir

  def locked(path):
    if pathlib.Path(path).name == 'locked':
      raise PermissionError(13, 'Permission denied')
    return scandir(path)

  monkeypatch.setattr(folders.os, 'scandir', locked)
  with caplog.at_level('WARNING', 'vgen_jax'):
    assert found(tmp_path) == ['a.mp4', 'b.MP4', 'e/g.mp4']
    found(tmp_path)
  (record,) = caplog.records
  message = record.getMessage()
  for part in (
    '3 videos are read',
    '5 files with other endings',
    '.wmv 2',
    '.txt 1',
    '(none) 1',
    '2 hidden files or folders: .hidden.mp4, .trash',
    '1 folders that cannot be opened: locked',
    '1 links to folders that are listed already: e/up',
  ):
    assert part in message
  assert message.isprintable()


def test_a_folder_without_videos_says_what_it_has(tmp_path):
  touch(tmp_path, 'a.wmv', '.b.mp4')
  with pytest.raises(
    FileNotFoundError, match=r'1 files with .*\.wmv 1.*1 hidd'
  ):
    folders.find(tmp_path)


def test_public_datasets_may_be_links(tmp_path):
  touch(tmp_path / 'disk', 'x/one.mp4', '.y/two.mp4')
  (tmp_path / 'set').mkdir()
  (tmp_path / 'set/videos').symlink_to(tmp_path / 'disk')
  assert list(unpacked.videos(tmp_path / 'set')) == ['one']
  assert unpacked.folder(tmp_path / 'set', 'x', 'videos').name == 'x'
  touch(tmp_path / 'disk', 'labels.json')
  assert public_datasets._table(tmp_path / 'set', 'labels').is_file()
  touch(tmp_path / 'disk/frames', '1.jpg')
  (folder,) = unpacked.image_folders(tmp_path / 'set')
  assert folder.name == 'frames'

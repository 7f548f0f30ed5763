"""Tests of data/identity.py: every change of the data is detected."""

import importlib
import os
import pathlib

import pytest

from vgen_jax.core import digests
from vgen_jax.data import identity
from vgen_jax.synthetic.world import source as world


class Folder:
  """A source whose clips depend on all files of a folder."""

  def __init__(self, folder: pathlib.Path):
    self.folder = folder

  def __len__(self) -> int:
    return 2

  def files(self) -> dict[str, pathlib.Path]:
    return {path.name: path for path in self.folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
  for name in ('a.mp4', 'b.mp4', 'captions.csv'):
    (tmp_path / name).write_text(f'{name} {"." * 9}')
    os.utime(tmp_path / name, (100, 100))
  return tmp_path


def changed(folder, change) -> set[str]:
  """Returns the fields of the identity that differ after a change."""
  before = identity.of(Folder(folder)).plain()
  change()
  after = identity.of(Folder(folder)).plain()
  return {key for key in before if before[key] != after[key]}


def test_nothing_changes_between_two_calls(folder):
  assert changed(folder, lambda: None) == set()


def test_each_kind_of_change_is_noticed(folder):
  video, table = folder / 'a.mp4', folder / 'captions.csv'
  assert changed(folder, lambda: os.utime(video, (100, 101))) == {'times'}
  assert 'content' in changed(folder, lambda: video.write_text('other'))

  def edit():  # The size and the time stay.
    table.write_text(table.read_text().replace('.', ','))
    os.utime(table, (100, 100))

  assert changed(folder, edit) == {'content'}
  assert 'content' in changed(folder, lambda: video.rename(folder / 'c.mp4'))
  more = changed(folder, lambda: (folder / 'd.mp4').write_text(''))
  assert {'num_files', 'content'} <= more


def test_a_link_to_a_missing_file_is_no_error(folder):
  link = lambda: (folder / 'e.mp4').symlink_to(folder / 'none.mp4')
  assert 'content' in changed(folder, link)


def test_generated_clips_depend_on_the_code(monkeypatch):
  before = identity.of(world.World((16, 16, 16, 3)))
  assert before.num_files == 0
  monkeypatch.setattr(digests, 'code', lambda *folders: 'another')
  assert identity.of(world.World((16, 16, 16, 3))).code != before.code


def test_the_digest_of_code_depends_on_the_folders():
  assert len({digests.code(), digests.code('data'), digests.code('core')}) == 3


def test_clips_of_a_class_of_another_package_depend_on_its_file(
  tmp_path, monkeypatch
):
  file = tmp_path / 'own_clips.py'
  file.write_text(
    'from vgen_jax.synthetic.world import source\n'
    'class OwnWorld(source.World): ...\n'
  )
  monkeypatch.syspath_prepend(tmp_path)
  own = importlib.import_module('own_clips').OwnWorld((16, 16, 16, 3))
  before = identity.of(own)
  assert before.code != identity.of(world.World((16, 16, 16, 3))).code
  file.write_text(file.read_text() + '# Changed.\n')
  assert identity.of(own).code != before.code

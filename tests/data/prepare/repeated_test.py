"""Tests of origins.py and prepared_files.py: repeated commands and damage."""

import dataclasses
import os
import pathlib
import shutil

import pytest

from tests.core import damage
from vgen_jax.core import digests
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import video_folder
from vgen_jax.data.prepare import write
from vgen_jax.data.tfds import dataset
from vgen_jax.data.tfds import prepared_files
from vgen_jax.synthetic.digits import prepare

CSV = """path,label,caption,split
left/0.mp4,goes left,a thing,train
left/1.mp4,goes left,it goes left,train
right/2.mp4,goes right,it goes right,test
"""


def test_what_is_complete_and_the_same_is_not_written_again(
  clips, tmp_path, caplog
):
  shutil.copytree(clips, tmp_path / 'videos')
  (tmp_path / 'videos/table.csv').write_text(CSV)
  source, out = str(tmp_path / 'videos'), str(tmp_path)
  file = f'{source}/table.csv'
  table = video_folder.table(source, 'example', file)
  options = raw_videos.Options('jpeg', size=16, max_frames=12)
  path, _ = write.write(table, out, options, num_threads=1)
  before = {p: p.stat().st_mtime_ns for p in pathlib.Path(path).iterdir()}
  assert {p.name for p in before} >= {prepared_files.FILE, 'features.json'}
  with caplog.at_level('INFO', 'vgen_jax'):
    table = video_folder.table(source, 'example', file)
    assert write.write(table, out, options) == (path, 0)
  assert f'{path} is complete' in caplog.text
  assert before == {p: p.stat().st_mtime_ns for p in before}

  def refused(words: str, table=table, options=options, **kwargs) -> None:
    with pytest.raises(FileExistsError, match=f'exists already.*{words}'):
      write.write(table, out, options, **kwargs)

  refused("other .'options'", options=dataclasses.replace(options, size=18))
  refused("other .'skip_broken'", skips_broken=True)
  for old, new in (
    ('a thing', 'a dog'),
    ('left/1.mp4,goes left', 'left/1.mp4,goes right'),
  ):
    pathlib.Path(file).write_text(CSV.replace(old, new))
    changed = video_folder.table(source, 'example', file)
    refused("other .'annotations'", table=changed)
  pathlib.Path(file).write_text(CSV)
  os.utime(f'{source}/left/0.mp4', (1, 1))
  refused("other .'videos'", table=video_folder.table(source, 'example', file))
  shutil.copy2(clips / 'left/0.mp4', f'{source}/left/0.mp4')
  assert write.write(table, out, options) == (path, 0)
  [shard] = pathlib.Path(path).glob('*test*record*')
  shard.rename(tmp_path / 'shard')
  refused('is damaged or incomplete: .*test.*record')
  (tmp_path / 'shard').rename(shard)
  assert write.write(table, out, options) == (path, 0)
  (pathlib.Path(path) / prepared_files.FILE).unlink()
  refused('has no prepared.json')


def test_synthetic_datasets_are_the_same_or_not(tmp_path):
  options = raw_videos.Options('raw')
  make = lambda size, num: prepare.table((3, size, size, 1), num)
  path, _ = write.write(make(16, 4), str(tmp_path), options)
  assert write.write(make(16, 4), str(tmp_path), options) == (path, 0)
  for table in (make(16, 5), make(18, 4)):
    with pytest.raises(FileExistsError, match=r"with other \[.*'videos'"):
      write.write(table, str(tmp_path), options)


@pytest.mark.parametrize('num', [40, pytest.param(400, marks=pytest.mark.slow)])
def test_no_flipped_bit_of_a_dataset_is_silent(tmp_path, num):
  table = prepare.table((3, 16, 16, 1), 4)
  path, _ = write.write(table, str(tmp_path), raw_videos.Options('raw'))
  files = sorted(p for p in pathlib.Path(path).iterdir() if p.is_file())
  assert len(files) >= 6

  def read() -> list:
    source = dataset.TFDSVideo((3, 16, 16, 1), data_dir=path, split='train')
    clips = [digests.tree(source[i]) for i in range(len(source))]
    return [source.schema, source.splits, clips]

  wanted = read()
  for file in files:
    content, errors = file.read_bytes(), []
    for flipped in damage.flips(content, 0, num):
      file.write_bytes(flipped)
      try:
        assert read() == wanted, (file.name, flipped)
      except ValueError as error:
        errors.append(str(error))
    file.write_bytes(content)
    named = (path, 'moving_digits, train, example')
    assert all(any(x in error for x in named) for error in errors)
    is_read = 'train' in file.name or file.suffix in ('.json', '.txt')
    assert bool(errors) == is_read, file.name
  assert read() == wanted

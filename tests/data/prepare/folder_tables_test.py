"""Tests of data/prepare/video_folder.py: what a folder and its table tell."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from vgen_jax.data.files import codecs
from vgen_jax.data.files import video_folder as videos
from vgen_jax.data.prepare import video_folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three short films in two folders."""
  folder = tmp_path_factory.mktemp('films')
  for name in ('left/a', 'left/b', 'right/c'):
    path = folder / f'{name}.mp4'
    path.parent.mkdir(exist_ok=True)
    codecs.write_mp4(path, np.zeros((20, 32, 48, 3), np.uint8), 10)
  return folder


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('path,lable\nleft/a.mp4,x\n', "column 'lable'. Did you mean 'label'"),
    ('path,label\nleft/a.mp4,x\nleft/b.mp4,\n', "video 2 has no .'label'."),
    ('path\nleft/z.mp4\n', 'z.mp4 is told of in the table, but not there'),
    ('path,split\nleft/a.mp4,dev\n', "splits .'dev'."),
    ('path\n', 'tells of no video'),
    ('path\nleft/a.mp4\nleft/a.mp4\n', "tells of 'left/a.mp4' 2 times"),
    ('path,caption\nleft/a.mp4,red, blue\n', 'more fields than there are col'),
  ],
)
def test_a_wrong_table_is_told(folder, tmp_path, text, message):
  (tmp_path / 'table.csv').write_text(text)
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    video_folder.table(str(folder), file=str(tmp_path / 'table.csv'))


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('["left/a.mp4"]', 'line 3: it is .* must be an object'),
    ('{"path": 7}', "line 3: .* 'path' is text"),
    ('{"path": "left', 'line 3: it is no JSON'),
  ],
)
def test_a_wrong_line_is_told(folder, tmp_path, line, message):
  file = tmp_path / 'table.jsonl'
  file.write_text('{"path": "left/a.mp4"}\n\n' + line)
  with pytest.raises(ValueError, match=message):
    video_folder.table(str(folder), file=str(file))


def test_one_film_is_in_one_split(folder, tmp_path):
  """However its path is spelled, and whatever link leads to it."""
  source = tmp_path / 'films'
  shutil.copytree(folder, source)
  for i in range(9):
    shutil.copy(source / 'left/a.mp4', source / f'x@{i}.mp4')
  (source / 'link.mp4').symlink_to(source / 'x@3.mp4')
  for i in range(9):
    (source / f'hard_{i}.mp4').hardlink_to(source / f'x@{i}.mp4')
  spelled = ['{}', './{}', '../films/{}']
  names = [f'x@{i}.mp4' for i in range(9)]
  paths = [spell.format(name) for name in names for spell in spelled]
  paths += ['link.mp4', *(f'hard_{i}.mp4' for i in range(9))]
  text = '\n'.join(['path', *paths])
  (tmp_path / 'table.csv').write_text(text)
  table = video_folder.table(
    str(source), file=str(tmp_path / 'table.csv'), validation=0.3, test=0.3
  )
  where: dict[int, set[str]] = {}
  for split, rows in table.splits.items():
    for row in rows:
      file = pathlib.Path(row.film.path).stat().st_ino
      where.setdefault(file, set()).add(split)
  assert len(where) == 9
  assert all(len(splits) == 1 for splits in where.values())
  assert len(set().union(*where.values())) == 3


def test_a_folder_is_split_as_its_source_is(folder, tmp_path):
  """What is cut out of a folder must not train what is tested on the folder."""
  (tmp_path / 'b.mp4').mkdir()  # No video, whatever it is called.
  for i in range(8):
    shutil.copy(folder / 'left/a.mp4', tmp_path / f'b.mp4/{i}@x.mp4')
  (tmp_path / 'b.mp4/0.mp4').symlink_to(tmp_path / 'b.mp4/5@x.mp4')
  table = video_folder.table(str(tmp_path), validation=0.3, test=0.3)
  for split, rows in table.splits.items():
    source = videos.VideoFolder(
      (4, 16, 16, 3), str(tmp_path), split, validation=0.3, test=0.3
    )
    taken = {stretch.index.path for stretch in source._stretches}
    assert taken == {row.film.path for row in rows}


def test_tables_come_from_anywhere(folder, tmp_path):
  """With the mark that Excel puts first, and any character of Unicode."""
  lines = [
    {'path': 'left/a.mp4', 'caption': 'one\u2028two', 'start_s': start_s}
    for start_s in (1.2345671, 1.2345672)
  ]
  text = '\n'.join(json.dumps(line, ensure_ascii=False) for line in lines)
  (tmp_path / 't.jsonl').write_text(text, encoding='utf-8-sig')
  csv = 'path,caption,start_s\n' + ''.join(
    f'left/a.mp4,one\u2028two,{line["start_s"]}\n' for line in lines
  )
  (tmp_path / 't.csv').write_text(csv, encoding='utf-8-sig')
  for name in ('t.csv', 't.jsonl'):
    table = video_folder.table(str(folder), file=str(tmp_path / name))
    rows = table.splits['train']
    assert [row.caption for row in rows] == ['one\u2028two'] * 2
    # Starts that differ are other films, however little.
    assert [row.key for row in rows] == [
      'left/a.mp4@1.2345671-',
      'left/a.mp4@1.2345672-',
    ]


def test_jsonl_says_what_csv_says(folder, tmp_path):
  lines = [
    {'path': 'left/a.mp4', 'caption': 'a', 'action': [[float(i)] * 3] * 20}
    for i in range(2)
  ]
  lines[1] |= {'path': 'right/c.mp4'}
  (tmp_path / 't.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  table = video_folder.table(
    str(folder), file=str(tmp_path / 't.jsonl'), validation=0, test=0
  )
  assert (table.action_width, table.has_captions) == (3, True)
  assert [r.key for r in table.splits['train']] == ['left/a.mp4', 'right/c.mp4']

"""Tests of data/prepare/video_folder.py: tables of folders."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from vgen_jax.data.files import video_folder as videos
from vgen_jax.data.files import video_writers
from vgen_jax.data.prepare import video_folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three short videos in two folders."""
  folder = tmp_path_factory.mktemp('videos')
  for name in ('left/a', 'left/b', 'right/c'):
    path = folder / f'{name}.mp4'
    path.parent.mkdir(exist_ok=True)
    video_writers.write_mp4(path, np.zeros((20, 32, 48, 3), np.uint8), 10)
  return folder


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('path,lable\nleft/a.mp4,x\n', "unknown key 'lable'. Did you mean 'label'"),
    ('path,label\nleft/a.mp4,x\nleft/b.mp4,\n', 'line 3: it has no label'),
    ('path\nleft/z.mp4\n', "'left/z.mp4' is in the table, but does not exist"),
    ('path,split\nleft/a.mp4,dev\n', "line 2: split is 'dev'"),
    ('path\n', 'contains no video'),
    ('path\nleft/a.mp4\nleft/a.mp4\n', "'left/a.mp4' has a line already"),
    ('path,caption\nleft/a.mp4,red, blue\n', 'it has 3 fields, more or fewer'),
  ],
)
def test_errors_about_a_table(folder, tmp_path, text, message):
  (tmp_path / 'table.csv').write_text(text)
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    video_folder.table(str(folder), file=str(tmp_path / 'table.csv'))


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('["left/a.mp4"]', 'line 3: it is a list; it must be an object'),
    ('{"path": 7}', 'line 3: its path is 7; it must be text'),
    ('{"path": "left', 'line 3: it is not valid JSON'),
  ],
)
def test_errors_about_a_line(folder, tmp_path, line, message):
  file = tmp_path / 'table.jsonl'
  file.write_text('{"path": "left/a.mp4"}\n\n' + line)
  with pytest.raises(ValueError, match=message):
    video_folder.table(str(folder), file=str(file))


def test_one_video_is_in_one_split(folder, tmp_path):
  """All links to a video are in the same split."""
  source = tmp_path / 'videos'
  shutil.copytree(folder, source)
  for i in range(9):
    shutil.copy(source / 'left/a.mp4', source / f'x@{i}.mp4')
  (source / 'link.mp4').symlink_to(source / 'x@3.mp4')
  for i in range(9):
    (source / f'hard_{i}.mp4').hardlink_to(source / f'x@{i}.mp4')
  paths = [f'./x@{i}.mp4' for i in range(9)]
  paths += ['link.mp4', *(f'hard_{i}.mp4' for i in range(9))]
  text = '\n'.join(['path', *paths])
  (tmp_path / 'table.csv').write_text(text)
  table = video_folder.table(
    str(source), file=str(tmp_path / 'table.csv'), validation=0.3, test=0.3
  )
  where: dict[int, set[str]] = {}
  for split, rows in table.splits.items():
    for row in rows:
      file = pathlib.Path(row.video.path).stat().st_ino
      where.setdefault(file, set()).add(split)
  assert len(where) == 9
  assert all(len(splits) == 1 for splits in where.values())
  assert len(set().union(*where.values())) == 3


def test_a_table_is_split_as_the_source_video_folder(folder, tmp_path):
  """Otherwise a model could be tested on its training videos."""
  (tmp_path / 'b.mp4').mkdir()  # A folder, not a video.
  for i in range(8):
    shutil.copy(folder / 'left/a.mp4', tmp_path / f'b.mp4/{i}@x.mp4')
  (tmp_path / 'b.mp4/0.mp4').symlink_to(tmp_path / 'b.mp4/5@x.mp4')
  table = video_folder.table(str(tmp_path), validation=0.3, test=0.3)
  for split, rows in table.splits.items():
    source = videos.VideoFolder(
      (4, 16, 16, 3), str(tmp_path), split, validation=0.3, test=0.3
    )
    taken = {segment.index.path for segment in source._segments}
    assert taken == {row.video.path for row in rows}


def test_tables_may_have_any_unicode(folder, tmp_path):
  """Tables may also have a byte order mark, which Excel writes."""
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
    # Segments with slightly different starts have different keys.
    assert [row.key for row in rows] == [
      'left/a.mp4@1.2345671-',
      'left/a.mp4@1.2345672-',
    ]


def test_jsonl_may_contain_actions(folder, tmp_path):
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

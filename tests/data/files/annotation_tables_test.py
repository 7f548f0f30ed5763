"""Tests of data/files/annotations.py and table_files.py: reading of tables."""

import json
import os
import unicodedata

import numpy as np
import pytest

from vgen_jax.data.files import annotations as annotations_lib

RISE = [[i, 0] for i in range(20)]
ROWS = [
  {'file': 'a.mp4', 'caption': 'größer', 'action': RISE},
  {'file': 'b/c.mp4', 'caption': 'b, "c"', 'action': [x[::-1] for x in RISE]},
]


def save(path, rows=ROWS) -> str:
  if path.suffix == '.jsonl':
    text = ''.join(json.dumps(row) + '\n' for row in rows)
  else:
    quoted = lambda x: '"' + str(x).replace('"', '""') + '"'
    lines = [','.join(rows[0])] + [
      ','.join(
        quoted(x if isinstance(x, str) else json.dumps(x)) for x in row.values()
      )
      for row in rows
    ]
    text = '\n'.join(lines)
  path.write_text(text, encoding='utf-8')
  return str(path)


def read(path, names=('a.mp4', 'b/c.mp4', 'b.mp4')) -> dict:
  """Returns the annotations in a table by path, for a folder of these names."""
  folder = path.parent / 'videos'
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
  return {x.path: x for x in annotations_lib.read(str(path), folder)}


@pytest.mark.parametrize('name', ['annotations.jsonl', 'annotations.csv'])
def test_a_table_is_read(tmp_path, name):
  save(tmp_path / name)
  annotations = read(tmp_path / name)
  assert list(annotations) == ['a.mp4', 'b/c.mp4']
  for row in ROWS:
    annotation = annotations[row['file']]
    assert annotation.caption == row['caption']
    assert annotation.action_na.dtype == np.float32
    np.testing.assert_array_equal(annotation.action_na, row['action'])
  assert annotations_lib.action_width(list(annotations.values())) == 2


def test_a_column_may_be_missing(tmp_path):
  rows = [{'file': 'a.mp4'}, {'file': 'b.mp4', 'caption': 'b'}]
  save(tmp_path / 'a.jsonl', rows)
  annotations = read(tmp_path / 'a.jsonl')
  assert (annotations['a.mp4'].caption, annotations['b.mp4'].caption) == (
    None,
    'b',
  )
  assert annotations_lib.action_width(list(annotations.values())) == 0


@pytest.mark.parametrize(
  ('rows', 'message'),
  [
    ([{'fle': 'a.mp4'}], r"a.jsonl, line 1: unknown key 'fle'"),
    ([{'caption': 'b'}], 'a.jsonl, line 1: it has no path'),
    ([{'file': 'a', 'captoin': 'b'}], "line 1: .* Did you mean 'caption'"),
    ([{'file': 'a', 'path': 'a'}], "it has 'file' and 'path'; give one"),
    ([ROWS[0], {'file': 'b.mp4'}], 'line 2: it has no action'),
    ([{'file': 'a', 'split': 'dev'}], "line 1: split is 'dev'; it must be one"),
    ([{'file': 'a', 'start_s': 'x'}], "line 1: start_s is 'x'; it must be a"),
    ([{'file': 'a', 'start_s': 2, 'end_s': 1}], 'end_s is 1; it must be at le'),
    ([{'file': 'q'}], r"line 1: 'q' is in the table, but does not exist in"),
    ([{'file': '/etc/passwd'}], 'leads outside of the folder of videos'),
    ([{'file': 'b/../../a'}], 'leads outside of the folder of videos'),
    ([{'file': 'a', 'action': '../../a.npy'}], 'leads outside of the folder'),
    (
      [{'file': 'a', 'action': 'a.npy'}],
      r'a.npy, which cannot be read \(it is',
    ),
    ([ROWS[0], ROWS[0]], r"line 2: 'a.mp4' has a line already"),
    ([{'file': 'a', 'caption': 7}], 'line 1: its caption is 7; it must be tex'),
    ([{'file': 7}], 'line 1: its path is 7; it must be text'),
    (
      [{'file': 'a', 'action': [[np.nan]]}],
      'line 1: its action has infinite values',
    ),
    (
      [{'file': 'a', 'action': [[1e99]]}],
      'line 1: its action has infinite values',
    ),
    ([{'file': 'a', 'action': [1, 2]}], 'its action is not a table of numbers'),
    ([{'file': 'a', 'action': [[1], [1, 2]]}], 'its action is not a table of'),
  ],
)
def test_errors_name_the_line_of_a_table(tmp_path, rows, message):
  save(tmp_path / 'a.jsonl', rows)
  with pytest.raises(ValueError, match=message):
    read(tmp_path / 'a.jsonl', ['a', 'b', 'a.mp4', 'b.mp4'])


@pytest.mark.parametrize('name', ['annotations.jsonl', 'annotations.csv'])
def test_a_byte_order_mark_is_ignored(tmp_path, name):
  save(tmp_path / name)
  (tmp_path / name).write_bytes(
    b'\xef\xbb\xbf' + (tmp_path / name).read_bytes()
  )
  assert list(read(tmp_path / name)) == ['a.mp4', 'b/c.mp4']


def test_errors_about_other_files(tmp_path):
  (tmp_path / 'a.jsonl').write_text('\n{"file": \n')
  with pytest.raises(
    ValueError, match=r'a.jsonl, line 2: it is not valid JSON'
  ):
    read(tmp_path / 'a.jsonl')
  (tmp_path / 'c.csv').write_bytes(
    'file,caption\na.mp4,caf\xe9'.encode('cp1252')
  )
  with pytest.raises(ValueError, match=r'c.csv, line 2: it is not UTF-8'):
    read(tmp_path / 'c.csv')
  (tmp_path / 'd.csv').write_text('file,caption\na.mp4,"x\n')
  with pytest.raises(ValueError, match=r'd.csv, line 2: it is not valid CSV'):
    read(tmp_path / 'd.csv')
  (tmp_path / 'e.csv').write_text('file,caption\na.mp4\n')
  with pytest.raises(ValueError, match=r'e.csv, line 2: it has 1 fields, more'):
    read(tmp_path / 'e.csv')
  (tmp_path / 'f.jsonl').write_text('[' * 100_000)
  with pytest.raises(ValueError, match=r'f.jsonl, line 1: its JSON has too'):
    read(tmp_path / 'f.jsonl')
  os.mkfifo(tmp_path / 'g.csv')
  for name in ('b.csv', 'g.csv'):
    with pytest.raises(FileNotFoundError, match='it must be an existing file'):
      read(tmp_path / name)


def test_a_long_field_of_csv_is_read(tmp_path):
  """Actions of many frames are longer than the limit of the csv package."""
  action = [[i / 7, 0.123456] for i in range(10_000)]
  save(tmp_path / 'a.csv', [{'file': 'a.mp4', 'action': action}])
  assert len(read(tmp_path / 'a.csv')['a.mp4'].action_na) == 10_000


@pytest.mark.parametrize('forms', [('NFC', 'NFD'), ('NFD', 'NFC')])
def test_names_may_have_another_form_of_unicode(tmp_path, forms):
  """Systems store é as one character or as two; names may have colons, too."""
  given, stored = (unicodedata.normalize(f, '12:30 café.mp4') for f in forms)
  save(tmp_path / 'a.jsonl', [{'path': given}])
  assert list(read(tmp_path / 'a.jsonl', [stored])) == [stored]
  assert list(read(tmp_path / 'a.jsonl', [stored, given])) == [given]


def test_a_table_in_the_folder_is_found_there(tmp_path, monkeypatch):
  (tmp_path / 'videos').mkdir()
  for name in ('a.mp4', 'b.mp4'):
    (tmp_path / 'videos' / name).touch()
  save(tmp_path / 'videos/a.jsonl', [{'path': 'a.mp4'}])
  save(tmp_path / 'b.jsonl', [{'path': 'b.mp4'}])
  monkeypatch.chdir(tmp_path)
  for name in 'ab':
    (row,) = annotations_lib.read(f'{name}.jsonl', tmp_path / 'videos')
    assert row.path == f'{name}.mp4'

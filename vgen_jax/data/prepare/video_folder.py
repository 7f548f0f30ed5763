"""A dataset of the videos in a folder, with an optional table of annotations.

The table is CSV, or JSONL with one object per line. Its columns are

  path     path of the video in the folder; required
  label    name of the class
  caption  caption of the video
  action   a vector for each frame: a list of lists in JSONL, the path of a .npy
           file in CSV
  split    train, validation or test; without it, a hash of the path decides
  start_s  start of the segment of the video in seconds
  end_s    end of the segment in seconds

A column must be filled in for all videos or for none, except start_s and end_s.
Without a table, all videos in the folder are used, and if they lie in two
sub-folders or more, the names of these are labels.
"""

import collections
from collections.abc import Mapping, Sequence
import os
import pathlib
from typing import Any

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.core import json_files
from vgen_jax.data import splits as splits_lib
from vgen_jax.data.files import video_folder
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables

COLUMNS = ('path', 'label', 'caption', 'action', 'split', 'start_s', 'end_s')
_SPLITS = ('train', 'validation', 'test')


def table(
  source: str,
  name: str = 'video_folder',
  file: str | None = None,
  validation: float = 0.1,
  test: float = 0.1,
) -> tables.Table:
  """Returns the table of the videos in a folder.

  Args:
    source: Folder of videos.
    name: Name of the dataset.
    file: Path of the table of annotations, CSV or JSONL, or None.
    validation: Proportion of the videos in the validation split, if the table
      has no column `split`.
    test: Proportion of the videos in the test split, in the same way.

  Raises:
    ValueError: If the table is wrong.
    FileNotFoundError: If the folder, the table or a video does not exist.
  """
  folder = file_paths.local(source)
  if not folder.is_dir():
    raise FileNotFoundError(
      f'{source} is not a folder; give the path of a folder of videos.'
    )
  lines = _lines(file_paths.local(file)) if file else _found(folder)
  if not lines:
    raise FileNotFoundError(f'{file or source} contains no video.')
  columns = _columns(lines, file)
  rows = [_row(folder, line) for line in lines]
  keys = collections.Counter(row.key for row in rows)
  if twice := [key for key, number in keys.items() if number > 1]:
    raise ValueError(
      f'{file} contains {twice[0]!r} {keys[twice[0]]} times; keep one of them.'
    )
  split_n = [line.get('split') for line in lines]
  if 'split' not in columns:
    split_n = _split(rows, folder, {'validation': validation, 'test': test})
  if unknown := sorted(set(split_n) - set(_SPLITS)):
    raise ValueError(
      f'{file}: unknown splits {unknown}. Allowed: {", ".join(_SPLITS)}.'
    )
  grouped = {
    split: [row for row, x in zip(rows, split_n, strict=True) if x == split]
    for split in _SPLITS
    if split in split_n
  }
  widths = {
    row.action_ta.shape[-1] for row in rows if row.action_ta is not None
  }
  if len(widths) > 1:
    raise ValueError(
      f'{file} has actions of {sorted(widths)} values; all videos must have'
      ' actions of one width.'
    )
  return tables.Table(
    name,
    grouped,
    class_names=tuple(sorted({row.label for row in rows if row.label})),
    has_captions='caption' in columns,
    action_width=widths.pop() if widths else 0,
    description=f'Videos of the folder {folder.name}.',
  )


def _lines(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the lines of a table, without empty fields."""
  if not path.is_file():
    raise FileNotFoundError(
      f'{path} is not a file; give a table in CSV or JSONL.'
    )
  if path.suffix == '.csv':
    lines = [row for _, row in json_files.csv_rows(path)]
  elif path.suffix in ('.jsonl', '.ndjson'):
    lines = [
      _object(line, f'{path}, line {number}')
      for number, line in json_files.json_lines(path)
    ]
  else:
    raise ValueError(
      f'{path} ends in {path.suffix!r}; it must end in .csv or .jsonl.'
    )
  return [
    {k: v for k, v in line.items() if v not in (None, '')} for line in lines
  ]


def _object(found: Any, position: str) -> dict[str, Any]:
  if not isinstance(found, dict) or not isinstance(found.get('path', ''), str):
    raise ValueError(
      f"{position}: it is {found!r:.80}; it must be an object whose 'path' is"
      ' text.'
    )
  return found


def _found(folder: pathlib.Path) -> list[dict[str, Any]]:
  """Returns all videos in a folder, as the lines of a table."""
  paths = sorted(
    path.relative_to(folder)
    for path in folder.rglob('*')
    if path.suffix.lower() in video_folder.EXTENSIONS
    and not path.name.startswith('.')
    and path.is_file()
  )
  labels = {path.parts[0] for path in paths if len(path.parts) > 1}
  has_labels = len(labels) > 1 and all(len(path.parts) > 1 for path in paths)
  return [
    {'path': path.as_posix()} | ({'label': path.parts[0]} if has_labels else {})
    for path in paths
  ]


def _columns(lines: Sequence[Mapping[str, Any]], file: str | None) -> set[str]:
  """Returns the columns of a table, after checking that none has gaps."""
  columns = set().union(*lines)
  for column in columns - set(COLUMNS):
    checks.known_key(str(file), column, COLUMNS)
  for number, line in enumerate(lines):
    needed = columns - {'start_s', 'end_s'} | {'path'}
    if missing := needed - set(line):
      raise ValueError(
        f'{file}: video {number + 1} has no {sorted(missing)}, but other videos'
        ' have; fill it in for all videos, or for none.'
      )
  return columns


def _row(folder: pathlib.Path, line: Mapping[str, Any]) -> tables.Row:
  path = folder / line['path']
  if not path.is_file():
    raise FileNotFoundError(
      f'{path} is in the table, but does not exist; remove it from the table.'
    )
  start_s, end_s = float(line.get('start_s', 0)), line.get('end_s')
  key = line['path']
  if start_s or end_s is not None:
    key += f'@{start_s!r}-{end_s or ""}'
  action = line.get('action')
  if isinstance(action, str):
    action = np.load(folder / action)
  if action is not None:
    action = np.atleast_2d(np.asarray(action, np.float32))
  end_s = None if end_s is None else float(end_s)
  video = raw_videos.File(str(path), start_s, end_s)
  label = line.get('label')
  caption = line.get('caption')
  return tables.Row(
    key, video, None if label is None else str(label), caption, action
  )


def _split(
  rows: Sequence[tables.Row],
  folder: pathlib.Path,
  proportions: Mapping[str, float],
) -> list[str]:
  """Returns a split for each row, the same for all segments of a video.

  A video is a file, whatever the form of its path and the links that lead to
  it. Its split depends on the first of its names in the folder, as in the
  source VideoFolder, so that both split a folder in the same way.
  """
  paths = [row.video.path for row in rows]
  first: dict[tuple[int, int], str] = {}
  files = [(x.st_dev, x.st_ino) for x in map(os.stat, paths)]
  names = [pathlib.Path(os.path.relpath(p, folder)).as_posix() for p in paths]
  for file, name in sorted(zip(files, names, strict=True)):
    first.setdefault(file, name)
  names = [first[file] for file in files]
  unique = sorted(set(names))
  if len(unique) < len(_SPLITS):
    proportions = dict.fromkeys(proportions, 0.0)
  split_of = {}
  for split in _SPLITS:
    if split == 'train' or proportions[split]:
      chosen = splits_lib.by_name(unique, split, proportions)
      split_of |= {unique[i]: split for i in chosen}
  return [split_of[name] for name in names]

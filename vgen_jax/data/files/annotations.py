"""Tables of annotations of the videos in a folder.

A table is a CSV file, or a file of JSON with one object per line (JSONL). It
has a line for each video that is used. Its columns are

  path     path of the video, relative to the folder of videos; required
  caption  a text; videos without one have an empty caption
  label    name of the class; without it, sub-folders may be classes
  action   a list of numbers for each frame: lists in JSON, also as text, or the
           path of a .npy file, relative to the folder of videos
  split    train, validation or test; without it, a hash of the path decides
  start_s  start of the used segment of the video in seconds; may be empty
  end_s    end of the segment in seconds; may be empty

`file` is another name of `path`. Labels, actions and splits are given for all
videos or for none. The first line of a CSV file contains the names of columns.
The path of a table is relative to the folder of videos or, if it has no such
file, to the working directory.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import logging
import pathlib
from typing import Any
import unicodedata

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.data.files import folders
from vgen_jax.data.files import table_files

COLUMNS = ('path', 'caption', 'label', 'action', 'split', 'start_s', 'end_s')
SPLITS = ('train', 'validation', 'test')
_COMPLETE = ('label', 'action', 'split')  # Given for all videos or for none.
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
  """Annotation of a video, or of a segment of it.

  Attributes:
    path: Path of the video in the folder, with '/' between folders.
    caption: Caption, or None.
    label: Name of the class, or None.
    action_na: Actions at each frame of the whole video, float32, or None.
    split: One of `SPLITS`, or None.
    start_s: Start of the segment in seconds.
    end_s: End of the segment in seconds; None is the end of the video.
  """

  path: str = ''
  caption: str | None = None
  label: str | None = None
  action_na: np.ndarray | None = None
  split: str | None = None
  start_s: float = 0.0
  end_s: float | None = None

  @property
  def is_segment(self) -> bool:
    """Whether the annotation belongs to a part of the video."""
    return self.start_s > 0 or self.end_s is not None


def read(path: str | None, folder: str | pathlib.Path) -> list[Annotation]:
  """Returns the annotations in a table, in the order of its lines; [] for None.

  Videos in the folder that have no line are not used; the log lists some of
  them.

  Args:
    path: Path of the table, relative to `folder` or the working directory.
    folder: Folder of videos. Their names in the table may have another form of
      Unicode: é is one character or two.

  Raises:
    FileNotFoundError: If there is no such table.
    ValueError: If a line is wrong, or its video is not in the folder. The
      message states its number.
  """
  if path is None:
    return []
  folder = pathlib.Path(folder)
  file = find(path, folder)
  names = [
    video.relative_to(folder).as_posix() for video in folders.find(folder)
  ]
  known = {_normal(name): name for name in names}
  known |= {name: name for name in names}  # Both forms may exist.
  rows = table_files.rows(file, COLUMNS)
  columns = {column for _, row in rows for column in row}
  annotations, seen = [], set()
  for line, row in rows:
    missing = [x for x in _COMPLETE if x in columns and x not in row]
    if 'path' not in row:
      raise ValueError(f'{line}: it has no path; give the path of a video.')
    if missing:
      raise ValueError(
        f'{line}: it has no {missing[0]}; give one in each line, or in none.'
      )
    annotation = _annotation(folder, known, line, row)
    key = annotation.path, annotation.start_s, annotation.end_s
    if key in seen:
      raise ValueError(
        f'{line}: {annotation.path!r} has a line already; remove one of them.'
      )
    seen.add(key)
    annotations.append(annotation)
  if not annotations:
    raise ValueError(
      f'{file_paths.printable(file)} contains no video; add a line for each'
      ' video.'
    )
  _log_omissions(file, columns, annotations, names)
  return annotations


def find(path: str, folder: pathlib.Path) -> pathlib.Path:
  """Returns the file of a table.

  Args:
    path: Path of the table, relative to `folder` or the working directory.
    folder: Folder of videos.

  Raises:
    FileNotFoundError: If there is no such file.
  """
  given = file_paths.local(path)
  tried = list(dict.fromkeys([folder / given, given]))
  for file in tried:
    if file.suffix.lower() in table_files.SUFFIXES and file.is_file():
      return file
  raise FileNotFoundError(
    f'{file_paths.printable(path)} is not a table of annotations; it must be an'
    f' existing file whose name ends in one of {list(table_files.SUFFIXES)}.'
    f' Tried: {", ".join(file_paths.printable(x.absolute()) for x in tried)}.'
  )


def action_width(annotations: Sequence[Annotation]) -> int:
  """Returns the number of values of an action; 0 if there are no actions.

  Raises:
    ValueError: If it differs between videos.
  """
  given = [x.action_na for x in annotations if x.action_na is not None]
  widths = {action_na.shape[1] for action_na in given}
  if len(widths) > 1:
    raise ValueError(
      f'config.data.annotations has actions of {sorted(widths)} values; all'
      ' videos must have actions of one width, or none.'
    )
  return widths.pop() if widths else 0


def _annotation(
  folder: pathlib.Path,
  known: Mapping[str, str],
  line: str,
  row: Mapping[str, Any],
) -> Annotation:
  for key in ('path', 'caption', 'split'):
    if not isinstance(row.get(key, ''), str):
      raise ValueError(
        f'{line}: its {key} is {row[key]!r:.80}; it must be text.'
      )
  name = table_files.path_inside(line, row['path'])
  name = known.get(name) or known.get(_normal(name)) or name
  if name not in known and not (folder / name).is_file():
    raise ValueError(
      f'{line}: {name!r} is in the table, but does not exist in'
      f' {file_paths.printable(folder)}.{checks.hint(name, list(known))} Remove'
      ' the line, or correct the path.'
    )
  if 'split' in row:
    checks.one_of(f'{line}: split', row['split'], SPLITS)
  start_s = table_files.seconds(line, row, 'start_s') or 0.0
  end_s = table_files.seconds(line, row, 'end_s')
  if end_s is not None and end_s < start_s:
    raise ValueError(
      f'{line}: end_s is {end_s:g}; it must be at least start_s, {start_s:g}.'
    )
  label = row.get('label')
  return Annotation(
    name,
    row.get('caption'),
    None if label is None else str(label),
    table_files.action(folder, row.get('action'), line),
    row.get('split'),
    start_s,
    end_s,
  )


def _normal(name: str) -> str:
  return unicodedata.normalize('NFC', name)


def _log_omissions(
  file: pathlib.Path,
  columns: set[str],
  annotations: Sequence[Annotation],
  names: Sequence[str],
) -> None:
  """Logs the videos and the captions that the table leaves out."""
  file = file_paths.printable(file)
  used = {annotation.path for annotation in annotations}
  if unused := [name for name in names if name not in used]:
    _log.warning(
      '%s: %d of %d videos in the folder have no line and are not used: %s%s.',
      file,
      len(unused),
      len(names),
      ', '.join(map(file_paths.printable, unused[:3])),
      ', ...' if len(unused) > 3 else '',
    )
  num_empty = sum(not annotation.caption for annotation in annotations)
  if 'caption' in columns and num_empty:
    _log.warning(
      '%s: %d of %d lines have no caption; their captions are empty.',
      file,
      num_empty,
      len(annotations),
    )

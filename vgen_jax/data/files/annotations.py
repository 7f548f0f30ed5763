"""Annotations of videos: a table of captions and actions.

The table is a file of JSON lines or CSV with the columns

  file     path of a video, relative to the folder of videos;
  caption  a text;
  action   a list of numbers for each frame of the video, as JSON in CSV.

`caption` and `action` are optional. The first line of a CSV file contains the
names of the columns.
"""

from collections.abc import Iterator
import dataclasses
import pathlib
from typing import Any

import numpy as np

from vgen_jax.core import file_paths
from vgen_jax.core import json_files

_COLUMNS = {'file', 'caption', 'action'}


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
  """Annotation of a video.

  Attributes:
    caption: Caption of the whole video, or None.
    action_na: Actions at each frame, float32, or None.
  """

  caption: str | None = None
  action_na: np.ndarray | None = None


def read(path: str) -> dict[str, Annotation]:
  """Returns the annotations in a table, by the path of the video.

  Paths have '/' between folders, as in the table.

  Raises:
    FileNotFoundError: If there is no such table.
    ValueError: If a line is wrong. The message states its number.
  """
  file = file_paths.local(path)
  if file.suffix.lower() not in ('.csv', '.jsonl') or not file.is_file():
    raise FileNotFoundError(
      f"config.data.annotations is '{path}'; it must be an existing file whose"
      ' name ends in .csv or .jsonl.'
    )
  annotations: dict[str, Annotation] = {}
  for number, row in _rows(file):
    line = f'{path}, line {number}'
    if not isinstance(row, dict) or 'file' not in row or set(row) - _COLUMNS:
      raise ValueError(
        f"{line}: it has {row!r:.80}; it must have 'file', and may have"
        " 'caption' and 'action'."
      )
    for key in ('file', 'caption'):
      if not isinstance(row.get(key, ''), str | None):
        raise ValueError(
          f'{line}: its {key} is {row[key]!r:.80}; it must be text.'
        )
    if row['file'] in annotations:
      raise ValueError(
        f'{line}: {row["file"]!r} has a line already; remove one of them.'
      )
    annotations[row['file']] = Annotation(
      row.get('caption'), _action(row.get('action'), line)
    )
  return annotations


def action_width(annotations: dict[str, Annotation]) -> int:
  """Returns the number of values of an action; 0 if there are no actions.

  Raises:
    ValueError: If it differs between videos, or only some have actions.
  """
  widths = {
    0 if annotation.action_na is None else annotation.action_na.shape[1]
    for annotation in annotations.values()
  }
  if len(widths) > 1:
    raise ValueError(
      f'config.data.annotations has actions of {sorted(widths)} values; all'
      ' videos must have actions of one width, or none.'
    )
  return widths.pop() if widths else 0


def _rows(file: pathlib.Path) -> Iterator[tuple[int, Any]]:
  """Yields the number and the content of each line."""
  is_csv = file.suffix.lower() == '.csv'
  yield from (
    json_files.csv_rows(file) if is_csv else json_files.json_lines(file)
  )


def _action(value: Any, line: str) -> np.ndarray | None:
  if value is None or value == '':
    return None
  if isinstance(value, str):
    value = json_files.parse(value, f'{line}: its action', None)
  try:
    with np.errstate(over='ignore'):  # Infinity raises an error below.
      action_na = np.array(value, np.float32)
  except (TypeError, ValueError, OverflowError):
    action_na = np.zeros(())
  if action_na.ndim != 2 or not action_na.size:
    raise ValueError(
      f'{line}: its action is not a table of numbers; it must have a list for'
      ' each frame, all of one length.'
    )
  if not np.isfinite(action_na).all():
    raise ValueError(
      f'{line}: its action has infinite values or NaN; all values must be'
      ' finite.'
    )
  return action_na

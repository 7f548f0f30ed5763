"""What is written about videos in a table beside them: captions and actions.

A table is JSON lines or CSV, and its columns are

  file     path of a video, relative to the folder of videos;
  caption  a text;
  action   for each frame of the video a list of numbers, in CSV as JSON.

A column may be left out. A CSV file begins with a line of their names.
"""

from collections.abc import Iterator
import csv
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

_COLUMNS = {'file', 'caption', 'action'}


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
  """What is known of a video.

  Attributes:
    caption: Of the whole video, or None.
    action_na: float32, done at each frame, or None.
  """

  caption: str | None = None
  action_na: np.ndarray | None = None


def read(path: str) -> dict[str, Annotation]:
  """Returns what a table says, {file: note}, with '/' between folders.

  Raises:
    FileNotFoundError: If there is no such table.
    ValueError: If it is not of this form; with the line.
  """
  file = pathlib.Path(path)
  if file.suffix.lower() not in ('.csv', '.jsonl') or not file.is_file():
    raise FileNotFoundError(
      f"config.data.notes is '{path}'; it must be a file that ends in .csv or"
      ' .jsonl.'
    )
  notes: dict[str, Annotation] = {}
  for number, row in _rows(file):
    where = f'{path}, line {number}'
    if not isinstance(row, dict) or 'file' not in row or set(row) - _COLUMNS:
      raise ValueError(
        f"{where}: it has {row!r:.80}; it needs 'file', and besides 'caption'"
        " or 'action' only."
      )
    for key in ('file', 'caption'):
      if not isinstance(row.get(key, ''), str | None):
        raise ValueError(
          f'{where}: its {key} is {row[key]!r:.80}; it must be text.'
        )
    if row['file'] in notes:
      raise ValueError(f'{where}: {row["file"]!r} is there twice; keep one.')
    notes[row['file']] = Annotation(
      row.get('caption'), _action(row.get('action'), where)
    )
  return notes


def width(notes: dict[str, Annotation]) -> int:
  """Returns how many numbers an action is; 0 if there are none.

  Raises:
    ValueError: If videos differ, or some have none.
  """
  widths = {
    0 if note.action_na is None else note.action_na.shape[1]
    for note in notes.values()
  }
  if len(widths) > 1:
    raise ValueError(
      f'config.data.notes has actions of {sorted(widths)} numbers; give all'
      ' videos the same, or none any.'
    )
  return widths.pop() if widths else 0


def _rows(file: pathlib.Path) -> Iterator[tuple[int, Any]]:
  with file.open(newline='', encoding='utf-8-sig') as lines:
    if file.suffix.lower() == '.csv':
      table = csv.DictReader(lines, strict=True)
      for row in table:
        yield table.line_num, row
      return
    for number, line in enumerate(lines, 1):
      if line.strip():
        yield number, _parsed(line, f'{file}, line {number}')


def _action(value: Any, where: str) -> np.ndarray | None:
  if value is None or value == '':
    return None
  if isinstance(value, str):
    value = _parsed(value, where)
  try:
    with np.errstate(over='ignore'):  # To infinity, which is refused below.
      action_na = np.array(value, np.float32)
  except (TypeError, ValueError):
    action_na = np.zeros(())
  if action_na.ndim != 2 or not action_na.size:
    raise ValueError(
      f'{where}: its action is no table of numbers; it needs a list for each'
      ' frame, all as long.'
    )
  if not np.isfinite(action_na).all():
    raise ValueError(
      f'{where}: its action has numbers that are infinite or none at all (NaN);'
      ' give finite ones.'
    )
  return action_na


def _parsed(text: str, where: str) -> Any:
  try:
    return json.loads(text)
  except json.JSONDecodeError as error:
    raise ValueError(f'{where}: it is no JSON: {error}.') from error

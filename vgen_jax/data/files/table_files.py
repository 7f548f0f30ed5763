"""Reading of tables in CSV and JSONL and of their cells.

Errors state the line.
"""

from collections.abc import Iterator, Mapping, Sequence
import csv
import io
import json
import math
import os
import pathlib
import sys
from typing import Any

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import file_paths

SUFFIXES = ('.csv', '.jsonl', '.ndjson')
_ALIASES = {'file': 'path'}  # Other names of columns.


def rows(
  file: pathlib.Path, columns: Sequence[str]
) -> list[tuple[str, dict[str, Any]]]:
  """Returns the rows of a table, without empty fields.

  Args:
    file: Table in CSV or JSONL, in UTF-8, with or without a byte order mark.
    columns: Allowed names of columns.

  Returns:
    For each row, where it is ('table.csv, line 2'), and its fields by columns.

  Raises:
    ValueError: If the table is damaged, or has another column.
  """
  name = file_paths.printable(file)
  try:
    text = file.read_bytes().decode('utf-8-sig')
  except UnicodeDecodeError as error:
    number = error.object.count(b'\n', 0, error.start) + 1
    raise ValueError(
      f'{name}, line {number}: it is not UTF-8; save the table as UTF-8 (in'
      " Excel: 'CSV UTF-8')."
    ) from error
  read = _csv if file.suffix.lower() == '.csv' else _jsonl
  found = []
  for line, row in read(text, name):
    known = {_ALIASES.get(key, key): value for key, value in row.items()}
    for key in known:
      checks.known_key(line, key, columns)
    if len(known) < len(row):
      raise ValueError(f"{line}: it has 'file' and 'path'; give one of them.")
    full = {k: v for k, v in known.items() if v is not None and v != ''}
    found.append((line, full))
  return found


def parsed(text: str, line: str) -> Any:
  """Returns the value of a JSON text.

  Raises:
    ValueError: If it is not valid. The message begins with `line`.
  """
  try:
    return json.loads(text)
  except RecursionError as error:
    raise ValueError(
      f'{line}: its JSON has too many nested levels; an object with texts,'
      ' numbers and lists of actions is needed.'
    ) from error
  except ValueError as error:  # Also a number with too many digits.
    raise ValueError(f'{line}: it is not valid JSON: {error}.') from error


def path_inside(line: str, path: str) -> str:
  """Returns a path in the folder of videos in its shortest form.

  Raises:
    ValueError: If it leads outside of the folder. The message begins with
      `line`.
  """
  name = os.path.normpath(path)
  if '\0' in path or name == '..' or name.startswith(('/', '../')):
    raise ValueError(
      f'{line}: the path {path!r} leads outside of the folder of videos; give'
      ' a path that is relative to the folder, without a leading /.'
    )
  return name


def seconds(line: str, row: Mapping[str, Any], key: str) -> float | None:
  """Returns a number of seconds in a row; None if the row has none.

  Args:
    line: Where the row is, for the message.
    row: Fields of the row.
    key: Name of the column.

  Raises:
    ValueError: If it is not a number, or is negative or infinite.
  """
  if (value := row.get(key)) is None:
    return None
  try:
    found = float(value)
  except (TypeError, ValueError):
    found = math.nan
  if not 0 <= found < math.inf:
    raise ValueError(
      f'{line}: {key} is {value!r:.80}; it must be a number of seconds, 0 or'
      ' more.'
    )
  return found


def action(folder: pathlib.Path, value: Any, line: str) -> np.ndarray | None:
  """Returns the actions of a video, float32 `[n, a]`; None for no value.

  Args:
    folder: Folder of videos.
    value: Lists of numbers, the same as a JSON text, or the path of a .npy file
      in the folder.
    line: Where the value is, for the message.

  Raises:
    ValueError: If it is not a table of finite numbers, or cannot be read.
  """
  if value is None:
    return None
  if isinstance(value, str) and not value.lstrip().startswith('['):
    value = _array(folder / path_inside(line, value), line)
  elif isinstance(value, str):
    value = parsed(value, line)
  try:
    with np.errstate(over='ignore'):  # Infinity raises an error below.
      action_na = np.array(value, np.float32)
  except (TypeError, ValueError):
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


def _csv(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
  # A field with the actions of a long video is longer than the default limit.
  csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
  table = csv.reader(io.StringIO(text, newline=''), strict=True)
  header: list[str] | None = None
  try:
    for fields in table:
      line = f'{name}, line {table.line_num}'
      if not fields:
        continue
      if header is None:
        header = [field.strip() for field in fields]
        if len(set(header)) < len(header):
          raise ValueError(
            f'{line}: two columns have the same name: {header}; rename one.'
          )
        continue
      if len(fields) != len(header):
        raise ValueError(
          f'{line}: it has {len(fields)} fields, more or fewer than there are'
          f' columns ({", ".join(header)}); enclose text with a comma in'
          ' quotes.'
        )
      yield line, dict(zip(header, fields, strict=True))
  except csv.Error as error:
    raise ValueError(
      f'{name}, line {table.line_num}: it is not valid CSV: {error}.'
    ) from error


def _jsonl(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
  for number, content in enumerate(text.split('\n'), 1):
    line = f'{name}, line {number}'
    if not content.strip():
      continue
    row = parsed(content, line)
    if not isinstance(row, dict):
      raise ValueError(
        f'{line}: it is a {type(row).__name__}; it must be an object with the'
        " key 'path'."
      )
    yield line, row


def _array(file: pathlib.Path, line: str) -> np.ndarray:
  try:
    if not file.is_file():
      raise ValueError('it is not a file')
    return np.load(file, mmap_mode='r', allow_pickle=False)
  except (ValueError, OSError, EOFError) as error:
    raise ValueError(
      f'{line}: its action is {file_paths.printable(file)}, which cannot be'
      f' read ({error}); give lists of numbers, or the path of a .npy file.'
    ) from error

"""Reading of tables in CSV and JSONL, with errors that state the line."""

from collections.abc import Iterator, Sequence
import csv
import io
import json
import pathlib
import sys
from typing import Any

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

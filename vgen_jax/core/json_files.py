"""Reading of JSON and CSV from files that may be damaged or written by others.

All files of this project in these formats are read here. Whatever is wrong with
a file becomes one `BadFileError` that names the file: bytes that are not UTF-8,
a syntax error, nesting that exceeds Python's limit, integers that are too long
to convert, or a value of another kind than the reader needs.
"""

from collections.abc import Iterator, Mapping
import csv
import io
import json
import math
import os
import re
from typing import Any, TYPE_CHECKING

from vgen_jax.core import file_paths

if TYPE_CHECKING:
  from etils import epath

_MAX_DEPTH = 100  # Largest depth of nested lists and objects, for recursion.
_KINDS = {dict: 'an object', list: 'a list', str: 'text', int: 'an integer'}


class BadFileError(ValueError):
  """A file is damaged or has the wrong content; the message names the file."""


def read(path: 'str | os.PathLike', kind: type | None = dict) -> Any:
  """Returns the content of a JSON file.

  Args:
    path: Local or remote file.
    kind: Python type that the outermost value must have; None allows all.

  Raises:
    FileNotFoundError: If there is no such file.
    BadFileError: If the file is not UTF-8 or not JSON, or the outermost value
      is of another kind.
  """
  return parse(_path(path).read_bytes(), str(path), kind)


def parse(content: str | bytes, name: str, kind: type | None = dict) -> Any:
  """Returns the value that a JSON text encodes.

  Args:
    content: Text, or its bytes in UTF-8.
    name: Description of the text for the message, such as its file.
    kind: Python type that the outermost value must have; None allows all.

  Raises:
    BadFileError: If the text is not JSON, or the value is of another kind.
  """
  text = decoded(content, name)
  try:
    value = json.loads(text)
    if '\\u' in text:  # Half of a surrogate pair cannot be encoded again.
      json.dumps(value, ensure_ascii=False).encode()
  except RecursionError as error:
    raise BadFileError(
      f'{name} is not valid JSON: it is nested too deeply.'
    ) from error
  except ValueError as error:
    reason = str(error).partition('; use sys.')[0]
    raise BadFileError(f'{name} is not valid JSON: {reason}.') from error
  if _is_deep(value):
    raise BadFileError(
      f'{name} is nested too deeply; at most {_MAX_DEPTH} levels are allowed.'
    )
  return of_kind(value, kind, name)


def of_kind(value: Any, kind: type | None, name: str) -> Any:
  """Returns a value after a check of its kind.

  Args:
    value: Value of a JSON text.
    kind: Needed Python type; None allows all. A bool is not an int.
    name: Name of the value, for the message.

  Raises:
    BadFileError: If the value is of another kind.
  """
  fits = kind is None or isinstance(value, kind)
  if not fits or (kind is int and isinstance(value, bool)):
    raise BadFileError(
      f'{name} has {value!r:.80}; it must be {_KINDS.get(kind, kind.__name__)}.'
    )
  return value


def entry(content: Mapping[str, Any], key: str, kind: type, name: str) -> Any:
  """Returns an entry of an object in JSON, of the needed kind.

  Args:
    content: Object.
    key: Key of the entry.
    kind: Python type that the entry must have.
    name: Name of the file, for the message.

  Raises:
    BadFileError: If there is no such entry, or it is of another kind.
  """
  if key not in content:
    raise BadFileError(f'{name} has no entry {key!r}.')
  return of_kind(content[key], kind, f'{name}, entry {key!r},')


def plain(value: Any) -> Any:
  """Returns plain JSON values; None for numbers that are not finite."""
  if isinstance(value, Mapping):
    return {str(key): plain(part) for key, part in value.items()}
  if hasattr(value, 'tolist'):  # Arrays and scalars of NumPy and JAX.
    value = value.tolist()
  if isinstance(value, list | tuple):
    return [plain(part) for part in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def json_lines(path: 'str | os.PathLike') -> Iterator[tuple[int, Any]]:
  """Yields number and value of each line of a file of JSON lines.

  Lines are numbered from 1; empty ones are left out. Values may be of any kind.

  Raises:
    FileNotFoundError: If there is no such file.
    BadFileError: If the file is not UTF-8, or a line is not JSON. The message
      states its number.
  """
  text = decoded(_path(path).read_bytes(), str(path))
  for number, line in enumerate(text.split('\n'), start=1):
    if line.strip():
      yield number, parse(line, f'{path}, line {number},', None)


def csv_rows(
  path: 'str | os.PathLike',
) -> Iterator[tuple[int, dict[str, str | None]]]:
  """Yields number and fields of each row of a CSV file.

  The first row has the names of the columns. A field is None if its row is too
  short. Rows are numbered by their last line, as editors number lines.

  Raises:
    FileNotFoundError: If there is no such file.
    BadFileError: If the file is not UTF-8 or not CSV, two columns have the same
      name, or a row has more fields than there are columns.
  """
  text = decoded(_path(path).read_bytes(), str(path))
  table = csv.DictReader(io.StringIO(text, newline=''), strict=True)
  try:
    columns = list(table.fieldnames or [])
    if len(set(columns)) < len(columns):
      twice = next(x for x in columns if columns.count(x) > 1)
      raise BadFileError(
        f'{path} has two columns {twice!r:.80}; keep one of them.'
      )
    for row in table:
      if None in row:
        raise BadFileError(
          f'{path}, line {table.line_num}, has more fields than there are'
          ' columns; enclose text with a comma in quotes.'
        )
      yield table.line_num, row
  except csv.Error as error:
    raise BadFileError(
      f'{path}, line {table.line_num} or later, is not valid CSV: {error}.'
    ) from error


def decoded(content: str | bytes, name: str) -> str:
  """Returns the text of bytes in UTF-8, without a byte order mark.

  Args:
    content: Bytes, or a text, which is returned without the mark.
    name: Name of the file, for the message.

  Raises:
    BadFileError: If the bytes are not UTF-8. The message states the line.
  """
  if isinstance(content, bytes):
    try:
      content = content.decode('utf-8')
    except UnicodeDecodeError as error:
      line = content.count(b'\n', 0, error.start) + 1
      raise BadFileError(
        f'{name} is not UTF-8: it has the byte 0x{content[error.start]:02x} in'
        f' line {line}. Save it as UTF-8.'
      ) from error
  return re.sub('^\ufeff', '', content)


def _is_deep(value: Any) -> bool:
  """Returns whether a value has more levels than `_MAX_DEPTH`."""
  level = [value]
  for _ in range(_MAX_DEPTH):
    level = [
      child
      for node in level
      if isinstance(node, dict | list)
      for child in (node.values() if isinstance(node, dict) else node)
      if isinstance(child, dict | list)
    ]
    if not level:
      return False
  return True


def _path(path: 'str | os.PathLike') -> 'epath.Path':
  return file_paths.read(path)

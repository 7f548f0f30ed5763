"""JSON files with a digest of their content, so that damage is noticed.

The outermost value of such a file is an object, and its entry 'digest' is the
digest of all other entries. Formatting and the order of keys do not matter. A
digest reveals damage by a disk or a copy, and accidental edits. It does not
protect against a person who has write access to the file.

A person who edits a file on purpose deletes its line with the digest. The file
is then read as it is, with a warning, as are files of versions that wrote none.
"""

from collections.abc import Mapping
import functools
import json
import logging
import os
from typing import Any

from vgen_jax.core import digests
from vgen_jax.core import json_files

KEY = 'digest'

_log = logging.getLogger(__name__)


def to_text(content: Mapping[str, Any]) -> str:
  """Returns the text of a file with a digest.

  Args:
    content: Values that JSON can hold. No key is 'digest'.

  Raises:
    ValueError: If there is a key 'digest'.
  """
  if KEY in content:
    raise ValueError(
      f'The content has a key {KEY!r}, which is reserved; rename it.'
    )
  content = plain(content)
  return json.dumps({KEY: _digest(content), **content}, indent=2) + '\n'


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the content as it will be read: with lists in place of tuples."""
  return json.loads(json.dumps(content))


def read(path: 'str | os.PathLike', repair: str) -> dict[str, Any]:
  """Returns the content of a file, without its digest.

  A file without a digest is accepted. A warning, one for each file in a
  process, says that it could not be checked.

  Args:
    path: Local or remote file.
    repair: What to do about a damaged file, such as 'copy the file again'.

  Raises:
    FileNotFoundError: If there is no such file.
    BadFileError: If the file is not a JSON object, or has another digest.
  """
  repair = f'To repair the file, {repair}.'
  try:
    content = json_files.read(path)
  except json_files.BadFileError as error:
    raise json_files.BadFileError(f'{error} {repair}') from error
  digest = content.pop(KEY, None)
  if digest is None:
    _warn(str(path))
  elif digest != _digest(content):
    raise json_files.BadFileError(
      f'{path}: its content does not match its digest, so the file was damaged'
      f' or edited. If you edited it on purpose, delete its line "{KEY}"; the'
      f' file is then used as it is. {repair}'
    )
  return content


@functools.cache
def _warn(path: str) -> None:
  _log.warning(
    '%s has no digest, because an earlier version wrote it or the digest was'
    ' removed; it was read without a check for damage.',
    path,
  )


def _digest(content: Mapping[str, Any]) -> str:
  return digests.text(json.dumps(content, sort_keys=True))

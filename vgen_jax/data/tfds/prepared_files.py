"""The file `prepared.json` of a dataset that `vgen data prepare` has written.

The file states what was requested, so that a repeated command knows whether the
dataset is complete. It has the sizes of all files, and the digests of those
that describe the examples (names of classes, features, numbers of examples).
Records have checksums of their own. Datasets that TFDS has written have no such
file, and nothing is checked.
"""

from collections.abc import Mapping
import hashlib
import logging
import pathlib
from typing import Any

from etils import epath

from vgen_jax.core import atomic_files
from vgen_jax.core import digests
from vgen_jax.core import file_paths
from vgen_jax.core import json_files
from vgen_jax.core.checked import checked_json

FILE = 'prepared.json'

_log = logging.getLogger(__name__)
_DESCRIBING = ('.json', '.txt')  # Suffixes of the files that have digests.
_REPAIR = 'remove the folder of the dataset, and prepare it again'


def write(folder: pathlib.Path, asked: Mapping[str, Any], skipped: int) -> None:
  """Writes the file; the dataset must be complete.

  Args:
    folder: Folder of a version of the dataset.
    asked: Everything that the dataset depends on, as plain JSON values.
    skipped: Number of videos that were left out.
  """
  content = {'asked': asked, 'skipped': skipped, 'files': _files(folder)}
  atomic_files.write_text(folder / FILE, checked_json.to_text(content))


def check(folder: epath.PathLike) -> None:
  """Raises BadFileError if a file that describes the examples has changed.

  Args:
    folder: Folder of a version of a dataset. Nothing is checked if it has no
      file `prepared.json`.
  """
  folder = file_paths.read(folder)
  if not (folder / FILE).exists():
    return
  for name, wanted in _read(folder)['files'].items():
    file = folder / name
    if pathlib.PurePath(name).suffix not in _DESCRIBING:
      continue
    found = _digest(file) if file.exists() else None
    if found != wanted['digest']:
      raise json_files.BadFileError(
        f'{file} was damaged, edited or removed since the dataset was prepared:'
        f' its digest was {wanted["digest"]}, and is {found} now. If you edited'
        f' it on purpose, remove {folder / FILE}. To repair the file,'
        f' {_REPAIR}.'
      )


def check_all(folder: epath.PathLike) -> None:
  """Calls `check` for all versions of all configs of a dataset."""
  for pattern in (f'*/{FILE}', f'*/*/{FILE}'):
    for file in file_paths.read(folder).glob(pattern):
      check(file.parent)


def skipped_before(folder: pathlib.Path, asked: Mapping[str, Any]) -> int:
  """Returns the number of videos that a complete dataset has left out.

  Args:
    folder: Folder of a version of a dataset, which exists.
    asked: What the dataset would be written from now, as in `write`.

  Raises:
    FileExistsError: If the dataset is not complete and undamaged, or was
      written from something else.
  """
  advice = 'remove it, or choose another --out.'
  if not (folder / FILE).exists():
    raise FileExistsError(
      f'{folder} exists already, and has no {FILE} that states what it was'
      f' written from; {advice}'
    )
  content = _read(folder)
  there = content['asked']
  here = checked_json.plain(asked)
  keys = sorted({*there, *here})
  if changed := [key for key in keys if there.get(key) != here.get(key)]:
    raise FileExistsError(
      f'{folder} exists already, and was written with other {changed}; {advice}'
    )
  found = _files(folder)
  wrong = [k for k, x in content['files'].items() if found.get(k) != x]
  if wrong:
    raise FileExistsError(
      f'{folder} exists already, and is damaged or incomplete: {wrong[0]} is'
      f' not as it was written; {advice}'
    )
  _log.info(
    '%s is complete: it was written from the same input with the same flags, so'
    ' nothing is written.',
    folder,
  )
  return content['skipped']


def stat(path: pathlib.Path) -> tuple[str, int, int]:
  """Returns name, size and modification time of a file; -1 if it is missing."""
  try:
    found = path.stat()
  except OSError:
    return path.name, -1, -1
  return path.name, found.st_size, found.st_mtime_ns


def code() -> str:
  """Returns a digest of the code that writes datasets."""
  return digests.code('core', 'data', 'synthetic')


def _read(folder: epath.Path | pathlib.Path) -> dict[str, Any]:
  """Returns the content of the file."""
  name, content = str(folder / FILE), checked_json.read(folder / FILE, _REPAIR)
  json_files.entry(content, 'asked', dict, name)
  json_files.entry(content, 'skipped', int, name)
  files = json_files.entry(content, 'files', dict, name)
  for file, entry in files.items():
    json_files.of_kind(entry, dict, f'{name}, file {file!r},')
    json_files.entry(entry, 'digest', str, f'{name}, file {file!r},')
  return content


def _files(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Returns the size of each file; also its digest if it describes examples."""
  return {
    path.name: {
      'size': path.stat().st_size,
      'digest': _digest(path) if path.suffix in _DESCRIBING else '',
    }
    for path in sorted(folder.iterdir())
    if path.is_file() and path.name != FILE
  }


def _digest(file: epath.Path | pathlib.Path) -> str:
  return hashlib.sha256(file.read_bytes()).hexdigest()[:16]

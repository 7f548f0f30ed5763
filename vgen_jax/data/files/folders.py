"""Folders of videos: their files and classes."""

import collections
from collections.abc import Sequence
import dataclasses
import logging
import os
import pathlib

from vgen_jax.core import file_paths

_log = logging.getLogger(__name__)

EXTENSIONS = (
  *('.avi', '.gif', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg'),
  '.webm',
)
_MAX_NAMED = 3  # Number of examples in a message.
_said: set[str] = set()  # Messages that are not repeated.


@dataclasses.dataclass(frozen=True)
class Listing:
  """Contents of a folder and its sub-folders, linked folders included.

  Attributes:
    files: All files, sorted by path; also links to missing files, and pipes.
    folders: All sub-folders, sorted by path.
    hidden: Files and folders whose names begin with a dot; they are skipped.
    unreadable: Folders that cannot be read.
    repeated: Folders that were skipped because they were listed already, such
      as links to a folder above.
  """

  files: list[pathlib.Path]
  folders: list[pathlib.Path]
  hidden: list[pathlib.Path]
  unreadable: list[pathlib.Path]
  repeated: list[pathlib.Path]


def walk(folder: pathlib.Path) -> Listing:
  """Returns the contents of a folder.

  Links to folders are followed. Below each sub-folder of `folder`, which may be
  a class, a folder is listed once, whatever links lead to it. So the listing
  ends despite circular links, and two classes may still contain the same
  videos.
  """
  found = Listing([], [], [], [], [])
  root = _identity(folder)
  waiting = [(folder, {root})]
  while waiting:
    parent, seen = waiting.pop()
    try:
      with os.scandir(parent) as entries:
        entries = sorted(entries, key=lambda entry: entry.name)
    except OSError:
      found.unreadable.append(parent)
      continue
    for entry in entries:
      path = parent / entry.name
      if entry.name.startswith('.'):
        found.hidden.append(path)
      elif not _is_folder(entry):
        found.files.append(path)
      else:
        below = {root} if parent == folder else seen
        identity = _identity(path)
        if identity in below:
          found.repeated.append(path)
          continue
        below.add(identity)
        found.folders.append(path)
        waiting.append((path, below))
  for field in dataclasses.fields(found):
    getattr(found, field.name).sort()
  return found


def find(
  folder: pathlib.Path, name: str = 'config.data.folder'
) -> list[pathlib.Path]:
  """Returns all videos in a folder and its sub-folders, sorted by path.

  Links to folders are followed. Hidden files and folders, whose names begin
  with a dot, are skipped. The first call logs what is not read.

  Args:
    folder: Local folder.
    name: Name of the field or flag with the folder, for messages.

  Raises:
    FileNotFoundError: If the folder does not exist, or contains no video.
  """
  if not folder.is_dir():
    raise FileNotFoundError(
      f"{name} is '{folder}'; there is no such folder. Give the path of a"
      ' folder of videos.'
    )
  found = walk(folder)
  is_video = lambda path: path.suffix.lower() in EXTENSIONS
  paths = [path for path in found.files if is_video(path)]
  others = [path for path in found.files if not is_video(path)]
  passed = _passed(folder, others, found)
  if not paths:
    raise FileNotFoundError(
      f"{name} is '{folder}'; it contains no video: no file in it or in its"
      f' sub-folders ends in one of {list(EXTENSIONS)}.'
      + (f' It contains {passed}.' if passed else '')
    )
  if passed:
    _say_once(f'{folder}: {len(paths)} videos are read. Not read: {passed}.')
  return paths


def original_names(
  paths: Sequence[pathlib.Path], folder: pathlib.Path
) -> list[str]:
  """Returns a name in `folder` for each path, the same for links to one file.

  Splits are based on these names, so that no file is in two splits.
  """
  names = [path.relative_to(folder).as_posix() for path in paths]
  first: dict[tuple[int, int] | str, str] = {}
  keys = [_identity(path) for path in paths]
  for key, name in sorted(zip(keys, names, strict=True), key=lambda x: x[1]):
    first.setdefault(key, name)
  return [first[key] for key in keys]


def class_names(names: Sequence[pathlib.Path]) -> tuple[str, ...]:
  """Returns the sorted first folders of all paths, if they are classes.

  The folders are classes if there are two or more, and each file is in one of
  them.
  """
  folders = {name.parts[0] for name in names if len(name.parts) > 1}
  are_classes = len(folders) > 1 and all(len(name.parts) > 1 for name in names)
  return tuple(sorted(folders)) if are_classes else ()


def _passed(
  folder: pathlib.Path, others: Sequence[pathlib.Path], found: Listing
) -> str:
  """Returns numbers and examples of paths that are not read; '' if none."""
  kinds = collections.Counter(
    path.suffix.lower() or '(none)' for path in others
  )
  endings = ', '.join(f'{kind} {n}' for kind, n in kinds.most_common(5))
  parts = [
    (others, f'files with other endings ({endings})'),
    (found.hidden, 'hidden files or folders'),
    (found.unreadable, 'folders that cannot be opened'),
    (found.repeated, 'links to folders that are listed already'),
  ]
  texts = []
  for paths, what in parts:
    names = [str(path.relative_to(folder)) for path in paths[:_MAX_NAMED]]
    more = ', ...' if len(paths) > _MAX_NAMED else ''
    if paths:
      texts.append(f'{len(paths)} {what}: {", ".join(names)}{more}')
  return file_paths.printable('; '.join(texts))


def _say_once(message: str) -> None:
  if message not in _said:
    _said.add(message)
    _log.warning('%s', file_paths.printable(message))


def _is_folder(entry: os.DirEntry) -> bool:
  try:
    return entry.is_dir()
  except OSError:  # Such as a link that leads to itself.
    return False


def _identity(path: pathlib.Path) -> tuple[int, int] | str:
  """Returns a value that is the same for all links to a file, soft or hard."""
  try:
    stat = path.stat()
  except OSError:  # A broken link, which raises an error when it is read.
    return str(path)
  return stat.st_dev, stat.st_ino

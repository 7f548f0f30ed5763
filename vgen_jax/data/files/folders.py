"""Folders of videos: their files and classes."""

from collections.abc import Sequence
import pathlib

EXTENSIONS = ('.avi', '.gif', '.mkv', '.mov', '.mp4', '.webm')


def find(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns all videos in a folder and its sub-folders, sorted by path.

  Hidden files and folders, whose names begin with a dot, are skipped.

  Raises:
    FileNotFoundError: If the folder does not exist, or contains no video.
  """
  if not folder.is_dir():
    raise FileNotFoundError(
      f"config.data.folder is '{folder}'; there is no such folder. Give the"
      ' path of a folder of videos.'
    )
  paths = sorted(
    path
    for path in folder.rglob('*')
    if path.suffix.lower() in EXTENSIONS
    and not any(x.startswith('.') for x in path.relative_to(folder).parts)
    and not path.is_dir()  # The name of a folder may end in .mp4, too.
  )
  if not paths:
    raise FileNotFoundError(
      f"config.data.folder is '{folder}'; it contains no video: no file in it"
      f' or in its sub-folders ends in one of {list(EXTENSIONS)}.'
    )
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

  They are classes if there are two or more, and no file is outside of them.
  """
  folders = {name.parts[0] for name in names if len(name.parts) > 1}
  are_classes = len(folders) > 1 and all(len(name.parts) > 1 for name in names)
  return tuple(sorted(folders)) if are_classes else ()


def _identity(path: pathlib.Path) -> tuple[int, int] | str:
  """Returns a value that is the same for all links to a file, soft or hard."""
  try:
    stat = path.stat()
  except OSError:  # A broken link, which raises an error when it is read.
    return str(path)
  return stat.st_dev, stat.st_ino

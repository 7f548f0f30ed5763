"""Which videos a folder holds, where their frames are, and their classes."""

from collections.abc import Sequence
import functools
import pathlib

from vgen_jax.core import faults
from vgen_jax.data.files import codecs

EXTENSIONS = ('.avi', '.gif', '.mkv', '.mov', '.mp4', '.webm')


def find(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns all videos in a folder and its sub-folders, by name.

  What is hidden is passed by: names that begin with a dot, and all in folders
  of such names.

  Raises:
    FileNotFoundError: If there is no folder, or no video.
  """
  if not folder.is_dir():
    raise FileNotFoundError(
      f"config.data.folder is '{folder}'; there is no such folder. Give the"
      ' path of one with videos.'
    )
  paths = sorted(
    path
    for path in folder.rglob('*')
    if path.suffix.lower() in EXTENSIONS
    and not any(x.startswith('.') for x in path.relative_to(folder).parts)
    and not path.is_dir()  # A folder may be called 'walks.mp4' as well.
  )
  if not paths:
    raise FileNotFoundError(
      f"config.data.folder is '{folder}'; it holds no video: no file, in it or"
      f' in its sub-folders, ends in one of {list(EXTENSIONS)}.'
    )
  return paths


def originals(paths: Sequence[pathlib.Path], folder: pathlib.Path) -> list[str]:
  """Returns a name in `folder` for each path: of links to one file the first.

  These are what a split goes by, so that no file is in two of them.
  """
  names = [path.relative_to(folder).as_posix() for path in paths]
  first: dict[tuple[int, int] | str, str] = {}
  keys = [_file_of(path) for path in paths]
  for key, name in sorted(zip(keys, names, strict=True), key=lambda x: x[1]):
    first.setdefault(key, name)
  return [first[key] for key in keys]


def classes(names: Sequence[pathlib.Path]) -> tuple[str, ...]:
  """Returns the first folders of all paths, if they tell anything."""
  folders = {name.parts[0] for name in names if len(name.parts) > 1}
  is_sorted = len(folders) > 1 and all(len(name.parts) > 1 for name in names)
  return tuple(sorted(folders)) if is_sorted else ()


def scan(path: pathlib.Path, max_pixels: int) -> codecs.Index:
  """Scans a video once, however many splits ask for it.

  Raises:
    ClipError: If it cannot be read.
  """
  try:
    stat = path.stat()
  except OSError as error:  # A link to nowhere, say.
    raise faults.ClipError(str(path), f'{error.strerror}.') from error
  return _scan_once(str(path), max_pixels, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=100_000)
def _scan_once(
  path: str, max_pixels: int, mtime_ns: int, size: int
) -> codecs.Index:
  del mtime_ns, size  # A file that changed is another one.
  return codecs.scan(path, max_pixels)


def _file_of(path: pathlib.Path) -> tuple[int, int] | str:
  """Returns what is the same for all links to a file, soft or hard."""
  try:
    stat = path.stat()
  except OSError:  # A link to nowhere; to be named when it is read.
    return str(path)
  return stat.st_dev, stat.st_ino

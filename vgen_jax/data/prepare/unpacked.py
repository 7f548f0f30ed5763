"""Files and folders of a dataset that was unpacked by hand."""

import pathlib

from vgen_jax.core import json_files
from vgen_jax.data.files import folders
from vgen_jax.data.prepare import image_sequences


def folder(root: pathlib.Path, name: str, content: str) -> pathlib.Path:
  """Returns the folder with a name in another folder, or that folder itself.

  Args:
    root: Folder to search, with all sub-folders; it is returned if it has the
      name.
    name: Name of the folder.
    content: Description of its content, for the error.

  Raises:
    FileNotFoundError: If there is no such folder.
  """
  if root.name == name and root.is_dir():
    return root
  found = [path for path in folders.walk(root).folders if path.name == name]
  if not found:
    raise FileNotFoundError(
      f'{root} has no folder {name!r} with {content}; unpack it there.'
    )
  return found[0]


def lines(path: pathlib.Path) -> list[str]:
  """Returns the lines of a text file that are not empty.

  Raises:
    FileNotFoundError: If there is no such file.
  """
  if not path.is_file():
    raise FileNotFoundError(
      f'{path} does not exist; unpack the official splits there.'
    )
  text = json_files.decoded(path.read_bytes(), str(path))
  return [line for line in text.splitlines() if line.strip()]


def videos(root: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns all videos in a folder, by their names without suffix.

  Raises:
    FileNotFoundError: If the folder does not exist.
    ValueError: If two files have the same name, which is ambiguous.
  """
  if not root.is_dir():
    raise FileNotFoundError(
      f'{root} is not a folder; give the path of a folder of videos.'
    )
  found: dict[str, pathlib.Path] = {}
  for path in folders.walk(root).files:
    if path.suffix.lower() not in folders.EXTENSIONS or not path.is_file():
      continue
    other = found.setdefault(path.stem, path)
    if other != path and not other.samefile(path):
      raise ValueError(
        f'{other} and {path} have the same name {path.stem!r}; keep one of'
        ' them.'
      )
  return found


def image_folders(root: pathlib.Path) -> list[pathlib.Path]:
  """Returns all folders in a folder that contain images, sorted by path."""
  found = folders.walk(root).folders
  return [path for path in found if image_sequences.image_paths(path)]

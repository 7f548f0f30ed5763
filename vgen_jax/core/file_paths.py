"""Paths that users give: on the command line, in configs and to functions.

All of them are read here, so that `~` stands for the home directory everywhere.
A shell expands `~` only at the start of a word, not in `--workdir=~/runs`.
Paths may be local or remote (gs://...).
"""

import argparse
import logging
import os
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from etils import epath


def expanded(path: str | os.PathLike) -> str:
  """Returns a path as text, with the home directory in place of `~`.

  Args:
    path: Text of a local path. Remote paths, with '://', and objects such as
      `pathlib.Path`, which are made by this module, are not changed.

  Raises:
    ValueError: If the path is `~name` or starts with `~name/`, and there is no
      user of this name.
  """
  text = os.fspath(path)
  if path is not text or '://' in text or not text.startswith('~'):
    return text
  full = os.path.expanduser(text)
  if full.startswith('~'):
    user = text[1:].partition('/')[0]
    raise ValueError(
      f'{text}: there is no user {user!r}, whose home directory this would be.'
      f' Write ./{text} if the name itself starts with ~.'
    )
  return full


def local(path: str | os.PathLike) -> pathlib.Path:
  """Returns a local path, with the home directory in place of `~`."""
  return pathlib.Path(expanded(path))


def read(path: str | os.PathLike) -> 'epath.Path':
  """Returns a local or remote path, with the home directory in place of `~`."""
  from etils import epath  # Slow to import, and not needed for help texts.

  return epath.Path(expanded(path))


def named(folder: 'epath.Path', name: str, suffix: str) -> 'epath.Path':
  """Returns a file in a folder, given its name from a file that is not trusted.

  Args:
    folder: Folder of the file.
    name: Name of the file, without folders.
    suffix: Ending that the name must have.

  Raises:
    ValueError: If it has another ending, is not in the folder, or is a link to
      a file outside of the folder.
  """
  file = folder / name
  if file.parent != folder or not name.endswith(suffix):
    raise ValueError(
      f'{folder} names the file {name!r:.80}; it must be the name of a file'
      f' {suffix} in this folder.'
    )
  if '://' not in str(file) and os.path.realpath(file) != os.path.join(
    os.path.realpath(folder), name
  ):
    raise ValueError(
      f'{file} is a link to another file; copy the file in its place.'
    )
  return file


def is_file(path: 'epath.Path') -> bool:
  """Returns whether a path is a regular file, neither a pipe nor a device.

  Reading a pipe or a device may never end. `epath.Path.is_file` is also true
  for these.
  """
  return path.is_file() and ('://' in str(path) or os.path.isfile(path))


def argument(text: str) -> str:
  """Returns the path of a flag, for `argparse`, as `expanded` does.

  Raises:
    argparse.ArgumentTypeError: If `expanded` raises ValueError.
  """
  try:
    return expanded(text)
  except ValueError as error:
    raise argparse.ArgumentTypeError(str(error)) from error


def printable(text: object, keeps: str = '') -> str:
  """Returns text without characters that change how other text is displayed.

  Control characters, line ends, invisible characters, marks of the direction of
  writing and bytes that are not UTF-8 are replaced by an escape, such as
  '\\x1b'. Letters of all scripts, spaces and symbols are unchanged.

  Args:
    text: Text, path or another object; its `str` is used.
    keeps: Characters that are not replaced, such as '\\n'.
  """
  if isinstance(text, bytes):
    text = os.fsdecode(text)
  return ''.join(
    c if c.isprintable() or c in keeps else ascii(c)[1:-1] for c in str(text)
  )


class Formatter(logging.Formatter):
  """Formats log messages, without characters that change the display."""

  def format(self, record: logging.LogRecord) -> str:
    return printable(super().format(record), keeps='\n\t')

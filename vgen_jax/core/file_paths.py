"""Paths that users give: on the command line, in configs and to functions.

All of them are read here, so that `~` stands for the home directory everywhere.
A shell expands `~` only at the start of a word, not in `--workdir=~/runs`.
Paths may be local or remote (gs://...).
"""

import argparse
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
  from etils import epath  # Slow to import, and help texts do without it.

  return epath.Path(expanded(path))


def argument(text: str) -> str:
  """Returns the path of a flag, for `argparse`, as `expanded` does."""
  try:
    return expanded(text)
  except ValueError as error:
    raise argparse.ArgumentTypeError(str(error)) from error

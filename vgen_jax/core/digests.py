"""Digests of strings, names and arrays: short values that identify a content.

All are based on SHA-256. They are stored in files, so they must never change.
"""

import functools
import hashlib
import os
import pathlib
from typing import Any

import jax
import numpy as np


def text(content: str, num_digits: int = 16) -> str:
  """Returns the first hexadecimal digits of the SHA-256 of a text."""
  return hashlib.sha256(content.encode()).hexdigest()[:num_digits]


def file(path: os.PathLike) -> str:
  """Returns 16 hexadecimal digits that identify the content of a file."""
  with open(path, 'rb') as opened:
    return hashlib.file_digest(opened, 'sha256').hexdigest()[:16]


def tree(arrays: Any) -> str:
  """Returns 16 hexadecimal digits that identify a tree of arrays.

  Args:
    arrays: Tree of arrays, such as a batch or the variables of a network. The
      digest depends on the path, dtype, shape and values of each leaf, and not
      on the order of the keys of a dict.
  """
  sha = hashlib.sha256()
  for path, array in jax.tree_util.tree_leaves_with_path(arrays):
    name, array = jax.tree_util.keystr(path), np.asarray(array)
    sha.update(f'{name} {array.dtype.str} {array.shape}'.encode())
    sha.update(np.ascontiguousarray(array).view(np.uint8).data)
  return sha.hexdigest()[:16]


@functools.cache
def code(*folders: str) -> str:
  """Returns 16 hexadecimal digits that identify source code of vgen_jax.

  Results that are stored and used again depend on the code that computed them,
  so this digest is a part of their identity.

  Args:
    *folders: Folders in `vgen_jax` whose Python files count, such as 'data';
      the whole package if there are none.
  """
  root = pathlib.Path(__file__).parents[1]
  sha = hashlib.sha256()
  for folder in sorted(folders) or ['.']:
    for file in sorted((root / folder).rglob('*.py')):
      content = file.read_bytes()
      name = file.relative_to(root).as_posix()
      sha.update(f'{name} {len(content)}\n'.encode() + content)
  return sha.hexdigest()[:16]


def fraction(name: str) -> float:
  """Returns a number in [0, 1) for a name, the same on every machine."""
  # Names of files are bytes, and need not be UTF-8.
  digest = hashlib.sha256(os.fsencode(name)).digest()
  return int.from_bytes(digest[:8]) / 2**64

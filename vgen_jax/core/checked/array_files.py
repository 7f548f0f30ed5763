"""Reading of .npz files that may be damaged or written by others."""

import io
import os
import zipfile

import numpy as np

from vgen_jax.core import file_paths
from vgen_jax.core import json_files


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the arrays of a .npz file, {name: array}, after all checks.

  NumPy alone does not always read an array to its end, where the checksum is.

  Args:
    path: Local or remote file.

  Raises:
    FileNotFoundError: If there is no such file.
    BadFileError: If the file is damaged, or has objects of Python.
  """
  content = file_paths.read(path).read_bytes()
  try:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
      if name := archive.testzip():
        raise zipfile.BadZipFile(f'wrong checksum of {name}')
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
      return dict(arrays)
  except Exception as error:  # Damage raises errors of many types.
    raise json_files.BadFileError(
      f'{path} is damaged, or is not a .npz file: {error}. Copy it again, or'
      ' remove it.'
    ) from error

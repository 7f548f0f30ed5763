"""Loads the files of weights that metrics need.

Nothing is downloaded. A metric whose file is missing is not computed, and
reports which file it needs; other weights never replace it. Files are
identified by their bytes, not by their names. weight_files.py lists them.
"""

from collections.abc import Sequence
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.pretrained import identity
from vgen_jax.pretrained import torch_files
from vgen_jax.pretrained import weight_files

VARIABLE = 'VGEN_WEIGHTS'


@dataclasses.dataclass(frozen=True)
class Weights:
  """Content of a file, and its entry in the table.

  Attributes:
    arrays: State dict of PyTorch as NumPy arrays; read-only.
    sha256: Hash of the file.
    entry: Entry of the file in the table of weight_files.py.
  """

  arrays: dict[str, np.ndarray]
  sha256: str
  entry: weight_files.Entry


class WeightsMissingError(FileNotFoundError):
  """A file of weights is in none of the folders."""

  def __init__(
    self, entry: weight_files.Entry, searched: Sequence[pathlib.Path]
  ):
    self.entry = entry
    self.searched = tuple(map(str, searched))
    known = '; or '.join(map(str, entry.identities))
    super().__init__(
      f'File {entry.names[0]} ({known}) is missing. Download it from'
      f' {" or ".join(entry.sources)} to a folder in the environment variable'
      f' {VARIABLE}. Searched: {", ".join(self.searched)}.'
    )

  def report(self) -> dict[str, Any]:
    """Returns the entry of a report in place of the metric's number."""
    return {
      'value': None,
      'status': 'weights-missing',
      'file': self.entry.names[0],
      'identities': [dataclasses.asdict(x) for x in self.entry.identities],
      'sources': list(self.entry.sources),
      'searched': list(self.searched),
    }


def default_folders() -> tuple[pathlib.Path, ...]:
  """Returns the folders that are searched for weights.

  These are the folders in the environment variable VGEN_WEIGHTS; without it,
  `~/.cache/vgen_jax/weights` and the folder of PyTorch's downloads.
  """
  named = os.environ.get(VARIABLE)
  if named:
    return tuple(map(file_paths.local, named.split(os.pathsep)))
  cache = pathlib.Path.home() / '.cache'
  return (cache / 'vgen_jax/weights', cache / 'torch/hub/checkpoints')


def load(
  key: str, folders: Sequence[str | os.PathLike] | None = None
) -> Weights:
  """Returns the weights in a file, after its size and hash were checked.

  Args:
    key: Key of the file in `weight_files.FILES`.
    folders: Folders to search, in this order; None for `default_folders()`.

  Raises:
    WeightsMissingError: If no folder contains the file.
    identity.WrongFileError: If the file that is found has other bytes.
    ValueError: If the key is unknown, or the code in the file uses another eps
      than the table.
  """
  if key not in weight_files.FILES:
    raise ValueError(
      f'Unknown weights {key!r}.{checks.hint(key, weight_files.FILES)}'
    )
  entry = weight_files.FILES[key]
  if folders is None:
    folders = default_folders()
  paths = [
    file_paths.local(folder) / name
    for folder in folders
    for name in entry.names
  ]
  path = next((path for path in paths if path.is_file()), None)
  if path is None:
    raise WeightsMissingError(entry, paths)
  try:
    file = torch_files.read(path, entry.identities)
  except identity.WrongFileError as error:
    what = weight_files.REFUSED.get(error.found.git_sha1)
    if what is None:
      raise
    message = f'{path} is {what}. Download {" or ".join(entry.sources)}.'
    raise identity.WrongFileError(message, error.found) from error
  if file.batch_norm_eps not in (None, {entry.batch_norm_eps}):
    raise ValueError(
      f'The code in {path} adds {sorted(file.batch_norm_eps)} to the variances'
      f' of its batch norms, but weight_files.py states {entry.batch_norm_eps},'
      ' which would change the distance. Correct weight_files.py.'
    )
  return Weights(file.arrays, file.sha256, entry)

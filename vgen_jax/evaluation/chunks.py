"""Features on disk, in chunks: what was found once is not found again.

A chunk is a file `<probe>_<place>_<hash>/<first>_<num>.npz`. The hash is that
of all that makes the features what they are, so that others are never taken for
them; `identity.json` beside the chunks says it in words.
"""

from collections.abc import Mapping
import hashlib
import io
import json
from typing import Any
import zipfile

from etils import epath
import numpy as np


class Chunks:
  """Features of clips of one kind, found by one probe.

  Attributes:
    folder: Where they are kept; None keeps them in memory alone.
  """

  def __init__(
    self, root: epath.Path | None, name: str, identity: Mapping[str, Any]
  ):
    """Writes nothing yet.

    Args:
      root: Where the folder of these chunks is; None for memory alone.
      name: Beginning of its name.
      identity: What makes these features what they are, fit for JSON.
    """
    self._identity = json.dumps(identity, sort_keys=True, indent=2) + '\n'
    digest = hashlib.sha256(self._identity.encode()).hexdigest()[:16]
    self.folder = root / f'{name}_{digest}' if root else None
    self._kept: dict[tuple[int, int], dict[str, np.ndarray]] = {}

  def has(self, first: int, num: int) -> bool:
    """Whether the chunk is there, whole."""
    if (first, num) not in self._kept and self.folder:
      found = _read(self._file(first, num), num)
      if found is not None:
        self._kept[first, num] = found
    return (first, num) in self._kept

  def put(self, first: int, num: int, features: Mapping[str, Any]) -> None:
    """Keeps a chunk; a kill leaves a whole file or none.

    Raises:
      ValueError: If an array has not a row for each clip.
    """
    arrays = {key: np.asarray(x) for key, x in features.items()}
    for key, x in arrays.items():
      if x.shape[:1] != (num,):
        raise ValueError(
          f'{key} is {x.shape} for {num} clips; give each a row.'
        )
    self._kept[first, num] = arrays
    if not self.folder:
      return
    self.folder.mkdir(parents=True, exist_ok=True)
    told = self.folder / 'identity.json'
    if not told.exists():
      told.write_text(self._identity)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    replace(self._file(first, num), buffer.getvalue())

  def joined(
    self, spans: list[tuple[int, int]], num_clips: int
  ) -> dict[str, np.ndarray]:
    """Returns the first `num_clips` rows of chunks (first, num) in a row."""
    parts = [self._kept[span] for span in spans]
    return {
      key: np.concatenate([part[key] for part in parts])[:num_clips]
      for key in parts[0]
    }

  def _file(self, first: int, num: int) -> epath.Path:
    return self.folder / f'{first}_{num}.npz'


def replace(file: epath.Path, content: bytes) -> None:
  """Writes a file at once: a kill leaves the old one or the new one."""
  fresh = file.parent / (file.name + '.new')
  fresh.write_bytes(content)
  fresh.replace(file)


def _read(file: epath.Path, num: int) -> dict[str, np.ndarray] | None:
  """Returns the arrays in a file; None if it is not there, torn, or other."""
  try:
    with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as opened:
      arrays = dict(opened)
  except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
    return None
  return arrays if all(x.shape[:1] == (num,) for x in arrays.values()) else None

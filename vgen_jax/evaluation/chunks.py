"""Features stored on disk in chunks, so that they are computed only once.

A chunk is a file `<extractor>_<source>_<hash>/<first>_<num>.npz`. The hash is
that of everything the features depend on, so that features of another network
or of other clips are never used in their place; `identity.json` in the same
folder lists it. A file has a digest of its arrays, and is computed again if it
is damaged.
"""

from collections.abc import Mapping
import hashlib
import io
import json
from typing import Any

from etils import epath
import numpy as np

from vgen_jax.core import atomic_files
from vgen_jax.core import digests

_DIGEST = 'digest_of_all'  # Name of an array in a file, beside the features.


class Chunks:
  """Features of the clips of one source, computed by one extractor.

  Attributes:
    folder: Folder of the files; None keeps features in memory only.
  """

  def __init__(
    self, root: epath.Path | None, name: str, identity: Mapping[str, Any]
  ):
    """Initializes the chunks; no file is written yet.

    Args:
      root: Folder that will contain the folder of these chunks; None keeps
        features in memory only.
      name: Beginning of the name of the folder.
      identity: Everything that the features depend on, as plain JSON values.
    """
    self._identity = json.dumps(identity, sort_keys=True, indent=2) + '\n'
    digest = hashlib.sha256(self._identity.encode()).hexdigest()[:16]
    self.folder = root / f'{name}_{digest}' if root else None
    self._loaded: dict[tuple[int, int], dict[str, np.ndarray]] = {}

  def has(self, first: int, num: int) -> bool:
    """Returns whether the chunk is in memory, or undamaged on disk."""
    if (first, num) not in self._loaded and self.folder:
      found = _read(self._file(first, num), num)
      if found is not None:
        self._loaded[first, num] = found
    return (first, num) in self._loaded

  def put(self, first: int, num: int, features: Mapping[str, Any]) -> None:
    """Stores a chunk; if the process is killed, no partial file remains.

    Args:
      first: Index of its first clip.
      num: Number of its clips.
      features: {name: array with one row per clip}.

    Raises:
      ValueError: If an array does not have one row per clip.
    """
    arrays = {key: np.asarray(x) for key, x in features.items()}
    for key, x in arrays.items():
      if x.shape[:1] != (num,):
        raise ValueError(
          f'Feature {key!r} has shape {x.shape} for {num} clips; it must have'
          ' one row per clip.'
        )
    self._loaded[first, num] = arrays
    if not self.folder:
      return
    self.folder.mkdir(parents=True, exist_ok=True)
    identity = self.folder / 'identity.json'
    if not identity.exists():
      self._write(identity, self._identity.encode())
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **{_DIGEST: np.array(digests.tree(arrays))})
    self._write(self._file(first, num), buffer.getvalue())

  def joined(
    self, spans: list[tuple[int, int]], num_clips: int
  ) -> dict[str, np.ndarray]:
    """Returns the first `num_clips` rows of the concatenated chunks.

    Args:
      spans: Consecutive chunks, as (first, num); `has` returned True for each.
      num_clips: Number of rows.
    """
    parts = [self._loaded[span] for span in spans]
    return {
      key: np.concatenate([part[key] for part in parts])[:num_clips]
      for key in parts[0]
    }

  def _write(self, file: epath.Path, content: bytes) -> None:
    # Two evaluations may compute the same features of real clips.
    with atomic_files.replacing(file, is_shared=True) as temporary:
      temporary.write_bytes(content)

  def _file(self, first: int, num: int) -> epath.Path:
    return self.folder / f'{first}_{num}.npz'


def _read(file: epath.Path, num: int) -> dict[str, np.ndarray] | None:
  """Returns the arrays of a file; None if it is missing or damaged."""
  if not file.exists():
    return None
  content = file.read_bytes()
  try:
    with np.load(io.BytesIO(content), allow_pickle=False) as opened:
      arrays = dict(opened)
  except Exception:  # Damage raises any type; the features are computed again.
    return None
  digest = str(arrays.pop(_DIGEST, ''))
  is_whole = digest == digests.tree(arrays)
  shapes = {x.shape[:1] for x in arrays.values()}
  return arrays if is_whole and shapes == {(num,)} else None

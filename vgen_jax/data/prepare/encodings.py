"""Writing of the codes or latents of clips, in shards (data/encoded.py).

Shards are written atomically. If the process is killed, the same call writes
the missing shards and keeps the others.
"""

from collections.abc import Callable, Iterator
import logging
import pathlib
import time
from typing import BinaryIO

import numpy as np

from vgen_jax.core import atomic_files
from vgen_jax.core import faults as faults_lib
from vgen_jax.core import file_paths
from vgen_jax.core.processes import locks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import Schema
from vgen_jax.data import host_shards
from vgen_jax.data import pipeline
from vgen_jax.data.encodings import manifest as manifest_lib
from vgen_jax.data.encodings import rows as rows_lib

_log = logging.getLogger(__name__)
_RAISE = faults_lib.Faults()
# Fields that may differ from those of an existing manifest.
_UNCOMPARED = ('workdir', 'step', 'identity')

# Maps video uint8 `[b, t, h, w, c]` to codes or latents `[b, ...]`.
Encode = Callable[[np.ndarray], np.ndarray]


def write(
  folder: str,
  manifest: manifest_lib.Manifest,
  source: pipeline.Source,
  encode: Encode,
  *,
  batch_size: int,
  num_threads: int = 2,
  faults: faults_lib.Faults = _RAISE,
  host: host_shards.Host | None = None,
) -> int:
  """Writes the missing shards of this host, and returns their number.

  Host h writes shards h, h + number of hosts, ..., without waiting for others.

  Args:
    folder: Folder in which `<split>/` with the manifest and shards is created.
    manifest: Contents and origin of the shards.
    source: Source of the clips.
    encode: Function that returns the codes or latents of clips.
    batch_size: Number of clips to encode at the same time.
    num_threads: Number of batches to read at the same time.
    faults: What to do about clips that cannot be read. A substitute is stored
      in the row of the clip that it replaces.
    host: Host that writes; None is this process.

  Raises:
    ValueError: If the folder has other contents, a latent is not finite in the
      precision in which it is stored, or a code or label is out of range.
    ClipError: If a clip cannot be read and is not substituted.
    LockedError: If another process is writing the shards of this host.
  """
  host = host or host_shards.Host.current()
  split_folder = file_paths.local(folder) / manifest.split
  with locks.held(split_folder, f'.lock-{host.index}'):
    return _write(
      split_folder,
      manifest,
      source,
      encode,
      batch_size,
      num_threads,
      faults,
      host,
    )


def _write(
  split_folder: pathlib.Path,
  manifest: manifest_lib.Manifest,
  source: pipeline.Source,
  encode: Encode,
  batch_size: int,
  num_threads: int,
  faults: faults_lib.Faults,
  host: host_shards.Host,
) -> int:
  """Writes the missing shards; the arguments are those of `write`."""
  _write_manifest(split_folder, manifest, is_writer=host.index == 0)
  first, _ = faults.read(source.__getitem__, 0, len(source))
  dtype = record_dtype(manifest, first)
  missing = [
    shard
    for shard in range(host.index, manifest.num_shards, host.count)
    if not _is_complete(split_folder, manifest, shard, dtype)
  ]
  if not missing:
    return 0
  indices = np.concatenate([manifest.clips(shard) for shard in missing])
  batches = pipeline.evaluation_batches(
    _Subset(source, indices),
    batch_size,
    reader=pipeline.Reader(num_threads=num_threads),
    host=host_shards.Host(),
    faults=faults,
  )
  start, done = time.perf_counter(), 0
  with batches:
    parts = (_records(x, manifest, encode, dtype) for x in batches)
    sizes = [len(manifest.clips(shard)) for shard in missing]
    for shard, rows in zip(missing, _regrouped(parts, sizes), strict=True):
      rows_lib.add_checksums(rows, manifest.clips(shard).start)
      _save(split_folder / manifest_lib.file_name(shard), rows)
      done += len(rows)
      speed = done / (time.perf_counter() - start)
      _log.info(
        '%s: wrote shard %d of %d; %d of %d clips, %.1f clips per second.',
        *(split_folder, shard + 1, manifest.num_shards),
        *(done, len(indices), speed),
      )
  return len(missing)


def record_dtype(manifest: manifest_lib.Manifest, clip: Clip) -> np.dtype:
  """Returns the dtype of the rows of a shard, for clips similar to `clip`."""
  fields = [(manifest.kind, manifest.dtype, manifest.shape)]
  for key, value in sorted(clip.items()):
    if key != 'video':
      fields.append((key, value.dtype, np.shape(value)))
  return np.dtype([*fields, rows_lib.CHECKSUM])


class _Subset:
  """Some clips of a source."""

  def __init__(self, source: pipeline.Source, indices: np.ndarray):
    self.schema = source.schema
    self._source = source
    self._indices = indices

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> Clip:
    return self._source[int(self._indices[index])]


def _write_manifest(
  folder: pathlib.Path, manifest: manifest_lib.Manifest, is_writer: bool
) -> None:
  """Writes the manifest, or checks that the existing one is the same."""
  file = folder / manifest_lib.MANIFEST
  folder.mkdir(parents=True, exist_ok=True)
  if file.exists():
    # The location of the tokenizer may differ: it is for information only.
    existing = manifest_lib.Manifest.read(folder)
    _check_same_files(folder, existing, manifest, is_writer)
    for name, value in vars(existing).items():
      if name not in _UNCOMPARED and value != getattr(manifest, name):
        raise ValueError(
          f'{folder} was written with {name} {value!r}, not'
          f' {getattr(manifest, name)!r}. Use the same value, or remove that'
          ' folder.'
        )
  elif is_writer:
    atomic_files.write_text(file, manifest.to_json())


def _check_same_files(
  folder: pathlib.Path,
  existing: manifest_lib.Manifest,
  manifest: manifest_lib.Manifest,
  is_writer: bool,
) -> None:
  """Raises ValueError if the data is not that of the existing shards.

  Hosts may have copies of the data, whose times differ.
  """
  keys = set(manifest.identity) - (set() if is_writer else {'times'})
  changed = [
    key
    for key in sorted(keys)
    if existing.identity.get(key) != manifest.identity[key]
  ]
  if changed:
    raise ValueError(
      f'{folder} was encoded from other data or by other code: the identity of'
      f' the data has another {changed}. Remove that folder to encode the clips'
      ' again, or choose another --out.'
    )


def _is_complete(
  folder: pathlib.Path,
  manifest: manifest_lib.Manifest,
  shard: int,
  dtype: np.dtype,
) -> bool:
  """Returns whether a shard exists and is not damaged."""
  file, clips = folder / manifest_lib.file_name(shard), manifest.clips(shard)
  records = rows_lib.read_shard(file, len(clips))
  if records is None or records.dtype != dtype:
    return False
  rows = zip(records, clips, strict=True)
  return all(rows_lib.is_intact(row, index) for row, index in rows)


def _records(
  batch: Clip, manifest: manifest_lib.Manifest, encode: Encode, dtype: np.dtype
) -> np.ndarray:
  """Returns the rows of a batch, without checksums."""
  kind = manifest.kind
  batch = {**batch, kind: encode(batch['video'])}
  records = np.empty(len(batch['video']), dtype)
  with np.errstate(over='ignore'):  # Infinity raises an error below.
    for key in dtype.names[:-1]:
      records[key] = batch[key]
  if not np.isfinite(records[kind]).all():
    raise ValueError(
      f'A latent is infinite or NaN when stored as {dtype[kind].base}. If that'
      ' is float16, use float32 (--dtype); otherwise check the tokenizer.'
    )
  entries = {key: batch[key] for key in dtype.names[:-1]}
  sizes = rows_lib.sizes(Schema(**manifest.schema), manifest.num_codes)
  if fault := rows_lib.fault(entries, sizes):
    raise ValueError(
      f'A clip cannot be stored: {fault}. Check the data and the tokenizer.'
    )
  return records


def _regrouped(
  parts: Iterator[np.ndarray], sizes: list[int]
) -> Iterator[np.ndarray]:
  """Yields the concatenation of `parts` as arrays of these sizes."""
  held, num_held = [], 0
  for size in sizes:
    while num_held < size:
      held.append(next(parts))
      num_held += len(held[-1])
    joined = np.concatenate(held)
    yield joined[:size]
    held, num_held = [joined[size:]], num_held - size


def _save(file: pathlib.Path, records: np.ndarray) -> None:
  with (
    atomic_files.replacing(file) as temporary,
    temporary.open('wb') as stream,
  ):
    # NumPy writes to a file without the reason of an error, so it gets none.
    np.save(_Writable(stream), records)


class _Writable:
  """An object that only has the method `write` of a file."""

  def __init__(self, file: BinaryIO):
    self.write = file.write

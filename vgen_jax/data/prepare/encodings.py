"""Writes clips as a tokenizer encodes them, shard by shard (data/encoded.py).

A shard is written under another name, and renamed once it is whole, so what is
there counts: after a kill, the same call makes what is missing, and no more.
"""

from collections.abc import Callable, Iterator
import logging
import os
import pathlib
import time

import jax
import numpy as np

from vgen_jax.core import faults as faults_lib
from vgen_jax.core.types import Clip
from vgen_jax.data import encoded
from vgen_jax.data import pipeline

_log = logging.getLogger(__name__)
_RAISE = faults_lib.Faults()

# From video uint8 `[b, t, h, w, c]` to codes or latents, `[b, ...]`.
Encode = Callable[[np.ndarray], np.ndarray]


def write(
  folder: str,
  manifest: encoded.Manifest,
  source: pipeline.Source,
  encode: Encode,
  *,
  batch_size: int,
  num_threads: int = 2,
  faults: faults_lib.Faults = _RAISE,
  process_index: int | None = None,
  process_count: int | None = None,
) -> int:
  """Writes what is missing of this host's shards; returns their number.

  Host h has shards h, h + hosts, ..., and waits for nobody.

  Args:
    folder: Gets `<split>/manifest.json` and the shards beside it.
    manifest: What they are to hold.
    source: Of the clips.
    encode: Makes codes or latents of clips.
    batch_size: Clips to encode at a time.
    num_threads: Batches to read at a time.
    faults: What to do about clips that cannot be read; a substitute is kept
      in the place of such a clip.
    process_index: Which host this is; None asks JAX.
    process_count: Number of hosts, likewise.

  Raises:
    ValueError: If the folder has something else, or a latent is not finite in
      the precision that it is to be kept in.
    ClipError: If a clip cannot be read, and none replaces it.
  """
  index = jax.process_index() if process_index is None else process_index
  count = jax.process_count() if process_count is None else process_count
  place = pathlib.Path(folder).expanduser() / manifest.split
  _claim(place, manifest, writes=index == 0)
  first, _ = faults.read(source.__getitem__, 0, len(source))
  dtype = record_dtype(manifest, first)
  missing = [
    shard
    for shard in range(index, manifest.num_shards, count)
    if not _is_whole(place, manifest, shard, dtype)
  ]
  if not missing:
    return 0
  numbers = np.concatenate([manifest.clips(shard) for shard in missing])
  batches = pipeline.evaluation_batches(
    _Some(source, numbers),
    batch_size,
    num_threads=num_threads,
    process_index=0,
    process_count=1,
    faults=faults,
  )
  began, done = time.perf_counter(), 0
  with batches:
    parts = (_records(x, manifest.kind, encode, dtype) for x in batches)
    sizes = [len(manifest.clips(shard)) for shard in missing]
    for shard, rows in zip(missing, _cut(parts, sizes), strict=True):
      _save(place / encoded.file_name(shard), rows)
      done += len(rows)
      speed = done / (time.perf_counter() - began)
      _log.info(
        '%s: shard %d of %d is written; %d of %d clips, %.1f a second.',
        *(place, shard + 1, manifest.num_shards, done, len(numbers), speed),
      )
  return len(missing)


def record_dtype(manifest: encoded.Manifest, clip: Clip) -> np.dtype:
  """Returns the type of a shard's rows, for clips that are all like `clip`."""
  fields = [(manifest.kind, manifest.dtype, manifest.shape)]
  for key, value in sorted(clip.items()):
    if key != 'video':
      fields.append((key, value.dtype, np.shape(value)))
  return np.dtype(fields)


class _Some:
  """Some clips of a source."""

  def __init__(self, source: pipeline.Source, numbers: np.ndarray):
    self.schema = source.schema
    self._source = source
    self._numbers = numbers

  def __len__(self) -> int:
    return len(self._numbers)

  def __getitem__(self, index: int) -> Clip:
    return self._source[int(self._numbers[index])]


def _claim(
  place: pathlib.Path, manifest: encoded.Manifest, writes: bool
) -> None:
  """Writes the manifest, unless there is one, which must be the same."""
  file, text = place / encoded.MANIFEST, manifest.to_json()
  place.mkdir(parents=True, exist_ok=True)
  if file.exists():
    # Where the tokenizer lies is nobody's business but the reader's.
    there = encoded.Manifest.read(place)
    for name, value in vars(there).items():
      if name not in ('workdir', 'step') and value != getattr(manifest, name):
        raise ValueError(
          f'{place} is of {name} {value!r}, not {getattr(manifest, name)!r};'
          ' ask for the same as before, or remove that folder.'
        )
  elif writes:
    fresh = place / f'{encoded.MANIFEST}.new'
    fresh.write_text(text)
    fresh.replace(file)


def _is_whole(
  place: pathlib.Path, manifest: encoded.Manifest, shard: int, dtype: np.dtype
) -> bool:
  file, count = place / encoded.file_name(shard), len(manifest.clips(shard))
  records = encoded.read_shard(file, count)
  return records is not None and records.dtype == dtype


def _records(
  batch: Clip, kind: str, encode: Encode, dtype: np.dtype
) -> np.ndarray:
  """Returns the rows of a batch."""
  batch = {**batch, kind: encode(batch['video'])}
  records = np.empty(len(batch['video']), dtype)
  with np.errstate(over='ignore'):  # It is told below.
    for key in dtype.names:
      records[key] = batch[key]
  if not np.isfinite(records[kind]).all():
    raise ValueError(
      f'A latent is not finite as {dtype[kind].base}; if that is float16, keep'
      ' float32, or else look at the tokenizer.'
    )
  return records


def _cut(parts: Iterator[np.ndarray], sizes: list[int]) -> Iterator[np.ndarray]:
  """Yields arrays of these sizes, of what `parts` hold in a row."""
  held, num_held = [], 0
  for size in sizes:
    while num_held < size:
      held.append(next(parts))
      num_held += len(held[-1])
    joined = np.concatenate(held)
    yield joined[:size]
    held, num_held = [joined[size:]], num_held - size


def _save(file: pathlib.Path, records: np.ndarray) -> None:
  fresh = file.with_suffix('.new')
  with open(fresh, 'wb') as stream:
    np.save(stream, records)
    stream.flush()
    os.fsync(stream.fileno())
  fresh.replace(file)

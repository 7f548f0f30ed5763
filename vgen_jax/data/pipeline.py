"""From a source to batches on the devices, the same on any number of hosts.

Batch k is a function of (source, seed, batch size, k) alone. Clips stand in one
endless row: epoch after epoch, each a fresh permutation of the source. Batch k
is places k * batch_size, ... of that row, and what is random about a clip is
keyed by its place. A host picks its share of the places last. Were it to pick
first, the hosts would draw the same random numbers; and were the iterator's
state to matter, a run could not go on with other hosts or workers.
"""

import collections
from collections.abc import Callable, Iterator, Mapping
import hashlib
import sys
from typing import Protocol, Self

from absl import flags
import grain
import jax
import numpy as np

from vgen_jax.core import faults as faults_lib
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Clip
from vgen_jax.core.types import Schema
from vgen_jax.data import host_shards

_RAISE = faults_lib.Faults()
_SUBSTITUTED = 'substituted'  # Of a clip: whether it stands for another.


class Source(Protocol):
  """A dataset: clips by number. Sources are cheap to make and picklable.

  A source may also have `draw(index, rng) -> Clip`, which takes a random view
  of example `index` (window, crop, flip) with numbers from `rng`, a
  `np.random.Generator`; training then calls it in place of `__getitem__`.

  Attributes:
    schema: What all its clips have in common.
  """

  schema: Schema

  def __len__(self) -> int:
    """Number of clips."""
    ...

  def __getitem__(self, index: int) -> Clip:
    """Returns clip `index`, the same whenever asked: `video` uint8 thwc, ...

    Raises:
      faults.ClipError: If it cannot be read.
    """
    ...


class Batches(Iterator[Batch]):
  """Batches to come, some of them on their way; to be closed after use.

  Closing stops threads and worker processes: use it in a `with`, or call
  `close()`.
  """

  def __init__(
    self,
    dataset: grain.IterDataset,
    sharding: jax.sharding.Sharding | None,
    batch_size: int,
    limit: float = 1.0,
  ):
    self._tally = faults_lib.Tally(limit)
    self._iterator = iter(dataset)
    self._sharding = sharding
    self._batch_size = batch_size
    self._ready = collections.deque()
    self._iterator.start_prefetch()

  @property
  def num_substituted(self) -> int:
    """Clips of this host, so far, that stand for some that cannot be read."""
    return self._tally.num_substituted

  def __next__(self) -> Batch:
    # One batch ahead: its copy to the devices overlaps with a step.
    ahead = 1 if self._sharding is None else 2
    while len(self._ready) < ahead:
      batch = next(self._iterator, None)
      if batch is None:
        break
      substituted_b = batch.pop(_SUBSTITUTED, ())
      if self._sharding is not None:
        batch = host_shards.place(batch, self._sharding, self._batch_size)
      self._ready.append((batch, substituted_b))
    if not self._ready:
      raise StopIteration
    batch, substituted_b = self._ready.popleft()
    self._tally.add(substituted_b)
    return batch

  def close(self) -> None:
    """Stops what reads ahead, and forgets what it read."""
    self._ready.clear()
    self._iterator.close()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *exception) -> None:
    self.close()


def batches(
  source: Source,
  *,
  batch_size: int,
  seed: int,
  first: int = 0,
  num_workers: int = 0,
  num_threads: int = 2,
  sharding: jax.sharding.Sharding | None = None,
  process_index: int | None = None,
  process_count: int | None = None,
  faults: faults_lib.Faults = _RAISE,
) -> Batches:
  """Yields batch `first`, `first + 1`, ... for ever, shuffled in each epoch.

  Args:
    source: Where clips come from.
    batch_size: Clips in a batch, over all hosts.
    seed: Of the shuffling and of random views; 0 to 2**32 - 1.
    first: Number of the first batch to yield; a late one costs no more.
    num_workers: Processes that read; 0 reads in threads of this one, which is
      faster whenever decoding lets go of Python's lock, as video does.
    num_threads: Batches that a process reads at a time; 0 reads when asked.
    sharding: How to lay a batch over the devices of all hosts; it may cut the
      first axis only. None yields this host's share in numpy.
    process_index: Which share is this host's, without a sharding; None asks
      JAX. Host h has the h-th block of a batch.
    process_count: Number of shares, likewise.
    faults: What to do about clips that cannot be read. A substitute is drawn
      with the numbers of the clip that it stands for.

  Raises:
    ValueError: If devices or hosts cannot share a batch evenly, or the source
      is empty.
    ClipError: From `next`, if a clip cannot be read, and none replaces it.
    RuntimeError: From `next`, if a worker process died, or too many clips were
      substituted.
  """
  rows = host_shards.rows(batch_size, sharding, process_index, process_count)
  numbers = _numbers(source).seed(seed).shuffle().repeat()
  clips = numbers.random_map(_Draw(source, faults))
  share = _Share(clips, batch_size, rows).batch(len(rows))
  dataset = _read(share[first:], num_workers, num_threads)
  return Batches(dataset, sharding, batch_size, faults.limit)


def evaluation_batches(
  source: Source,
  batch_size: int,
  *,
  num_workers: int = 0,
  num_threads: int = 2,
  sharding: jax.sharding.Sharding | None = None,
  process_index: int | None = None,
  process_count: int | None = None,
  faults: faults_lib.Faults = _RAISE,
) -> Batches:
  """Yields every clip of the source exactly once, in order, then ends.

  All hosts get the same number of batches, all of one size: the last is filled
  up with clips whose `mask`, bool `[b]`, is False, and which must not count.
  Nor must those that stand for clips that cannot be read.

  Args: as those of `batches`.

  Raises:
    ValueError: As `batches` does.
  """
  rows = host_shards.rows(batch_size, sharding, process_index, process_count)
  num_places = -(-len(source) // batch_size) * batch_size
  places = _numbers(source).repeat(-(-num_places // len(source)))
  clips = places[:num_places].map_with_index(_Look(source, faults))
  share = _Share(clips, batch_size, rows).batch(len(rows))
  dataset = _read(share, num_workers, num_threads)
  return Batches(dataset, sharding, batch_size, faults.limit)


def digest(batch: Mapping[str, np.ndarray]) -> str:
  """Returns 16 hex digits that tell a batch: its names, types and numbers."""
  sha = hashlib.sha256()
  for name in sorted(batch):
    array = np.ascontiguousarray(batch[name])
    sha.update(f'{name} {array.dtype.str} {array.shape}'.encode())
    sha.update(array)
  return sha.hexdigest()[:16]


class _Draw(grain.transforms.RandomMap):
  """Turns the number of an example into a random view of it."""

  def __init__(self, source: Source, faults: faults_lib.Faults = _RAISE):
    self._source = source
    self._faults = faults

  def random_map(self, index: int, rng: np.random.Generator) -> Clip:
    # Grain lends `rng` from a pool: a source may draw from it, not keep it.
    draw = getattr(self._source, 'draw', None)
    if draw is None:
      return _clip(self._source, self._source.__getitem__, index, self._faults)
    start = rng.bit_generator.state

    def view(number: int) -> Clip:
      rng.bit_generator.state = start  # However far the last try came.
      return draw(number, rng)

    return _clip(self._source, view, index, self._faults)


class _Look(grain.transforms.MapWithIndex):
  """Turns the number of an example into its clip, with its mask."""

  def __init__(self, source: Source, faults: faults_lib.Faults):
    self._source = source
    self._faults = faults

  def map_with_index(self, place: int, index: int) -> Clip:
    clip = _clip(self._source, self._source.__getitem__, index, self._faults)
    is_itself = not clip.get(_SUBSTITUTED, False)
    return clip | {'mask': np.bool_(place < len(self._source) and is_itself)}


class _Share(grain.MapDataset):
  """Of every `batch_size` places of its parent, those in `rows`."""

  def __init__(
    self, parent: grain.MapDataset, batch_size: int, rows: np.ndarray
  ):
    super().__init__(parent)
    self._batch_size = batch_size
    self._rows = rows

  def __len__(self) -> int:
    length = len(self._parent) // self._batch_size * len(self._rows)
    return min(length, sys.maxsize // 2)  # Leaves room to round up.

  def __getitem__(self, index: int | slice) -> Clip | grain.MapDataset:
    if isinstance(index, slice):
      return self.slice(index)
    batch, row = divmod(index, len(self._rows))
    return self._parent[batch * self._batch_size + int(self._rows[row])]


def _numbers(source: Source) -> grain.MapDataset:
  if not len(source):
    raise ValueError(
      f'{type(source).__name__} has 0 clips; it needs 1 or more: look at the'
      ' split and the folder that config.data names.'
    )
  return grain.MapDataset.range(len(source))


def _clip(
  source: Source,
  get: Callable[[int], Clip],
  index: int,
  faults: faults_lib.Faults,
) -> Clip:
  """Returns what `get` reads, once it is what the schema promises."""
  clip, is_substituted = faults.read(get, index, len(source))
  video, clip_shape = clip.get('video'), tuple(source.schema.clip_shape)
  has_pixels = video is not None  # Or else codes, or latents.
  if has_pixels and (video.dtype, video.shape) != (np.uint8, clip_shape):
    raise ValueError(
      f'Clip {index} is {video.dtype} {video.shape}; the schema of its source'
      f' promises uint8 {clip_shape}.'
    )
  if faults.policy == 'raise':
    return clip
  return clip | {_SUBSTITUTED: np.bool_(is_substituted)}


def _read(
  share: grain.MapDataset, num_workers: int, num_threads: int
) -> grain.IterDataset:
  """Reads batches ahead, a few: Grain's own buffer would hold 500 of them."""
  options = grain.ReadOptions(
    num_threads=num_threads,
    prefetch_buffer_size=max(num_threads, 2) if num_threads else 0,
  )
  dataset = share.to_iter_dataset(options)
  if num_workers:
    if not flags.FLAGS.is_parsed():  # Grain reads flags; notebooks parse none.
      flags.FLAGS.mark_as_parsed()
    dataset = dataset.mp_prefetch(
      grain.MultiprocessingOptions(num_workers, per_worker_buffer_size=1)
    )
  return dataset

"""From a source to batches on the devices, the same on any number of hosts.

Batch k is a function of (source, seed, batch size, k) alone. Clips stand in one
endless row: epoch after epoch, each a fresh permutation of the source. Batch k
is places k * batch_size, ... of that row, and what is random about a clip is
keyed by its place. A host picks its share of the places last. Were it to pick
first, the hosts would draw the same random numbers; and were the iterator's
state to matter, a run could not go on with other hosts or workers.
"""

import collections
from collections.abc import Iterator, Mapping
import hashlib
from typing import Protocol, Self

from absl import flags
import grain
import jax
import numpy as np

from vgen_jax.types import Batch
from vgen_jax.types import Clip
from vgen_jax.types import Schema


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
    """Returns clip `index`, the same whenever asked: `video` uint8 thwc, ..."""
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
  ):
    self._iterator = iter(dataset)
    self._sharding = sharding
    self._batch_size = batch_size
    self._ready = collections.deque()
    self._iterator.start_prefetch()

  def __next__(self) -> Batch:
    if self._sharding is None:
      return next(self._iterator)
    # One batch ahead: its copy to the devices overlaps with a step.
    while len(self._ready) < 2:
      batch = next(self._iterator, None)
      if batch is None:
        break
      self._ready.append(_place(batch, self._sharding, self._batch_size))
    if not self._ready:
      raise StopIteration
    return self._ready.popleft()

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

  Raises:
    ValueError: If devices or hosts cannot share a batch evenly, or the source
      is empty.
    RuntimeError: From `next`, if a worker process died.
  """
  rows = _rows(batch_size, sharding, process_index, process_count)
  numbers = _numbers(source).seed(seed).shuffle().repeat()
  clips = numbers.random_map(_Draw(source))
  share = _Share(clips, batch_size, rows).batch(len(rows))
  dataset = _read(share[first:], num_workers, num_threads)
  return Batches(dataset, sharding, batch_size)


def evaluation_batches(
  source: Source,
  batch_size: int,
  *,
  num_workers: int = 0,
  num_threads: int = 2,
  sharding: jax.sharding.Sharding | None = None,
  process_index: int | None = None,
  process_count: int | None = None,
) -> Batches:
  """Yields every clip of the source exactly once, in order, then ends.

  All hosts get the same number of batches, all of one size: the last is filled
  up with clips whose `mask`, bool `[b]`, is False, and which must not count.

  Args: as those of `batches`.

  Raises:
    ValueError: As `batches` does.
  """
  rows = _rows(batch_size, sharding, process_index, process_count)
  num_places = -(-len(source) // batch_size) * batch_size
  places = _numbers(source).repeat(-(-num_places // len(source)))
  clips = places[:num_places].map_with_index(_Look(source))
  share = _Share(clips, batch_size, rows).batch(len(rows))
  return Batches(_read(share, num_workers, num_threads), sharding, batch_size)


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

  def __init__(self, source: Source):
    self._source = source

  def random_map(self, index: int, rng: np.random.Generator) -> Clip:
    # Grain lends `rng` from a pool: a source may draw from it, not keep it.
    draw = getattr(self._source, 'draw', None)
    clip = self._source[index] if draw is None else draw(index, rng)
    return _checked(clip, index, self._source.schema)


class _Look(grain.transforms.MapWithIndex):
  """Turns the number of an example into its clip, with its mask."""

  def __init__(self, source: Source):
    self._source = source

  def map_with_index(self, place: int, index: int) -> Clip:
    clip = _checked(self._source[index], index, self._source.schema)
    return clip | {'mask': np.bool_(place < len(self._source))}


class _Share(grain.MapDataset):
  """Of every `batch_size` places of its parent, those in `rows`."""

  def __init__(
    self, parent: grain.MapDataset, batch_size: int, rows: np.ndarray
  ):
    super().__init__(parent)
    self._batch_size = batch_size
    self._rows = rows

  def __len__(self) -> int:
    return len(self._parent) // self._batch_size * len(self._rows)

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


def _checked(clip: Clip, index: int, schema: Schema) -> Clip:
  """Returns the clip, once it is what the schema promises."""
  video = clip['video']
  if video.dtype != np.uint8 or video.shape != tuple(schema.clip_shape):
    raise ValueError(
      f'Clip {index} is {video.dtype} {video.shape}; the schema of its source'
      f' promises uint8 {tuple(schema.clip_shape)}.'
    )
  return clip


def _rows(
  batch_size: int,
  sharding: jax.sharding.Sharding | None,
  process_index: int | None,
  process_count: int | None,
) -> np.ndarray:
  """Returns which rows of a batch this host must read, in rising order."""
  if sharding is None:
    index = jax.process_index() if process_index is None else process_index
    count = jax.process_count() if process_count is None else process_count
    _check_divides(batch_size, count, 'number of hosts')
    return np.arange(batch_size).reshape(count, -1)[index]
  devices = sharding.num_devices  # A number that any cut divides.
  cuts = sharding.devices_indices_map((devices,)).values()
  parts = len({_span(cut, devices) for cut in cuts})
  _check_divides(
    batch_size, parts, 'number of devices that share the batch axis'
  )
  mine = sharding.addressable_devices_indices_map((batch_size,)).values()
  spans = {_span(index, batch_size) for index in mine}
  return np.concatenate([np.arange(*span) for span in sorted(spans)])


def _span(index: tuple[slice], size: int) -> tuple[int, int]:
  """Returns from where to where a device's slice goes."""
  return index[0].indices(size)[:2]


def _check_divides(batch_size: int, number: int, what: str) -> None:
  if batch_size < 1 or batch_size % number:
    raise ValueError(
      f'config.batch_size is {batch_size}; it must be a multiple of the {what},'
      f' {number}.'
    )


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


def _place(
  batch: Clip, sharding: jax.sharding.Sharding, batch_size: int
) -> Batch:
  """Copies this host's share of a batch to its devices."""
  return {
    name: jax.make_array_from_process_local_data(
      sharding, array, (batch_size, *array.shape[1:])
    )
    for name, array in batch.items()
  }

"""Batches of clips on devices, the same for any number of hosts.

Batch k only depends on the source, the seed, the batch size and k. The clips
form one endless sequence: epoch after epoch, each a new permutation of the
source. Batch k consists of the positions k * batch_size, ... of the sequence,
and the random numbers of a clip are keyed by its position. A host selects its
shard of the positions last. If hosts selected first, all would use the same
random numbers; and if batches depended on the state of an iterator, a run could
not be resumed with another number of hosts or workers.
"""

from collections.abc import Callable
import dataclasses
import sys
from typing import Protocol

from absl import flags
import grain
import jax
import numpy as np

from vgen_jax.core import faults as faults_lib
from vgen_jax.core import sources
from vgen_jax.core.processes import children
from vgen_jax.core.types import Clip
from vgen_jax.core.types import Schema
from vgen_jax.data import batch_iterator
from vgen_jax.data import host_shards

_RAISE = faults_lib.Faults()
_SUBSTITUTED = batch_iterator.SUBSTITUTED


class Source(Protocol):
  """A dataset: clips by index. Sources are fast to create and picklable.

  A source may also derive from the classes of core/sources.py, which declare
  random views and captions. It may have `splits`, the names of its splits that
  have clips, and `files() -> {name: path}`, the files that its clips depend on.

  Attributes:
    schema: Properties that all clips have in common.
  """

  schema: Schema

  def __len__(self) -> int:
    """Returns the number of clips."""
    ...

  def __getitem__(self, index: int) -> Clip:
    """Returns clip `index`, always the same: `video` uint8 [t, h, w, c], ...

    Raises:
      faults.ClipError: If it cannot be read.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Reader:
  """Processes and threads that read clips; they do not affect the batches.

  Attributes:
    num_workers: Number of worker processes; 0 reads in threads of this process,
      which is faster if decoding releases Python's lock, as video decoding
      does.
    num_threads: Number of batches that a process reads at the same time; 0
      reads a batch when it is requested.
  """

  num_workers: int = 0
  num_threads: int = 2


_READER = Reader()


def batches(
  source: Source,
  *,
  batch_size: int,
  seed: int,
  first: int = 0,
  reader: Reader = _READER,
  sharding: jax.sharding.Sharding | None = None,
  host: host_shards.Host | None = None,
  faults: faults_lib.Faults = _RAISE,
) -> batch_iterator.Batches:
  """Returns batches `first`, `first + 1`, ... without end, for training.

  Clips are shuffled in each epoch.

  Args:
    source: Source of the clips.
    batch_size: Number of clips in a batch over all hosts.
    seed: Seed of the shuffling and of random views, 0 to 2**32 - 1.
    first: Index of the first batch; a late batch takes no longer than batch 0.
    reader: Number of processes and threads that read.
    sharding: Sharding of a batch over the devices of all hosts; only the first
      axis may be sharded. None returns the rows of this host as NumPy arrays.
    host: Host whose rows are returned if there is no sharding: host h has the
      h-th block of a batch. None is this process.
    faults: What to do about clips that cannot be read. A substitute uses the
      random numbers of the clip that it replaces.

  Raises:
    ValueError: If devices or hosts cannot have equal parts of a batch, or the
      source is empty.
    ClipError: From `next`, if a clip cannot be read and is not substituted.
    RuntimeError: From `next`, if a worker process died, or too many clips were
      substituted.
  """
  rows = host_shards.rows(batch_size, sharding, host)
  indices = _indices(source).seed(seed).shuffle().repeat()
  clips = indices.random_map(_RandomView(source, faults))
  shard = _Shard(clips, batch_size, rows).batch(len(rows))
  dataset = _prefetched(shard[first:], reader)
  return batch_iterator.Batches(dataset, sharding, batch_size, faults.limit)


def evaluation_batches(
  source: Source,
  batch_size: int,
  *,
  reader: Reader = _READER,
  sharding: jax.sharding.Sharding | None = None,
  host: host_shards.Host | None = None,
  faults: faults_lib.Faults = _RAISE,
) -> batch_iterator.Batches:
  """Returns batches with every clip of the source exactly once, in order.

  All hosts get the same number of batches of the same size. The last batch is
  filled up with clips whose `mask`, bool `[b]`, is False; they must not be
  counted. The mask of substitutes for unreadable clips is False, too.

  Args:
    source: Source of the clips.
    batch_size: Number of clips in a batch over all hosts.
    reader: Number of processes and threads that read.
    sharding: Sharding of a batch, as in `batches`.
    host: Host whose rows are returned, as in `batches`.
    faults: What to do about clips that cannot be read.

  Raises:
    ValueError: If devices or hosts cannot have equal parts of a batch, or the
      source is empty.
    ClipError: From `next`, as in `batches`.
    RuntimeError: From `next`, as in `batches`.
  """
  rows = host_shards.rows(batch_size, sharding, host)
  length = -(-len(source) // batch_size) * batch_size
  indices = _indices(source).repeat(-(-length // len(source)))
  clips = indices[:length].map_with_index(_MaskedClip(source, faults))
  shard = _Shard(clips, batch_size, rows).batch(len(rows))
  dataset = _prefetched(shard, reader)
  return batch_iterator.Batches(dataset, sharding, batch_size, faults.limit)


class _RandomView(grain.transforms.RandomMap):
  """Maps the index of an example to a random view of it."""

  def __init__(self, source: Source, faults: faults_lib.Faults = _RAISE):
    self._source = source
    self._faults = faults

  def random_map(self, index: int, rng: np.random.Generator) -> Clip:
    # Grain reuses `rng`: a source may use it here, but must not keep it.
    if not isinstance(self._source, sources.HasRandomViews):
      return _clip(self._source, self._source.__getitem__, index, self._faults)
    random_view = self._source.random_view
    start = rng.bit_generator.state

    def view(index: int) -> Clip:
      rng.bit_generator.state = start  # A failed attempt may have advanced it.
      return random_view(index, rng)

    return _clip(self._source, view, index, self._faults)


class _MaskedClip(grain.transforms.MapWithIndex):
  """Maps the index of an example to its clip and its mask."""

  def __init__(self, source: Source, faults: faults_lib.Faults):
    self._source = source
    self._faults = faults

  def map_with_index(self, position: int, index: int) -> Clip:
    clip = _clip(self._source, self._source.__getitem__, index, self._faults)
    counts = position < len(self._source) and not clip.get(_SUBSTITUTED, False)
    return clip | {'mask': np.bool_(counts)}


class _Shard(grain.MapDataset):
  """The rows `rows` of every `batch_size` consecutive clips of its parent."""

  def __init__(
    self, parent: grain.MapDataset, batch_size: int, rows: np.ndarray
  ):
    super().__init__(parent)
    self._batch_size = batch_size
    self._rows = rows

  def __len__(self) -> int:
    length = len(self._parent) // self._batch_size * len(self._rows)
    return min(length, sys.maxsize // 2)  # Grain rounds it up.

  def __getitem__(self, index: int | slice) -> Clip | grain.MapDataset:
    if isinstance(index, slice):
      return self.slice(index)
    batch, row = divmod(index, len(self._rows))
    return self._parent[batch * self._batch_size + int(self._rows[row])]


def _indices(source: Source) -> grain.MapDataset:
  if not len(source):
    raise ValueError(
      f'{type(source).__name__} has 0 clips; it needs 1 or more. Check the'
      ' split and the folder in config.data.'
    )
  return grain.MapDataset.range(len(source))


def _clip(
  source: Source,
  get: Callable[[int], Clip],
  index: int,
  faults: faults_lib.Faults,
) -> Clip:
  """Returns a clip read by `get`, after a check against the schema."""
  clip, is_substituted = faults.read(get, index, len(source))
  video, clip_shape = clip.get('video'), tuple(source.schema.clip_shape)
  has_pixels = video is not None  # Otherwise it has codes or latents.
  if has_pixels and (video.dtype, video.shape) != (np.uint8, clip_shape):
    raise ValueError(
      f'Clip {index} of {type(source).__name__} is {video.dtype} {video.shape};'
      f' the schema of the source requires uint8 {clip_shape}.'
    )
  if faults.policy == 'raise':
    return clip
  return clip | {_SUBSTITUTED: np.bool_(is_substituted)}


def _prefetched(shard: grain.MapDataset, reader: Reader) -> grain.IterDataset:
  """Returns a dataset that reads a few batches ahead.

  The default of Grain would keep up to 500 batches in memory.
  """
  num_threads = reader.num_threads
  options = grain.ReadOptions(
    num_threads=num_threads,
    prefetch_buffer_size=max(num_threads, 2) if num_threads else 0,
  )
  dataset = shard.to_iter_dataset(options)
  if reader.num_workers:
    if not flags.FLAGS.is_parsed():  # Grain reads flags; notebooks have none.
      flags.FLAGS.mark_as_parsed()
    dataset = dataset.mp_prefetch(
      grain.MultiprocessingOptions(
        reader.num_workers, per_worker_buffer_size=1
      ),
      worker_init_fn=children.follow_parent,
    )
  return dataset

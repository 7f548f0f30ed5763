"""The iterator over batches, which copies them to devices."""

import collections
from collections.abc import Iterator
from typing import Self

import grain
import jax

from vgen_jax.core import faults
from vgen_jax.core.types import Batch
from vgen_jax.data import host_shards

# Key of a batch that is removed here: whether a clip is a substitute.
SUBSTITUTED = 'substituted'


class Batches(Iterator[Batch]):
  """Iterator over batches that reads ahead; it must be closed after use.

  Closing stops threads and worker processes: use it in a `with` statement, or
  call `close()`.
  """

  def __init__(
    self,
    dataset: grain.IterDataset,
    sharding: jax.sharding.Sharding | None,
    batch_size: int,
    limit: float = 1.0,
  ):
    """Starts to read ahead.

    Args:
      dataset: Batches of the rows of this host.
      sharding: Sharding of a batch over the devices of all hosts; None yields
        NumPy arrays.
      batch_size: Number of clips in a batch over all hosts.
      limit: Largest fraction of clips that may be substitutes.
    """
    self._tally = faults.Tally(limit)
    self._iterator = iter(dataset)
    self._sharding = sharding
    self._batch_size = batch_size
    self._ready = collections.deque()
    self._iterator.start_prefetch()

  @property
  def num_substituted(self) -> int:
    """Number of clips of this host so far that are substitutes for others."""
    return self._tally.num_substituted

  def __next__(self) -> Batch:
    # Copying the next batch to the devices overlaps with a training step.
    num_ready = 1 if self._sharding is None else 2
    while len(self._ready) < num_ready:
      batch = next(self._iterator, None)
      if batch is None:
        break
      substituted_b = batch.pop(SUBSTITUTED, ())
      if self._sharding is not None:
        batch = host_shards.to_devices(batch, self._sharding, self._batch_size)
      self._ready.append((batch, substituted_b))
    if not self._ready:
      raise StopIteration
    batch, substituted_b = self._ready.popleft()
    self._tally.add(substituted_b)
    return batch

  def close(self) -> None:
    """Stops reading, and discards batches that were read ahead."""
    self._ready.clear()
    self._iterator.close()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *exception) -> None:
    self.close()

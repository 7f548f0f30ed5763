"""Which clips of a batch a host reads, and how they get to its devices."""

import jax
import numpy as np

from vgen_jax.core.types import Batch
from vgen_jax.core.types import Clip


def rows(
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


def place(
  batch: Clip, sharding: jax.sharding.Sharding, batch_size: int
) -> Batch:
  """Copies this host's share of a batch to its devices."""
  return {
    name: jax.make_array_from_process_local_data(
      sharding, array, (batch_size, *array.shape[1:])
    )
    for name, array in batch.items()
  }


def _span(index: tuple[slice], size: int) -> tuple[int, int]:
  """Returns from where to where a device's slice goes."""
  return index[0].indices(size)[:2]


def _check_divides(batch_size: int, number: int, what: str) -> None:
  if batch_size < 1 or batch_size % number:
    raise ValueError(
      f'config.batch_size is {batch_size}; it must be a multiple of the {what},'
      f' {number}.'
    )

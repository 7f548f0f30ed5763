"""The rows of a batch that a host reads, and their transfer to its devices."""

import dataclasses

import jax
import numpy as np

from vgen_jax.core.types import Batch
from vgen_jax.core.types import Clip


@dataclasses.dataclass(frozen=True)
class Host:
  """One of the processes that read a dataset.

  Attributes:
    index: Index of the process, from 0.
    count: Number of processes.
  """

  index: int = 0
  count: int = 1

  @classmethod
  def current(cls) -> 'Host':
    """Returns this process, as JAX numbers it."""
    return cls(jax.process_index(), jax.process_count())


def rows(
  batch_size: int,
  sharding: jax.sharding.Sharding | None,
  host: Host | None = None,
) -> np.ndarray:
  """Returns the rows of a batch that this host must read, in increasing order.

  Args:
    batch_size: Number of clips of the batch over all hosts.
    sharding: Sharding of the batch over devices; None splits it into one block
      of rows per host.
    host: Host that reads, if there is no sharding; None is this process.

  Raises:
    ValueError: If the hosts or devices cannot have equal parts.
  """
  if sharding is None:
    host = host or Host.current()
    _check_divides(batch_size, host.count, 'number of hosts')
    return np.arange(batch_size).reshape(host.count, -1)[host.index]
  devices = sharding.num_devices  # This length is divisible by all shardings.
  slices = sharding.devices_indices_map((devices,)).values()
  parts = len({_span(x, devices) for x in slices})
  _check_divides(
    batch_size, parts, 'number of devices that share the batch axis'
  )
  own = sharding.addressable_devices_indices_map((batch_size,)).values()
  spans = {_span(x, batch_size) for x in own}
  return np.concatenate([np.arange(*span) for span in sorted(spans)])


def to_devices(
  batch: Clip, sharding: jax.sharding.Sharding, batch_size: int
) -> Batch:
  """Returns the global batch, with the rows of this host on its devices.

  Args:
    batch: Rows of this host, {key: array}.
    sharding: Sharding of the batch over all devices.
    batch_size: Number of rows of the global batch.
  """
  return {
    name: jax.make_array_from_process_local_data(
      sharding, array, (batch_size, *array.shape[1:])
    )
    for name, array in batch.items()
  }


def _span(index: tuple[slice], size: int) -> tuple[int, int]:
  """Returns the start and the end of the slice of a device."""
  return index[0].indices(size)[:2]


def _check_divides(batch_size: int, number: int, what: str) -> None:
  if batch_size < 1 or batch_size % number:
    raise ValueError(
      f'config.batch_size is {batch_size}; it must be a positive multiple of'
      f' the {what}, {number}.'
    )

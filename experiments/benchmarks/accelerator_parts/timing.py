"""Functions that measure the time and the memory of calls on a device."""

from collections.abc import Callable, Mapping
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

GIB = 2**30
_MAX_CALLS = 2_000


def seconds_per_call(
  call: Callable[[], Any], *, seconds: float = 0.5, repeats: int = 3
) -> float:
  """Returns the median over repeats of the seconds that a call takes.

  Each repeat dispatches many calls and waits for the last one, so that the time
  to dispatch a call has no effect unless it is longer than the call itself.

  Args:
    call: Function that returns arrays; the first two calls are not timed.
    seconds: Duration of all repeats together; each has at least one call.
    repeats: Number of repeats.
  """
  jax.block_until_ready(call())
  begun = time.perf_counter()
  jax.block_until_ready(call())
  count = calls_per_repeat(time.perf_counter() - begun, seconds / repeats)
  return statistics.median(_repeat(call, count) for _ in range(repeats))


def calls_per_repeat(call_s: float, repeat_s: float) -> int:
  """Returns the number of calls of a duration in a repeat; at least 1."""
  return int(min(max(repeat_s / max(call_s, 1e-9), 1), _MAX_CALLS))


def interleaved(
  runs: Mapping[str, Callable[[int], None]], calls: int, repeats: int
) -> dict[str, float]:
  """Returns the median seconds per call of runs that are repeated alternately.

  Args:
    runs: {name: function that makes a number of calls and waits for them}.
    calls: Calls per repeat.
    repeats: Repeats of each run.
  """
  times: dict[str, list[float]] = {name: [] for name in runs}
  for _ in range(repeats):
    for name, run in runs.items():
      begun = time.perf_counter()
      run(calls)
      times[name].append((time.perf_counter() - begun) / calls)
  return {name: statistics.median(values) for name, values in times.items()}


def product_flops(size: int, seconds: float = 0.5) -> float:
  """Returns the operations per second of a bfloat16 product of two squares."""
  # Normal numbers: zeros need less power, and so run at a higher clock.
  keys = jax.random.split(jax.random.key(0))
  left, right = (
    jax.random.normal(key, (size, size), jnp.bfloat16) for key in keys
  )
  product = jax.jit(jnp.matmul)
  call_s = seconds_per_call(lambda: product(left, right), seconds=seconds)
  return 2 * size**3 / call_s


def copy_bytes(size: int, seconds: float = 0.3) -> float:
  """Returns the bytes per second that an update in place reads and writes.

  Args:
    size: Bytes of the array; larger than all caches.
    seconds: Duration of the measurement.
  """
  update = jax.jit(lambda x: x + 1, donate_argnums=0)
  array = jnp.zeros(size // 4, jnp.float32)

  def call() -> jax.Array:
    nonlocal array
    array = update(array)
    return array

  return 2 * size / seconds_per_call(call, seconds=seconds)


def peak_bytes(device: jax.Device) -> int | None:
  """Returns the most memory that this process has used; None if unknown."""
  stats = device.memory_stats()
  return (stats or {}).get('peak_bytes_in_use')


class Peak:
  """Peak memory between the creation of the object and `gib()`."""

  def __init__(self, device: jax.Device):
    self._device = device
    self._before = peak_bytes(device)

  def gib(self) -> float | None:
    """Returns the peak in GiB; None unless it is higher than any before.

    The device reports the highest peak of the whole process, which cannot be
    reset.
    """
    after = peak_bytes(self._device)
    if after is None or after <= (self._before or 0):
      return None
    return after / GIB


def _repeat(call: Callable[[], Any], count: int) -> float:
  begun = time.perf_counter()
  for _ in range(count):
    result = call()
  jax.block_until_ready(result)
  return (time.perf_counter() - begun) / count

"""Compilation of the train step, and its cost in operations and memory."""

from collections.abc import Callable
import dataclasses
import logging
import os
import pathlib
import time

import jax
import numpy as np

from vgen_jax.runtime import flops as flops_lib
from vgen_jax.runtime import sharding
from vgen_jax.training import setup as setup_lib

_GIGA = 1e9
_CGROUPS = (
  '/sys/fs/cgroup/memory.max',
  '/sys/fs/cgroup/memory/memory.limit_in_bytes',
)

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Cost:
  """Cost of one train step.

  Attributes:
    num_params: {part: number of parameters}.
    flops: Floating-point operations of a step, over all devices, as
      runtime/flops.py counts them; what remat computes twice counts twice.
    memory: Bytes on each device, {use: number}, such as 'arguments' (state and
      batch) and 'temporary'; empty if the compiler does not report them.
    limit: Memory of each device in bytes; None if it is unknown.
  """

  num_params: dict[str, int]
  flops: float
  memory: dict[str, int]
  limit: int | None = None

  def __str__(self) -> str:
    kinds = ', '.join(
      f'{k} {n / _GIGA:.2f} GB' for k, n in self.memory.items() if n
    )
    limit = '' if self.limit is None else f' of {self.limit / _GIGA:.1f} GB'
    return (
      f'Train step: {self.flops / _GIGA:,.1f} GFLOP; memory per'
      f' device{limit}: {kinds or "unknown"}.'
    )


def compile_step(setup: setup_lib.Setup) -> tuple[Callable, Cost]:
  """Returns the compiled train step of a run, and its cost.

  Raises:
    DoesNotFitError: If the step needs more memory than the devices have.
  """
  if jax.process_index() == 0:
    _log.info(
      'Compiling the train step; large models take minutes.%s', _cache_hint()
    )
  start = time.monotonic()
  state = setup.state_shapes()
  sharded = sharding.of_batch(setup.mesh)
  batch = {
    key: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharded)
    for key, x in setup.batch.items()
  }
  traced = setup.train_step().trace(state, batch)
  compiled = _compiled(traced)
  num_params = {
    part: int(sum(np.prod(x.shape) for x in jax.tree.leaves(tree)))
    for part, tree in state.params.items()
  }
  flops = flops_lib.count_traced(traced)
  memory = flops_lib.memory(compiled)
  limit = memory_limit(setup.mesh.local_devices[0])
  check_memory(memory.get('total', 0), limit)
  if jax.process_index() == 0:
    _log.info('Compiled in %.1f s.', time.monotonic() - start)
  return compiled, Cost(num_params, flops, memory, limit)


def _cache_hint() -> str:
  """Returns how to avoid the compilation in later runs; '' if it is avoided."""
  if jax.config.values['jax_compilation_cache_dir']:
    return ''
  return (
    ' To keep compiled programs for later runs, set the environment variable'
    ' JAX_COMPILATION_CACHE_DIR to a folder.'
  )


class DoesNotFitError(ValueError):
  """A function needs more memory than a device has."""


def memory_limit(device: jax.Device) -> int | None:
  """Returns the memory of a device in bytes; None if it is unknown.

  CPU devices of one process have equal parts of the memory of the machine, or
  of the container if that has less.
  """
  if device.platform != 'cpu':
    stats = device.memory_stats() or {}
    return stats.get('bytes_limit')
  limits = [x for x in (_physical(), *map(_of_cgroup, _CGROUPS)) if x]
  num = jax.local_device_count() if jax.default_backend() == 'cpu' else 1
  return min(limits) // num if limits else None


def check_memory(needed: int, available: int | None) -> None:
  """Raises DoesNotFitError if a device has less memory than is needed.

  Args:
    needed: Bytes that a function needs on each device; 0 if unknown.
    available: Bytes of each device; None if unknown.
  """
  if available is not None and needed > available:
    raise DoesNotFitError(
      f'The train step needs {needed / _GIGA:.1f} GB on each device, which has'
      f' {available / _GIGA:.1f} GB. Use a smaller model, clips or'
      " config.batch_size, a larger config.accumulate, remat='full' in the"
      ' network, or more devices along config.mesh.fsdp.'
    )


def _compiled(traced: jax.stages.Traced) -> jax.stages.Compiled:
  """Returns a compiled function; some compilers refuse what does not fit."""
  try:
    return traced.lower().compile()
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    reason = ' '.join(str(error).split())
    raise DoesNotFitError(
      f'The train step does not fit into the memory of a device: {reason:.300}.'
      ' Use a smaller model, clips or config.batch_size.'
    ) from error


def _physical() -> int | None:
  try:
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  except (ValueError, OSError):
    return None


def _of_cgroup(path: str) -> int | None:
  """Returns the limit of the container; None if there is none."""
  try:
    text = pathlib.Path(path).read_text().strip()
  except OSError:
    return None
  return int(text) if text.isdecimal() else None

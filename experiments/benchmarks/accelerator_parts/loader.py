"""Measures whether the data loader is fast enough for training."""

from collections.abc import Callable, Iterator
import itertools
import time
from typing import Any

import jax
from ml_collections import ConfigDict

from vgen_jax.config import settings as settings_lib
from vgen_jax.training import compilation
from vgen_jax.training import loop
from vgen_jax.training import setup as setup_lib


def wait(config: ConfigDict, seconds: float) -> dict[str, Any]:
  """Returns milliseconds of a step with a batch in memory, and with the loader.

  Args:
    config: Config of the run.
    seconds: Duration of the measurement, without compilation.
  """
  setup = setup_lib.make(settings_lib.read(config))
  begun = time.perf_counter()
  step, cost = compilation.compile_step(setup)
  compile_s = time.perf_counter() - begun
  state = setup.first_state()
  with loop.batches_from(setup, 0) as batches:
    batch = next(batches)
    state, _ = jax.block_until_ready(step(state, batch))
    state, same_s = _step_seconds(
      step, state, itertools.repeat(batch), 0.3 * seconds
    )
    state, loader_s = _step_seconds(step, state, batches, 0.4 * seconds)
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < 0.3 * seconds or not count:
      next(batches)
      count += 1
    alone_s = (time.perf_counter() - begun) / count
  return {
    'batch_size': setup.settings.batch_size,
    'step_ms': 1e3 * same_s,
    'step_from_loader_ms': 1e3 * loader_s,
    'waits_for_loader': max(1 - same_s / loader_s, 0.0),
    'loader_clips_per_s': setup.settings.batch_size / alone_s,
    'gflop_per_step': cost.flops / 1e9,
    'compile_s': compile_s,
  }


def _step_seconds(
  step: Callable, state: Any, batches: Iterator, seconds: float
) -> tuple[Any, float]:
  """Returns the state after several steps, and the mean seconds of a step."""
  begun, count = time.perf_counter(), 0
  while time.perf_counter() - begun < seconds or not count:
    for _ in range(5):  # Waits often, so that few are queued.
      state, metrics = step(state, next(batches))
    jax.block_until_ready(metrics)
    count += 5
  return state, (time.perf_counter() - begun) / count

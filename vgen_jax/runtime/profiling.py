"""Traces of training steps, on request."""

import contextlib
import logging
from typing import Any

import jax

_log = logging.getLogger(__name__)


class Trace:
  """Traces some steps with `jax.profiler`; a context manager.

  Attributes:
    workdir: The trace goes to its folder `profile/`, which TensorBoard and
      xprof read.
    steps: (first, last) step to trace; None for none.
  """

  def __init__(self, workdir: str, steps: tuple[int, int] | None):
    self._folder = f'{workdir}/profile'
    self._steps = steps
    self._runs = False

  def __enter__(self) -> 'Trace':
    return self

  def __exit__(self, *error: object) -> None:
    self._stop()

  @contextlib.contextmanager
  def step(self, number: int) -> Any:
    """Surrounds one step."""
    first, last = self._steps or (0, -1)
    if first <= number <= last and not self._runs:
      jax.profiler.start_trace(self._folder)
      self._runs = True
    with jax.profiler.StepTraceAnnotation('train', step_num=number):
      yield

  def after(self, number: int, results: Any) -> None:
    """Ends the trace once the results of its last step are there."""
    if self._runs and number >= self._steps[1]:
      jax.block_until_ready(results)
      self._stop()

  def _stop(self) -> None:
    if self._runs:
      jax.profiler.stop_trace()
      self._runs = False
      _log.info('A trace of steps %s is in %s.', self._steps, self._folder)

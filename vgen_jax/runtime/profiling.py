"""Profiler traces of training steps."""

import contextlib
import logging
from typing import Any

import jax

_log = logging.getLogger(__name__)


class Trace:
  """Traces some steps with `jax.profiler`; a context manager."""

  def __init__(self, workdir: str, steps: tuple[int, int] | None):
    """Initializes the trace; `step` starts it.

    Args:
      workdir: Directory of the run. The trace is written to its folder
        `profile/`, which TensorBoard and xprof can read.
      steps: (first, last) step to trace; None for none.
    """
    self._folder = f'{workdir}/profile'
    self._steps = steps
    self._is_tracing = self._has_traced = False

  def __enter__(self) -> 'Trace':
    return self

  def __exit__(self, *error: object) -> None:
    self._stop()
    if self._steps and not self._has_traced:
      _log.warning(
        'No trace was written, because none of the steps %d to %d was made.',
        *self._steps,
      )

  @contextlib.contextmanager
  def step(self, number: int) -> Any:
    """Returns a context manager for one step."""
    first, last = self._steps or (0, -1)
    if first <= number <= last and not self._is_tracing:
      jax.profiler.start_trace(self._folder)
      self._is_tracing = self._has_traced = True
    with jax.profiler.StepTraceAnnotation('train', step_num=number):
      yield

  def after(self, number: int, results: Any) -> None:
    """Ends the trace after its last step.

    Args:
      number: Number of the step that was just completed.
      results: Arrays of the step, which are waited for.
    """
    if self._is_tracing and number >= self._steps[1]:
      jax.block_until_ready(results)
      self._stop()

  def _stop(self) -> None:
    if self._is_tracing:
      jax.profiler.stop_trace()
      self._is_tracing = False
      _log.info('Wrote a trace of steps %s to %s.', self._steps, self._folder)

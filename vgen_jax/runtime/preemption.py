"""Signals that ask a run to stop, so that it can save a checkpoint first."""

import logging
import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils

_log = logging.getLogger(__name__)


class Preemption:
  """Notices SIGTERM (a preemption) and SIGINT (Ctrl-C); a context manager.

  Within the context, the first signal is recorded and does not end the process;
  a second Ctrl-C ends it. This holds for runs of one process. With
  `jax.distributed`, the service of JAX receives SIGTERM and makes all processes
  agree on the step after which they stop, so that none waits for another;
  Ctrl-C then ends the process.
  """

  def __init__(self):
    self._signal: int | None = None
    self._old: dict[int, object] = {}

  def __enter__(self) -> 'Preemption':
    if threading.current_thread() is threading.main_thread():
      is_single = jax.process_count() == 1
      signals = [signal.SIGINT, signal.SIGTERM] if is_single else []
      self._old = {s: signal.signal(s, self._record) for s in signals}
    return self

  def __exit__(self, *error: object) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)

  def should_stop(self, step: int) -> bool:
    """Returns whether to stop after `step`; it is equal on all processes."""
    if jax.process_count() > 1:
      return multihost_utils.reached_preemption_sync_point(step)
    return self._signal is not None

  def _record(self, number: int, frame: FrameType | None) -> None:
    del frame
    if self._signal is not None and number == signal.SIGINT:
      raise KeyboardInterrupt
    self._signal = number
    _log.warning(
      '%s: saving a checkpoint, then stopping.', signal.Signals(number).name
    )

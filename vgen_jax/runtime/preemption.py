"""Signals that ask a run to stop, so that it can save a checkpoint first."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

import jax
from jax.experimental import multihost_utils

from vgen_jax.core.processes import signals

_log = logging.getLogger(__name__)


class Preemption:
  """Notices SIGTERM (a preemption) and SIGINT (Ctrl-C); a context manager.

  Within the context, the first signal is recorded and does not end the process;
  a second Ctrl-C ends it. This holds for runs of one process. With
  `jax.distributed`, the service of JAX receives SIGTERM and makes all processes
  agree on the call of `should_stop` after which they stop, so that none waits
  for another; Ctrl-C then ends the process.

  Attributes:
    has_stopped: Whether the work was stopped before its end; `status` then is
      that of the signal. The owner of the work sets it.
  """

  def __init__(self):
    self.has_stopped = False
    self._signal: int | None = None
    self._num_calls = 0
    self._old: dict[int, Any] = {}

  def __enter__(self) -> 'Preemption':
    if threading.current_thread() is threading.main_thread():
      is_single = jax.process_count() == 1
      numbers = [signal.SIGINT, signal.SIGTERM] if is_single else []
      self._old = {s: signal.signal(s, self._record) for s in numbers}
    return self

  def __exit__(self, *error: object) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)
    self._old = {}

  def should_stop(self) -> bool:
    """Returns whether to stop; it is equal on all processes.

    All processes must call it the same number of times, at the same points of
    the work. After the first True, all results are True.
    """
    if self._signal is None and jax.process_count() > 1:
      self._num_calls += 1
      if multihost_utils.reached_preemption_sync_point(self._num_calls):
        self._signal = signal.SIGTERM
    return self._signal is not None

  @property
  def status(self) -> int:
    """Exit status of the command: 0, or that of the signal that stopped it."""
    number = self._signal or signal.SIGTERM
    return signals.status(number) if self.has_stopped else 0

  def _record(self, number: int, frame: FrameType | None) -> None:
    del frame
    if self._signal is not None and number == signal.SIGINT:
      raise KeyboardInterrupt
    self._signal = number
    _log.warning(
      '%s: saving finished work, then stopping.', signal.Signals(number).name
    )

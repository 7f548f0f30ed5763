"""Notices that a run is asked to leave, so that it can save first."""

import logging
import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils

_log = logging.getLogger(__name__)


class Preemption:
  """Whether SIGTERM (a preemption) or SIGINT (Ctrl-C) has come.

  A context manager: within it, the first such signal is noted instead of
  killing; a second Ctrl-C kills. On one process, this handler notes them. With
  `jax.distributed`, JAX's own service sees SIGTERM and makes all processes
  agree on the step to stop at, so that none waits for one that has left; Ctrl-C
  then kills.
  """

  def __init__(self):
    self._signal: int | None = None
    self._old: dict[int, object] = {}

  def __enter__(self) -> 'Preemption':
    if threading.current_thread() is threading.main_thread():
      alone = jax.process_count() == 1
      signals = [signal.SIGINT, signal.SIGTERM] if alone else []
      self._old = {s: signal.signal(s, self._note) for s in signals}
    return self

  def __exit__(self, *error: object) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)

  def asked(self, step: int) -> bool:
    """Whether to stop after `step`; all processes get the same answer."""
    if jax.process_count() > 1:
      return multihost_utils.reached_preemption_sync_point(step)
    return self._signal is not None

  def _note(self, number: int, frame: FrameType | None) -> None:
    del frame
    if self._signal is not None and number == signal.SIGINT:
      raise KeyboardInterrupt
    self._signal = number
    _log.warning('%s: saving, then leaving.', signal.Signals(number).name)

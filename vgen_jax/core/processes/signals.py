"""Signals that ask a command to stop: SIGTERM, and SIGINT from Ctrl-C.

A command that is stopped by a signal before its end has the exit status that
shells give: 128 plus the number of the signal, 143 for SIGTERM and 130 for
SIGINT. So `vgen train && vgen evaluate` does not evaluate half a run.
"""

from collections.abc import Generator
import contextlib
import signal
import threading
from types import FrameType
from typing import NoReturn


class Stopped(SystemExit):
  """SIGTERM has arrived. Like KeyboardInterrupt, it is not an Exception."""

  def __init__(self):
    super().__init__(status(signal.SIGTERM))


def status(number: int) -> int:
  """Returns the exit status of a command that a signal has stopped early."""
  return 128 + number


@contextlib.contextmanager
def raising() -> Generator[None]:
  """Makes SIGTERM raise `Stopped`, so that files are closed and locks released.

  SIGINT raises KeyboardInterrupt, as always in Python. A second SIGTERM ends
  the process at once. Outside the main thread, the context does nothing.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  old = signal.getsignal(signal.SIGTERM)
  install()
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, old or signal.SIG_DFL)


def install() -> None:
  """Installs the handler of `raising`; another library may have replaced it."""
  if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, _raise)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
  del frame
  signal.signal(number, signal.SIG_DFL)
  raise Stopped

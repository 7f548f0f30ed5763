"""Signals that ask a command to stop: SIGTERM, and SIGINT from Ctrl-C.

A command that is stopped by a signal before its end has the exit status that
shells give: 128 plus the number of the signal, 143 for SIGTERM and 130 for
SIGINT. So `vgen train && vgen evaluate` does not evaluate half a run.
"""

from collections.abc import Generator
import contextlib
import ctypes
import queue
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

_PERIOD = 0.5  # Seconds after which an exception that was lost is raised again.

_watches: list['_Watch'] = []  # One for each context of `raising`.


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

  SIGINT raises KeyboardInterrupt, as always in Python, unless it is ignored, as
  in commands that a shell runs in the background. A second SIGTERM ends the
  process at once. Outside the main thread, the context does nothing.

  Python discards an exception that a signal raises within a finalizer or a
  callback of the garbage collector, and some libraries discard it elsewhere.
  The exception is then raised again, until it is handled.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  old = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
  _watches.append(_Watch())
  install()
  try:
    yield
  finally:
    _watches.pop().end()
    for number, handler in old.items():
      signal.signal(number, handler or signal.SIG_DFL)


def install() -> None:
  """Installs the handlers of `raising`; another library may replace them."""
  if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, _raise)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
      signal.signal(signal.SIGINT, _raise)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
  del frame
  kind = KeyboardInterrupt
  if number == signal.SIGTERM:
    signal.signal(number, signal.SIG_DFL)
    kind = Stopped
  if _watches:
    _watches[-1].expect(kind)
  raise kind


class _Watch:
  """A thread that raises the exception of a signal again if it was lost."""

  def __init__(self):
    self._kinds: queue.SimpleQueue[type[BaseException] | None] = (
      queue.SimpleQueue()  # Its `put` may be called within a handler.
    )
    self._has_ended = False
    self._lock = threading.Lock()
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def expect(self, kind: type[BaseException]) -> None:
    """Starts to check whether an exception is handled by the main thread."""
    self._kinds.put(kind)

  def end(self) -> None:
    """Ends the thread; nothing is raised any more."""
    while not self._has_ended:
      # What the thread has raised shortly before arrives within this block.
      with contextlib.suppress(KeyboardInterrupt, Stopped), self._lock:
        self._has_ended = True
    self._kinds.put(None)
    self._thread.join()

  def _run(self) -> None:
    kind = None
    while not self._has_ended:
      try:
        kind = self._kinds.get(timeout=None if kind is None else _PERIOD)
      except queue.Empty:
        with self._lock:
          if kind and not self._has_ended and not _is_being_handled():
            _raise_in_main_thread(kind)


def _is_being_handled() -> bool:
  """Returns whether the main thread cleans up after a signal.

  While it does, it is in a `finally`, an `except` or the exit of a `with`.
  """
  found = sys._current_exceptions().get(threading.main_thread().ident)
  error = found[1] if isinstance(found, tuple) else found  # Python 3.11.
  while error is not None:
    if isinstance(error, KeyboardInterrupt | Stopped):
      return True
    error = error.__context__
  return False


def _raise_in_main_thread(kind: type[BaseException]) -> None:
  """Raises an exception as soon as the thread executes Python code."""
  ctypes.pythonapi.PyThreadState_SetAsyncExc(
    ctypes.c_ulong(threading.main_thread().ident or 0), ctypes.py_object(kind)
  )

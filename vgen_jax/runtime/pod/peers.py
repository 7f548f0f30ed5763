"""Monitoring of the processes of a pod: when one is lost, the others end.

Without monitoring, processes wait in a collective operation for one that was
killed, and JAX ends them after minutes with a C++ stack trace. Here each
process writes a counter to the key-value store of `jax.distributed` every few
seconds. Process 0 reads all counters, and announces a process whose counter has
stopped. All others then end with one line that names its host, within a minute.

If process 0 is lost, the store is also lost, and JAX immediately ends the other
processes with its stack trace. A line that names the host of process 0 follows.
"""

from collections.abc import Callable
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

PERIOD = 5.0  # Seconds between two rounds.
PATIENCE = 30.0  # Seconds without a response after which a process is lost.
# Process 0 ends later, since all others end with a stack when it does.
DELAY = 8.0
_PREFIX = 'vgen_jax/alive/'
_VERDICT = 'vgen_jax/lost'
_DONE, _FAILED = 'done', 'failed'


def _end(line: str) -> NoReturn:
  """Ends the process: its main thread may be waiting forever."""
  print(line, file=sys.stderr, flush=True)
  os._exit(1)


class Peers:
  """Monitors the processes of a pod; each process has its own object."""

  def __init__(
    self,
    client: Any,
    index: int,
    count: int,
    *,
    clock: Callable[[], float] = time.monotonic,
    end: Callable[[str], Any] = _end,
  ):
    """Prepares the monitoring; `start` starts it.

    Args:
      client: Client of the key-value store of `jax.distributed`.
      index: Index of this process.
      count: Number of processes.
      clock: Function that returns the time in seconds.
      end: Function that prints a line and ends the process.
    """
    self._client = client
    self._index = index
    self._count = count
    self._clock = clock
    self._end = end
    self._hosts = {index: socket.gethostname()}
    self._number = 0
    self._seen: dict[int, tuple[str, float]] = {}
    self._failures = 0
    self._stopped = threading.Event()
    self._handler: Any = None

  def start(self) -> None:
    """Starts the monitoring in a thread."""
    self._say('0')
    threading.Thread(target=self._run, daemon=True).start()
    self._handler = _after_abort(self._abort_line())

  def finish(self) -> None:
    """Ends the monitoring, because this process has done its work."""
    self._stopped.set()
    self._say(_DONE)

  def fail(self) -> None:
    """Announces that this process ends with an error, so that others end, too.

    Process 0 waits until the others have been notified.
    """
    self._stopped.set()
    self._say(_FAILED)
    if self._index == 0:
      self._set(_VERDICT, self._line(0, 'stopped with an error'))
      time.sleep(DELAY)

  def wait_for_verdict(self) -> None:
    """Waits until the monitoring has found which process is lost, if any.

    The monitoring then ends this process. The error of a collective operation,
    for example, does not say which process has not taken part.
    """
    self._stopped.wait(PATIENCE + 2 * PERIOD + DELAY)

  def round(self) -> None:
    """Writes this process's counter, and checks whether a process is lost.

    Process 0 reads the counters of all processes; the others read whether
    process 0 has announced a lost process.
    """
    self._number += 1
    if not self._say(str(self._number)):
      self._failures += 1
      if self._failures > 2 and self._index:
        self._end(self._line(0, 'cannot be reached'))
      return
    self._failures = 0
    if self._index == 0:
      self._check_others()
    elif verdict := self._get(_VERDICT):
      self._end(verdict)

  def _check_others(self) -> None:
    """Announces a process that is lost; only process 0 does this."""
    now = self._clock()
    for key, value in self._client.key_value_dir_get(_PREFIX):
      process = int(key.rpartition('/')[2])
      word, _, self._hosts[process] = value.partition(' ')
      before, since = self._seen.get(process, ('', now))
      if word != before:
        self._seen[process] = word, now
      if process == 0 or word == _DONE:
        continue
      if word == _FAILED:
        self._announce(process, 'stopped with an error')
      elif word == before and now - since > PATIENCE:
        why = f'has not responded for {now - since:.0f} s'
        self._announce(process, why)

  def _announce(self, process: int, why: str) -> None:
    """Informs all other processes that one is lost, then ends this one."""
    line = self._line(process, why)
    self._set(_VERDICT, line)
    self._stopped.wait(DELAY)
    self._end(line)

  def _line(self, process: int, why: str) -> str:
    host = self._hosts.get(process, 'unknown')
    return (
      f'vgen: process {process} of {self._count}, on host {host}, {why}; all'
      ' processes of the run end. Repeat the command to resume.'
    )

  def _abort_line(self) -> bytes:
    """Returns the line to print after JAX has aborted this process."""
    if self._index:
      self._hosts[0] = self._get(f'{_PREFIX}0').partition(' ')[2] or 'unknown'
    own = f'process {self._index} of {self._count}'
    return (
      f'\nvgen: {own}, on host {self._hosts[self._index]}, was ended by JAX;'
      ' the reason is above. Most often, the connection to process 0, on host'
      f' {self._hosts[0]}, was lost. Repeat the command to resume.\n'
    ).encode()

  def _run(self) -> None:
    while not self._stopped.wait(PERIOD):
      self.round()

  def _say(self, word: str) -> bool:
    key = f'{_PREFIX}{self._index}'
    return self._set(key, f'{word} {self._hosts[self._index]}')

  def _set(self, key: str, value: str) -> bool:
    """Writes to the store; returns False if it cannot be reached."""
    try:
      self._client.key_value_set(key, value, allow_overwrite=True)
    except Exception:
      return False
    return True

  def _get(self, key: str) -> str:
    """Returns a value of the store; '' if there is none."""
    try:
      return self._client.key_value_try_get(key)
    except Exception:
      return ''


def _after_abort(line: bytes) -> Any:
  """Makes an abort of C++ code write a line and end with status 1.

  Python's own handlers of signals do not run then, because they wait for the
  main thread, which does not go on.

  Returns:
    The handler, to which the caller must keep a reference.
  """

  def last_words(number: int) -> None:
    del number
    os.write(2, line)
    os._exit(1)

  handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(last_words)
  libc = ctypes.CDLL(None)
  libc.signal.argtypes = [ctypes.c_int, ctypes.CFUNCTYPE(None, ctypes.c_int)]
  libc.signal.restype = ctypes.c_void_p
  libc.signal(signal.SIGABRT, handler)
  return handler

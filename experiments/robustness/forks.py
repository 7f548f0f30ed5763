"""Forked processes that run commands, and resources that they leave open."""

from collections.abc import Callable
import os
import pathlib
import signal
import sys
import time
import traceback

_LIMIT = 240.0  # Seconds after which a command counts as hanging.


class Child:
  """A fork that calls a function; its output goes to a file."""

  def __init__(self, function: Callable[[], int], log: pathlib.Path):
    self.pid = os.fork()
    if self.pid == 0:
      status = 99
      try:
        os.setsid()
        # A shell that starts this process in the background ignores SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        status = function()
      except KeyboardInterrupt:  # Before the command handles signals.
        status = 128 + signal.SIGINT
      except BaseException:
        traceback.print_exc()
      finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    self._status = None

  def poll(self) -> int | None:
    if self._status is None:
      pid, status = os.waitpid(self.pid, os.WNOHANG)
      self._status = os.waitstatus_to_exitcode(status) if pid else None
    return self._status

  def wait(self) -> int:
    end = time.monotonic() + _LIMIT
    while self.poll() is None:
      time.sleep(0.02)
      if time.monotonic() > end:
        os.killpg(self.pid, signal.SIGKILL)
        end += _LIMIT
    return self._status

  def group(self) -> list[int]:
    """Returns the processes of the session that are left after some seconds."""
    for _ in range(100):
      found = []
      for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
          fields = stat.read_text().rpartition(')')[2].split()
        except OSError:
          continue
        if fields[3] == str(self.pid) and fields[0] not in ('Z', 'X'):
          found.append(int(stat.parent.name))
      if not found:
        return []
      time.sleep(0.1)
    return found


def shared_memory() -> set[str]:
  """Returns the names of shared memory that Python has created."""
  names = os.listdir('/dev/shm') if os.path.isdir('/dev/shm') else []
  return {name for name in names if name.startswith('psm_')}

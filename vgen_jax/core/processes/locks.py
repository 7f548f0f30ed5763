"""Locks of folders, so that two processes do not write the same files.

A lock is a file with the host, the process and the time of its owner. Locks do
not rely on `flock`, which network file systems may not support: the file is
created by a hard link, which is atomic on NFS, too, and its owner touches it
every few seconds.

A lock whose owner was killed is stale. On the same machine, this is known from
the list of processes. Elsewhere, a lock that is not touched for
`PATIENCE` seconds is stale. Stale locks are reported and taken over. On buckets
(gs://...) files cannot be created exclusively; there, two processes that start
within the same second may both get the lock.
"""

from collections.abc import Generator
import contextlib
import datetime
import json
import logging
import os
import pathlib
import socket
import sys
import threading
import time
from typing import Any
import uuid

from etils import epath

from vgen_jax.core import file_paths

_log = logging.getLogger(__name__)

NAME = '.lock'
PERIOD = 5.0  # Seconds between two touches of a lock.
PATIENCE = 30.0  # Seconds without a touch after which a lock is stale.


class LockedError(OSError):
  """Another process holds the lock."""


@contextlib.contextmanager
def held(folder: epath.PathLike, name: str = NAME) -> Generator[None]:
  """Holds the lock of a folder.

  Args:
    folder: Local or gs:// directory; it is created if it does not exist.
    name: Name of the file of the lock.

  Raises:
    LockedError: If another process, or this one, holds the lock.
  """
  lock = _Lock(file_paths.read(folder), name)
  try:
    yield
  finally:
    lock.release()


class _Lock:
  """A lock that this process holds, until `release`."""

  def __init__(self, folder: epath.Path, name: str):
    folder.mkdir(parents=True, exist_ok=True)
    self._file = folder / name
    self._owner = _owner()
    while not self._create():
      self._remove_if_stale()
    self._end = threading.Event()
    self._thread = threading.Thread(target=self._touch, daemon=True)
    self._thread.start()

  def release(self) -> None:
    """Removes the file, unless another process has taken over the lock."""
    try:
      self._release()
    except (KeyboardInterrupt, SystemExit):  # A signal has interrupted it.
      self._release()
      raise

  def _release(self) -> None:
    self._end.set()
    self._thread.join()
    if _read(self._file) == self._owner:
      self._file.unlink(missing_ok=True)

  def _create(self) -> bool:
    """Creates the file with its content; returns False if it exists."""
    text = json.dumps(self._owner) + '\n'
    if '://' in str(self._file):
      if self._file.exists():
        return False
      self._file.write_text(text)
      return True
    temporary = pathlib.Path(f'{self._file}.{self._owner["id"]}')
    try:
      temporary.write_text(text)
      return self._link(temporary, text)
    finally:
      temporary.unlink(missing_ok=True)

  def _link(self, temporary: pathlib.Path, text: str) -> bool:
    """Gives a file the name of the lock; returns False if that exists."""
    try:
      os.link(temporary, self._file)
    except FileExistsError:
      return False
    except OSError:  # The file system has no hard links.
      try:
        with open(self._file, 'x') as opened:
          opened.write(text)
      except FileExistsError:
        return False
    return True

  def _remove_if_stale(self) -> None:
    """Removes the lock of a process that has ended.

    Raises:
      LockedError: If the process is alive.
    """
    other = _read(self._file)
    if other is None:
      return  # It was released in the meantime.
    alive = _is_alive(other)
    if alive is None:
      alive = self._is_touched(other)
      if _read(self._file) != other:
        return  # It was released, or another process has taken it over.
    who = describe(other)
    if alive:
      raise LockedError(
        f'{self._file.parent} is in use by {who}. Wait until that process ends,'
        ' stop it, or use another folder.'
      )
    if '://' in str(self._file):
      self._take_over(other)
      return
    # Only one process at a time may remove a lock, so that none removes that of
    # a process which has just taken over.
    guard = pathlib.Path(f'{self._file}.takeover')
    try:
      os.close(os.open(guard, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
      with contextlib.suppress(FileNotFoundError):
        if time.time() - guard.stat().st_mtime > PATIENCE:
          guard.unlink()  # Its process was killed.
      time.sleep(0.02)
      return
    try:
      if _read(self._file) == other:
        self._take_over(other)
    finally:
      guard.unlink(missing_ok=True)

  def _take_over(self, other: dict[str, Any]) -> None:
    """Removes the lock of a process that has ended, with a warning."""
    _log.warning(
      'Taking over the lock of %s, because its owner has ended: %s.',
      self._file.parent,
      describe(other),
    )
    self._file.unlink(missing_ok=True)

  def _is_touched(self, other: dict[str, Any]) -> bool:
    """Waits for a touch by the owner; returns False if none comes."""
    _log.info(
      'Waiting up to %.0f s to see whether the owner of %s is alive: %s.',
      PATIENCE,
      self._file,
      describe(other),
    )
    first, end = _touched(self._file), time.monotonic() + PATIENCE
    while time.monotonic() < end:
      time.sleep(min(1.0, PATIENCE / 10))
      if _read(self._file) != other:
        return False
      if _touched(self._file) != first:
        return True
    return False

  def _touch(self) -> None:
    """Touches the file regularly, in a thread."""
    while not self._end.wait(PERIOD):
      try:
        if _read(self._file) != self._owner:
          _log.error(
            '%s is no longer the lock of this process: it was removed, or'
            ' another process has taken it over.',
            self._file,
          )
          return
        if '://' in str(self._file):
          self._file.write_text(json.dumps(self._owner) + '\n')
        else:
          os.utime(self._file)
      except OSError as error:
        _log.debug('%s could not be touched: %s', self._file, error)


def describe(owner: dict[str, Any]) -> str:
  """Returns the owner of a lock in words."""
  return (
    f'process {owner.get("pid")} on host {owner.get("host")}, since'
    f' {owner.get("time")} ({owner.get("command")})'
  )


def _owner() -> dict[str, Any]:
  """Returns the description of this process that its locks contain."""
  now = datetime.datetime.now().astimezone().isoformat(timespec='seconds')
  return {
    'host': socket.gethostname(),
    'pid': os.getpid(),
    'time': now,
    'command': ' '.join([os.path.basename(sys.argv[0] or ''), *sys.argv[1:2]]),
    'started': _start(os.getpid()),
    'machine': _machine(),
    'id': uuid.uuid4().hex,
  }


def _is_alive(owner: dict[str, Any]) -> bool | None:
  """Returns whether a process is alive; None if that cannot be known here."""
  if not _machine() or owner.get('machine') != _machine():
    return None
  return _start(owner.get('pid', 0)) == owner.get('started')


def _machine() -> str:
  """Returns an identifier of this boot and PID namespace; '' if unknown."""
  try:
    boot = pathlib.Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    return f'{boot} {os.readlink("/proc/self/ns/pid")}'
  except OSError:
    return ''


def _start(pid: int) -> str:
  """Returns when a process started; '' if there is none.

  Process ids are reused; together with the start time they are unique.
  """
  try:
    text = pathlib.Path(f'/proc/{int(pid)}/stat').read_text()
  except (OSError, ValueError):
    return ''
  fields = text.rpartition(')')[2].split()
  is_zombie = fields[0] in ('Z', 'X')
  return '' if is_zombie else fields[19]


def _read(file: epath.Path) -> dict[str, Any] | None:
  """Returns the owner of a lock; None if there is no lock."""
  try:
    text = file.read_text()
  except (FileNotFoundError, NotADirectoryError):
    return None
  try:
    owner = json.loads(text)
  except ValueError:
    owner = None
  return owner if isinstance(owner, dict) else {'id': text}


def _touched(file: epath.Path) -> Any:
  """Returns a value that changes when a file is touched."""
  try:
    if '://' in str(file):
      return file.stat().mtime
    with open(file, 'rb') as opened:  # Refreshes NFS caches.
      return os.fstat(opened.fileno()).st_mtime_ns
  except OSError:
    return None

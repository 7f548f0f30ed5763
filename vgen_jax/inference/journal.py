"""Record of a run's processes: when, where and with what each was started.

A workdir has

  starts.jsonl  a line of JSON for each start of the run, and one for its end:
                time, command, versions, git commits, devices
  log.txt       all messages of the run, with times
"""

from collections import deque
from collections.abc import Iterable, Sequence
import contextlib
import datetime
import importlib.metadata
import json
import logging
import os
import pathlib
import platform
import socket
import subprocess
import sys
import time
from typing import Any

from etils import epath
import jax

import vgen_jax
from vgen_jax.core import file_paths
from vgen_jax.training import hooks
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState

STARTS = 'starts.jsonl'
LOG = 'log.txt'

_LOGGER = 'vgen_jax'
_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'grain')
_MAX_LINES = 1_000  # Kept before the workdir may be written to.


class Journal(hooks.Hook):
  """Writes `starts.jsonl` and `log.txt`; only process 0 writes."""

  def __init__(self):
    self._handler: _LogFile | None = None
    self._folder: epath.Path | None = None
    self._since = time.monotonic()
    self._step = 0

  def on_setup(self, setup: setup_lib.Setup, workdir: str) -> None:
    """Keeps messages until `on_start`, when the workdir may be written to."""
    self._since = time.monotonic()
    if jax.process_index() == 0:
      self._handler = _LogFile()
      _attach(self._handler)

  def on_start(self, run: hooks.Run, state: TrainState) -> None:
    self._step = run.first_step
    if jax.process_index():
      return
    self._folder = file_paths.read(run.workdir)
    entry = {'event': 'start', 'step': run.first_step, **facts(run.setup)}
    _append(self._folder / STARTS, json.dumps(entry) + '\n')
    if self._handler is not None:
      self._handler.open(self._folder / LOG)

  def on_step(
    self, step: int, state: TrainState, *, last: bool, stopping: bool
  ) -> None:
    self._step = step

  def close(self) -> None:
    """Records the end of the process, also after an error."""
    if self._folder is not None:
      error = sys.exception()
      entry = {
        'event': 'end',
        'step': self._step,
        'time': _now(),
        'seconds': round(time.monotonic() - self._since, 1),
        'error': type(error).__name__ if error else None,
      }
      _append(self._folder / STARTS, json.dumps(entry) + '\n')
      self._folder = None
    if self._handler is not None:
      logging.getLogger(_LOGGER).removeHandler(self._handler)
      self._handler.close()
      self._handler = None


def facts(setup: setup_lib.Setup) -> dict[str, Any]:
  """Returns information about this process, as plain JSON values."""
  return {
    'time': _now(),
    'command': [str(word) for word in sys.argv],
    'folder': os.getcwd(),
    'host': socket.gethostname(),
    'pid': os.getpid(),
    'commit': git_commit(pathlib.Path(vgen_jax.__file__).parent),
    'commit_of_folder': git_commit(pathlib.Path.cwd()),
    'versions': {
      'python': platform.python_version(),
      'vgen_jax': vgen_jax.__version__,
      **{name: _version(name) for name in _PACKAGES},
    },
    'devices': f'{setup.mesh.size} x {setup.mesh.devices.flat[0].device_kind}',
    'num_processes': jax.process_count(),
    'environment': {
      name: value
      for name, value in sorted(os.environ.items())
      if name.startswith(('JAX_', 'XLA_'))
    },
  }


def git_commit(folder: pathlib.Path) -> str | None:
  """Returns the commit of a folder's repository, with '-dirty' after changes.

  Args:
    folder: Folder in the repository.

  Returns:
    The commit; None if no git repository tracks the folder, or git is not
    installed.
  """
  git = ['git', '-C', str(folder)]
  commit = _output([*git, 'rev-parse', 'HEAD'])
  # A folder may be ignored by the repository around it, as site-packages are.
  if commit is None or not _output([*git, 'ls-files', '.']):
    return None
  changes = _output([*git, 'status', '--porcelain', '--untracked-files=no'])
  return commit + ('-dirty' if changes else '')


class _LogFile(logging.Handler):
  """Keeps the last messages until it is opened, then appends to a file."""

  def __init__(self):
    super().__init__()
    self.setFormatter(
      logging.Formatter('%(asctime)s %(levelname)s %(message)s')
    )
    self._lines: deque[str] = deque(maxlen=_MAX_LINES)
    self._file: epath.Path | None = None

  @property
  def is_open(self) -> bool:
    """Whether messages are written to a file."""
    return self._file is not None

  def open(self, file: epath.Path) -> None:
    """Writes the messages so far and all later ones to a file."""
    self._file = file
    _append_if_possible(file, self._lines)
    self._lines.clear()

  def emit(self, record: logging.LogRecord) -> None:
    line = self.format(record) + '\n'
    if self._file is None:
      self._lines.append(line)
    else:
      _append_if_possible(self._file, [line])


def _attach(handler: _LogFile) -> None:
  """Adds a handler; removes those of runs that failed before their start."""
  logger = logging.getLogger(_LOGGER)
  for other in list(logger.handlers):
    if isinstance(other, _LogFile) and not other.is_open:
      logger.removeHandler(other)
  logger.addHandler(handler)


def _append_if_possible(file: epath.Path, lines: Iterable[str]) -> None:
  """Appends lines; a full disk must not stop a run because of its log."""
  with contextlib.suppress(OSError):
    _append(file, ''.join(lines))


def _append(file: epath.Path, text: str) -> None:
  if '://' in str(file):  # Buckets have no mode 'append'.
    old = file.read_text() if file.exists() else ''
    file.write_text(old + text)
    return
  with file.open('a') as opened:
    opened.write(text)


def _now() -> str:
  return datetime.datetime.now().astimezone().isoformat(timespec='seconds')


def _version(name: str) -> str | None:
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None


def _output(command: Sequence[str]) -> str | None:
  """Returns the output of a command; None if it fails."""
  try:
    done = subprocess.run(
      command, capture_output=True, text=True, check=True, timeout=20
    )
  except (OSError, subprocess.SubprocessError):
    return None
  return done.stdout.strip()

"""Workdirs: each contains one run, with the config that it was started with."""

from collections.abc import Generator
import contextlib
import dataclasses
import logging

import jax
from jax.experimental import multihost_utils
import numpy as np

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import atomic_files
from vgen_jax.core import file_paths
from vgen_jax.core.processes import locks
from vgen_jax.data import run_schema
from vgen_jax.runtime import checkpoints as checkpoints_lib

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(folder: str, name: str = locks.NAME) -> Generator[None]:
  """Holds the lock of a folder; the processes of a pod hold it together.

  All processes of a pod must enter the context at the same point. Process 0
  writes the file.

  Args:
    folder: Local or gs:// directory, such as a workdir.
    name: Name of the file of the lock.

  Raises:
    locks.LockedError: If another run is using the folder.
  """
  with contextlib.ExitStack() as stack:
    error = None
    if jax.process_index() == 0:
      try:
        stack.enter_context(locks.held(folder, name))
      except OSError as refused:
        error = refused
    if jax.process_count() > 1:
      has_failed = np.array(error is not None)
      if multihost_utils.broadcast_one_to_all(has_failed) and error is None:
        error = locks.LockedError(
          f'Process 0 did not get the lock of {folder}; its message says why.'
        )
    if error is not None:
      raise error
    yield


def claim(
  workdir: str, settings: settings_lib.Settings
) -> settings_lib.Settings | None:
  """Writes `config.json`, unless the workdir contains a run of another config.

  The file has all fields, also those whose values are defaults.

  Args:
    workdir: Local or gs:// directory; it is created if it does not exist.
    settings: Settings of the run to start or to resume.

  Returns:
    The settings with which the run has been trained so far; None if it has no
    checkpoint.

  Raises:
    ValueError: If a field that cannot change on resume has changed, or the run
      has made more steps than the settings allow.
  """
  old = check(workdir, settings)
  folder = file_paths.read(workdir)
  folder.mkdir(parents=True, exist_ok=True)
  file = folder / 'config.json'
  text = config_lib.to_json(dataclasses.asdict(settings))
  if jax.process_count() > 1:  # All processes have read the old file by then.
    multihost_utils.sync_global_devices('config.json')
  is_writer = jax.process_index() == 0
  if is_writer and (not file.exists() or file.read_text() != text):
    atomic_files.write_text(file, text)
  return old


def check(
  workdir: str, settings: settings_lib.Settings
) -> settings_lib.Settings | None:
  """Checks that a run may be started or resumed in a workdir; writes nothing.

  Args:
    workdir: Local or gs:// directory, which need not exist.
    settings: Settings of the run to start or to resume.

  Returns:
    The settings with which the run has been trained so far; None if it has no
    checkpoint.

  Raises:
    ValueError: If a field that cannot change on resume has changed, or the run
      has made more steps than the settings allow.
  """
  if file_paths.is_file(file_paths.read(workdir)):
    raise ValueError(
      f'The workdir {workdir} is a file; it must be a directory.'
    )
  file = file_paths.read(workdir) / 'config.json'
  new = dataclasses.asdict(settings)
  steps = checkpoints_lib.steps(workdir)
  old = None
  if file.exists() and steps:
    old = settings_lib.read(config_lib.load(str(file)))
    changed = [
      field
      for field in config_lib.differences(dataclasses.asdict(old), new)
      if not settings_lib.may_change_on_resume(field.path)
    ]
    if changed:
      path, before, asked = changed[0]
      others = ', '.join(field.path for field in changed[1:])
      raise ValueError(
        f'{workdir} was trained with {path}={before!r}; you asked for'
        f' {asked!r}. This field cannot change on resume: use a new --workdir,'
        f' or resume with --config={file}.'
        + (f' Also changed: {others}.' if others else '')
      )
    if settings.num_steps < steps[-1]:
      raise ValueError(
        f'config.num_steps is {settings.num_steps}, but the run in {workdir}'
        f' has made {steps[-1]} steps; it must be at least {steps[-1]}.'
      )
  return old


def recorded_schema(workdir: str) -> run_schema.RunSchema | None:
  """Returns the schema of the run to resume; None if there is none.

  The log warns of a run that has checkpoints and no schema.

  Raises:
    ValueError: If the file is damaged.
  """
  if not checkpoints_lib.steps(workdir):
    return None  # A run that has no checkpoint starts from the beginning.
  recorded = run_schema.read(workdir)
  if recorded is None:
    _log.warning(
      '%s has checkpoints, but no %s, because an older version wrote it. The'
      ' file is now written from the data. It cannot be checked that labels'
      ' mean the same classes as before.',
      workdir,
      run_schema.FILE,
    )
  return recorded

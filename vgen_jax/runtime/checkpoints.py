"""Checkpoints of a run, written in the background while it trains."""

from collections.abc import Mapping
import logging
import math
from typing import Any

from etils import epath
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from vgen_jax.core import disk
from vgen_jax.core import file_paths
from vgen_jax.runtime import damage
from vgen_jax.runtime import mismatch

_log = logging.getLogger(__name__)

PyTree = Any


class Checkpoints:
  """The checkpoints of one workdir, in its folders `checkpoints/<step>`.

  Only complete checkpoints are visible: Orbax writes each under another name
  and renames it at the end, so nothing is lost if the process is killed.

  Attributes:
    folder: Folder of the checkpoints.
  """

  def __init__(self, workdir: str, keep: int = 2, best: str = ''):
    """Opens the checkpoints of a workdir.

    Args:
      workdir: Local or gs:// directory of the run.
      keep: Number of latest checkpoints to keep.
      best: Metric whose best checkpoint is kept, too; '' for none. The lowest
        value is best; with a '-' in front of the name, the highest.

    Raises:
      ValueError: If the stored metrics of a checkpoint are damaged.
    """
    self.folder = folder_of(workdir)
    self._best = best.removeprefix('-')
    for step in steps(workdir):  # Orbax reads them, whatever `best` is.
      damage.check_metrics(self.folder / str(step))
    policies = [preservation_policy.LatestN(keep)]
    best_fn = None
    if best:
      sign = 1 if best.startswith('-') else -1
      best_fn = lambda metrics: sign * metrics.get(self._best, -sign * math.inf)
      policies.append(
        preservation_policy.BestN(get_metric_fn=best_fn, n=1, reverse=False)
      )
    self._manager = ocp.CheckpointManager(
      self.folder,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
        best_fn=best_fn,
        best_mode='max',
        enable_async_checkpointing=True,
      ),
      item_handlers=ocp.StandardCheckpointHandler(),
    )

  def latest_step(self) -> int | None:
    """Returns the step of the latest checkpoint; None if there is none."""
    return self._manager.latest_step()

  def best_step(self) -> int | None:
    """Returns the step of the best checkpoint; None if `best` is ''."""
    return self._manager.best_step() if self._best else None

  def restore(self, state: PyTree) -> PyTree:
    """Returns the latest checkpoint, or `state` if there is none.

    Args:
      state: Tree of arrays or of their shapes, with the shardings that the
        result has.

    Raises:
      ValueError: If the tree of the checkpoint differs (the message names the
        first difference), the checkpoint cannot be read, or its values are not
        those that were saved (the message names the first array, and the
        checkpoints that are intact).
    """
    step = self.latest_step()
    if step is None:
      return state
    try:
      return self._restored(step, state)
    except mismatch.MismatchError:
      raise
    except ValueError as error:
      raise ValueError(f'{error}{self._remedy(step, state)}') from error

  def _restored(self, step: int, state: PyTree) -> PyTree:
    """Returns a checkpoint after all checks.

    Raises:
      MismatchError: If its tree differs.
      ValueError: If it cannot be read or is damaged.
    """
    try:
      metadata = self._manager.item_metadata(step)
      if getattr(metadata, 'tree', metadata) is None:
        raise ValueError('The metadata of its arrays is missing.')
      mismatch.check_same_tree(metadata, state, self._at(step))
      found = self._manager.restore(step, args=ocp.args.StandardRestore(state))
    except mismatch.MismatchError:
      raise
    except Exception as error:
      if 'structures do not match' in str(error):  # Only empty nodes differ.
        raise mismatch.MismatchError(
          f'{self._at(step)} belongs to a run with another optimizer. Use the'
          ' config.json of that workdir, or another workdir.'
        ) from error
      raise ValueError(
        f'The checkpoint {self._at(step)} cannot be read: {first_line(error)}'
      ) from error
    damage.check(self.folder / str(step), found)
    return found

  def save(
    self, step: int, state: PyTree, metrics: Mapping[str, float]
  ) -> None:
    """Copies the state to the host and writes it in the background.

    Nothing is done if the latest checkpoint is of this step.

    Args:
      step: Number of the checkpoint.
      state: Tree of arrays to save.
      metrics: Metrics of this step. Only `best` is used; a step without a
        finite value of it is never the best one.

    Raises:
      OSError: If this or the previous checkpoint could not be written, or
        another process writes to this workdir, too.
    """
    if step == self.latest_step():
      return
    if (self.folder / str(step)).exists():
      raise OSError(
        f'{self._at(step)} exists, but this process has not written it: another'
        ' process trains in this workdir. Stop one of them.'
      )
    kept = None
    if self._best:  # Orbax would treat NaN as the best value.
      value = metrics.get(self._best, math.nan)
      kept = {self._best: float(value)} if math.isfinite(value) else {}
    try:
      self._manager.save(
        step,
        args=ocp.args.StandardSave(state),
        metrics=kept,
        custom_metadata=damage.metadata(state, kept),
        force=True,
      )
      self._manager.check_for_errors()
    except Exception as error:
      raise OSError(self._unwritten(error)) from error

  def wait(self) -> None:
    """Waits until all checkpoints are written.

    Raises:
      OSError: If one of them could not be written.
    """
    try:
      self._manager.wait_until_finished()
      self._manager.check_for_errors()
    except Exception as error:
      raise OSError(self._unwritten(error)) from error

  def close(self) -> None:
    """Waits until all checkpoints are written, then closes the folder."""
    try:
      self.wait()
    finally:
      self._manager.close()

  def _at(self, step: int) -> str:
    return str(self.folder / str(step))

  def _unwritten(self, error: Exception) -> str:
    complete = sorted(
      int(p.name) for p in self.folder.glob('*') if p.name.isdigit()
    )
    return (
      f'A checkpoint could not be written to {self.folder}:'
      f' {first_line(error)} The checkpoints of steps {complete} are complete.'
      ' Free some disk space, then repeat the command to resume.'
    )

  def _remedy(self, step: int, state: PyTree) -> str:
    """Returns advice for a checkpoint that cannot be used."""

    def is_intact(other: int) -> bool:
      try:
        self._restored(other, state)
      except ValueError:
        return False
      return True

    older = [s for s in self._manager.all_steps() if s < step]
    if jax.process_count() == 1:  # An error may be that of one process only.
      older = [s for s in older if is_intact(s)]
    first = f'step {max(older)}' if older else 'the start'
    return (
      f' Older checkpoints that are intact: {older or "none"}. Delete'
      f' {self._at(step)} to resume from {first}.'
    )


def steps(workdir: str) -> list[int]:
  """Returns the steps of all complete checkpoints of a workdir, sorted."""
  folder = folder_of(workdir)
  if not folder.exists():
    return []
  return sorted(ocp.utils.checkpoint_steps(folder))


def folder_of(workdir: str) -> epath.Path:
  """Returns the folder of the checkpoints of a workdir."""
  path = file_paths.read(workdir)
  if '://' not in workdir:  # `resolve` would make a bucket a local folder.
    path = path.resolve()
  return path / 'checkpoints'


def first_line(error: BaseException) -> str:
  """Returns the original cause of an error in one line."""
  if disk.is_full(error):
    return disk.FULL
  while error.__cause__ is not None:
    error = error.__cause__
  text = str(error).strip().splitlines() or ['']
  _log.debug('%r', error)
  line = text[0] if len(text[0]) < 300 else text[0][:300] + '...'
  return f'{type(error).__name__}: {line}' + ('' if line.endswith('.') else '.')

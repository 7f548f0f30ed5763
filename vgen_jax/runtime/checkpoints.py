"""Checkpoints of a run, written in the background while it trains."""

from collections.abc import Mapping
import logging
import math
from typing import Any

from etils import epath
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from vgen_jax.core import file_paths
from vgen_jax.runtime import mismatch
from vgen_jax.runtime import sharding

_log = logging.getLogger(__name__)

PyTree = Any
_ITEM = 'default'  # Orbax's name of the folder with the arrays of a step.


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
    """
    self.folder = _folder(workdir)
    self._best = best.removeprefix('-')
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
        first difference), or the checkpoint cannot be read.
    """
    step = self.latest_step()
    if step is None:
      return state
    try:
      mismatch.check_same_tree(
        self._manager.item_metadata(step), state, self._at(step)
      )
      return self._manager.restore(step, args=ocp.args.StandardRestore(state))
    except mismatch.MismatchError:
      raise
    except Exception as error:
      if 'structures do not match' in str(error):  # Only empty nodes differ.
        raise mismatch.MismatchError(
          f'{self._at(step)} belongs to a run with another optimizer. Use the'
          ' config.json of that workdir, or another workdir.'
        ) from error
      raise ValueError(self._unreadable(step, error)) from error

  def save(
    self, step: int, state: PyTree, metrics: Mapping[str, float]
  ) -> None:
    """Copies the state to the host and writes it in the background.

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
      kept = {self._best: value} if math.isfinite(value) else {}
    try:
      self._manager.save(
        step, args=ocp.args.StandardSave(state), metrics=kept, force=True
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
      f' {_first_line(error)} The checkpoints of steps {complete} are complete.'
      ' Free some disk space, then repeat the command to resume.'
    )

  def _unreadable(self, step: int, error: Exception) -> str:
    older = [s for s in self._manager.all_steps() if s < step]
    first = f'step {max(older)}' if older else 'the start'
    return (
      f'The checkpoint {self._at(step)} cannot be read: {_first_line(error)}'
      f' Delete that folder to resume from {first}.'
    )


def steps(workdir: str) -> list[int]:
  """Returns the steps of all complete checkpoints of a workdir, sorted."""
  folder = _folder(workdir)
  if not folder.exists():
    return []
  return sorted(ocp.utils.checkpoint_steps(folder))


def tree(workdir: str) -> dict[str, Any]:
  """Returns the tree of the latest checkpoint, {'params': {...}, ...}.

  Its leaves are Orbax's metadata of the arrays; an empty dict is a leaf, too.

  Raises:
    ValueError: If there is no checkpoint, or it cannot be read.
  """
  at = _item(workdir, None)
  try:
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
      metadata = checkpointer.metadata(at)
  except Exception as error:
    raise ValueError(f'{at} cannot be read: {_first_line(error)}') from error
  return dict(metadata.item_metadata.tree)


def read(workdir: str, wanted: Any, step: int | None = None) -> Any:
  """Returns a part of a checkpoint, for example without the optimizer.

  Args:
    workdir: Local or gs:// directory of the run.
    wanted: Subtree of the state, {'params': {...}, ...}, of shapes with
      shardings.
    step: Step of the checkpoint; None reads the latest.

  Raises:
    ValueError: If there is no such checkpoint, or it lacks a wanted array.
  """
  at = _item(workdir, step)
  try:
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
      found = checkpointer.restore(
        at,
        args=ocp.args.PyTreeRestore(
          item=wanted,
          restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
          partial_restore=True,
        ),
      )
  except Exception as error:
    raise ValueError(
      f'{at} does not have the arrays that its config.json describes, or cannot'
      f' be read: {_first_line(error)}'
    ) from error
  lacking = [  # Orbax returns the shapes of arrays that it does not find.
    sharding.path_name(path)
    for path, leaf in jax.tree_util.tree_leaves_with_path(found)
    if isinstance(leaf, jax.ShapeDtypeStruct)
  ]
  if lacking:
    raise mismatch.MismatchError(
      f'{at} has no {lacking[0]}, which this config needs ({len(lacking)}'
      ' arrays are missing); the run there has another model. Name another'
      ' workdir.'
    )
  return found


def _item(workdir: str, step: int | None) -> epath.Path:
  """Returns the folder of the arrays of a checkpoint; None is the latest step.

  Raises:
    ValueError: If there is no such checkpoint.
  """
  known = steps(workdir)
  if not known or (step is not None and step not in known):
    asked = 'no checkpoint' if step is None else f'no checkpoint of step {step}'
    raise ValueError(
      f'{workdir} has {asked}; it has checkpoints of steps {known}. Train'
      ' first, or name another workdir.'
    )
  return _folder(workdir) / str(known[-1] if step is None else step) / _ITEM


def _folder(workdir: str) -> epath.Path:
  path = file_paths.read(workdir)
  if '://' not in workdir:  # `resolve` would make a bucket a local folder.
    path = path.resolve()
  return path / 'checkpoints'


def _first_line(error: BaseException) -> str:
  """Returns the original cause of an error in one line."""
  while error.__cause__ is not None:
    error = error.__cause__
  text = str(error).strip().splitlines() or ['']
  _log.debug('%r', error)
  line = text[0] if len(text[0]) < 300 else text[0][:300] + '...'
  return f'{type(error).__name__}: {line}' + ('' if line.endswith('.') else '.')

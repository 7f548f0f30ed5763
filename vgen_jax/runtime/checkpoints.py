"""Checkpoints of a run, written in the background."""

from collections.abc import Mapping
import logging
import math
from typing import Any

from etils import epath
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from vgen_jax.runtime import sharding

_log = logging.getLogger(__name__)

PyTree = Any
_ITEM = 'default'  # Orbax's name for what a step folder holds.


class Checkpoints:
  """The checkpoints of one workdir, in its folder `checkpoints/<step>`.

  A checkpoint counts once it is whole: Orbax writes it under another name and
  renames it last, so a process that dies while writing loses nothing.

  Attributes:
    workdir: Local or gs:// directory.
    keep: How many of the latest to keep.
    best: Metric whose best checkpoint is kept besides, '' for none; its lowest
      value is best, or with a '-' in front its highest.
  """

  def __init__(self, workdir: str, keep: int = 2, best: str = ''):
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
    """Step of the latest whole checkpoint, None if there is none."""
    return self._manager.latest_step()

  def best_step(self) -> int | None:
    """Step of the best checkpoint by the metric `best`, None without one."""
    return self._manager.best_step() if self._best else None

  def restore(self, state: PyTree) -> PyTree:
    """Returns the latest checkpoint, laid out as `state`; if none, `state`.

    Args:
      state: Arrays or their shapes, with shardings.

    Raises:
      ValueError: If the checkpoint is of another tree (names the first leaf
        that differs), or cannot be read.
    """
    step = self.latest_step()
    if step is None:
      return state
    try:
      check_same_tree(self._manager.item_metadata(step), state, self._at(step))
      return self._manager.restore(step, args=ocp.args.StandardRestore(state))
    except MismatchError:
      raise
    except Exception as error:
      if 'structures do not match' in str(error):  # Equal but for empty nodes.
        raise MismatchError(
          f'{self._at(step)} is of a run with another optimizer. Use the'
          ' config.json of that workdir, or another workdir.'
        ) from error
      raise ValueError(self._unreadable(step, error)) from error

  def save(
    self, step: int, state: PyTree, metrics: Mapping[str, float]
  ) -> None:
    """Copies the state to the host, then writes it while training goes on.

    Args:
      step: Number of the checkpoint.
      state: What to save.
      metrics: Of this step; only `best` is looked up in them, and a step
        without it is not best.

    Raises:
      OSError: If this or the last checkpoint could not be written, or another
        process writes in this workdir too.
    """
    if step == self.latest_step():
      return
    if (self.folder / str(step)).exists():
      raise OSError(
        f'{self._at(step)} is there, but this run has not written it: another'
        ' process trains in this workdir. Stop one of them.'
      )
    kept = None
    if self._best:  # A value that is no number is not the best of anything.
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
    """Waits until all is written; raises OSError if something cannot be."""
    try:
      self._manager.wait_until_finished()
      self._manager.check_for_errors()
    except Exception as error:
      raise OSError(self._unwritten(error)) from error

  def close(self) -> None:
    """Waits until all is written, then lets go of the folder."""
    try:
      self.wait()
    finally:
      self._manager.close()

  def _at(self, step: int) -> str:
    return str(self.folder / str(step))

  def _unwritten(self, error: Exception) -> str:
    whole = sorted(
      int(p.name) for p in self.folder.glob('*') if p.name.isdigit()
    )
    return (
      f'A checkpoint could not be written to {self.folder}:'
      f' {_first_line(error)} Whole are those of steps {whole}; make room, then'
      ' repeat the command to go on from the last of them.'
    )

  def _unreadable(self, step: int, error: Exception) -> str:
    older = [s for s in self._manager.all_steps() if s < step]
    rest = f'step {max(older)}' if older else 'the start'
    return (
      f'The checkpoint {self._at(step)} cannot be read: {_first_line(error)}'
      f' Delete that folder to go on from {rest}.'
    )


class MismatchError(ValueError):
  """A checkpoint holds another tree than the one asked for."""


def check_same_tree(metadata: Any, wanted: Any, where: str) -> None:
  """Raises MismatchError that names the first leaf in which two trees differ.

  Args:
    metadata: Of the checkpoint, as Orbax gives it.
    wanted: Tree of arrays or of their shapes.
    where: What to call the checkpoint.
  """
  stored = {
    sharding.path_name(path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(
      getattr(metadata, 'tree', metadata)
    )
  }
  for path, leaf in jax.tree_util.tree_leaves_with_path(wanted):
    name = sharding.path_name(path)
    if name not in stored:
      raise MismatchError(
        f'{where} has no {name}, which this config needs; the run there is of'
        ' another model or optimizer. Use its own config.json, or another'
        ' workdir.'
      )
    has = stored.pop(name)
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      continue
    if (tuple(has.shape), str(has.dtype)) != (leaf.shape, str(leaf.dtype)):
      raise MismatchError(
        f'{where}: {name} is {has.dtype}{list(has.shape)}, but this config'
        f' makes it {leaf.dtype}{list(leaf.shape)}. Use the config.json of that'
        ' workdir, or another workdir.'
      )
  if stored:
    raise MismatchError(
      f'{where} holds {next(iter(stored))}, which this config does not have;'
      ' the run there is of another model or optimizer. Use its own'
      ' config.json, or another workdir.'
    )


def steps(workdir: str) -> list[int]:
  """Returns the steps of all whole checkpoints of a workdir."""
  folder = _folder(workdir)
  if not folder.exists():
    return []
  return sorted(ocp.utils.checkpoint_steps(folder))


def tree(workdir: str) -> dict[str, Any]:
  """Returns what the latest checkpoint holds, {'params': {...}, ...}.

  Its leaves are what Orbax knows of the arrays; a dict of nothing is a leaf.
  Raises ValueError if there is no checkpoint, or it cannot be read.
  """
  at = _item(workdir, None)
  try:
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
      metadata = checkpointer.metadata(at)
  except Exception as error:
    raise ValueError(f'{at} cannot be read: {_first_line(error)}') from error
  return dict(metadata.item_metadata.tree)


def read(workdir: str, wanted: Any, step: int | None = None) -> Any:
  """Returns a part of a checkpoint: the tree `wanted`, and nothing else.

  So a run can be sampled from without room for its optimizer.

  Args:
    workdir: Of the run.
    wanted: Subtree of the state, {'params': {...}, ...}, of shapes with
      shardings.
    step: Which checkpoint; None reads the latest.

  Raises:
    ValueError: If there is no such checkpoint, or it holds something else.
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
      f'{at} does not hold what its config.json promises, or cannot be read:'
      f' {_first_line(error)}'
    ) from error
  lacking = [  # Orbax gives back the shape of what it has not.
    sharding.path_name(path)
    for path, leaf in jax.tree_util.tree_leaves_with_path(found)
    if isinstance(leaf, jax.ShapeDtypeStruct)
  ]
  if lacking:
    raise MismatchError(
      f'{at} has no {lacking[0]}, which this config needs ({len(lacking)} are'
      ' missing); the run there is of another model. Name another workdir.'
    )
  return found


def _item(workdir: str, step: int | None) -> epath.Path:
  """Returns the folder of a checkpoint's arrays; None is the latest step.

  Raises:
    ValueError: If there is no such checkpoint.
  """
  known = steps(workdir)
  if not known or (step is not None and step not in known):
    asked = 'no checkpoint' if step is None else f'no checkpoint of step {step}'
    raise ValueError(
      f'{workdir} has {asked}; it has those of steps {known}. Train there'
      ' first, or name another workdir.'
    )
  return _folder(workdir) / str(known[-1] if step is None else step) / _ITEM


def _folder(workdir: str) -> epath.Path:
  path = epath.Path(workdir)
  if '://' not in workdir:  # `resolve` would take a bucket for a local folder.
    path = path.resolve()
  return path / 'checkpoints'


def _first_line(error: BaseException) -> str:
  """The root of an error, in one line."""
  while error.__cause__ is not None:
    error = error.__cause__
  text = str(error).strip().splitlines() or ['']
  _log.debug('%r', error)
  line = text[0] if len(text[0]) < 300 else text[0][:300] + '...'
  return f'{type(error).__name__}: {line}' + ('' if line.endswith('.') else '.')

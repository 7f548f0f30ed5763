"""Reads a part of a checkpoint, for other purposes than resuming its run."""

import contextlib
from typing import Any

from etils import epath
import jax
import orbax.checkpoint as ocp

from vgen_jax.runtime import checkpoints
from vgen_jax.runtime import damage
from vgen_jax.runtime import mismatch
from vgen_jax.runtime import sharding

_ITEM = 'default'  # Orbax's name of the folder with the arrays of a step.


def tree(workdir: str, step: int | None = None) -> dict[str, Any]:
  """Returns the tree of a checkpoint, {'params': {...}, ...}.

  Its leaves are Orbax's metadata of the arrays; an empty dict is a leaf, too.

  Args:
    workdir: Local or gs:// directory of the run.
    step: Step of the checkpoint; None for the latest.

  Raises:
    ValueError: If there is no checkpoint, or it cannot be read.
  """
  at = _step_folder(workdir, step) / _ITEM
  try:
    return _tree(at)
  except Exception as error:
    raise ValueError(
      f'{at} cannot be read: {checkpoints.first_line(error)} Name another step'
      ' or workdir.'
    ) from error


def _tree(at: epath.Path) -> dict[str, Any]:
  """Returns the metadata of the arrays in a folder."""
  with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
    metadata = checkpointer.metadata(at)
  return dict(metadata.item_metadata.tree)


def read(workdir: str, wanted: Any, step: int | None = None) -> Any:
  """Returns a part of a checkpoint, for example without the optimizer.

  Args:
    workdir: Local or gs:// directory of the run.
    wanted: Subtree of the state, {'params': {...}, ...}, whose leaves are
      `jax.ShapeDtypeStruct` with shardings.
    step: Step of the checkpoint; None reads the latest.

  Raises:
    ValueError: If there is no such checkpoint, it lacks a wanted array, or an
      array does not have the values that were saved. In the last case the
      message names the steps that are intact.
  """
  folder = _step_folder(workdir, step)
  try:
    return _checked(folder, wanted)
  except damage.DamagedError as error:
    others = [s for s in checkpoints.steps(workdir) if str(s) != folder.name]
    intact = [s for s in others if _is_intact(folder.parent / str(s), wanted)]
    raise ValueError(
      f'{error} Other checkpoints that are intact: {intact or "none"}. Name one'
      ' of their steps, or another workdir.'
    ) from error


def _checked(folder: epath.Path, wanted: Any) -> Any:
  """Returns a part of a checkpoint after all checks."""
  at = folder / _ITEM
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
    with contextlib.suppress(FileNotFoundError, KeyError, TypeError):
      mismatch.check_shapes(_tree(at), wanted, str(at))
    raise ValueError(
      f'{at} does not have the arrays that its config.json describes, or cannot'
      f' be read: {checkpoints.first_line(error)} Name another step or workdir.'
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
  damage.check(folder, found)
  return found


def _is_intact(folder: epath.Path, wanted: Any) -> bool:
  try:
    _checked(folder, wanted)
  except ValueError:
    return False
  return True


def _step_folder(workdir: str, step: int | None) -> epath.Path:
  """Returns the folder of a checkpoint; None is the latest step.

  Raises:
    ValueError: If there is no such checkpoint.
  """
  known = checkpoints.steps(workdir)
  if not known or (step is not None and step not in known):
    found = 'no checkpoint. Train first'
    if known:
      found = (
        f'no checkpoint of step {step}; it has checkpoints of steps {known}.'
        ' Name one of these steps'
      )
    raise ValueError(f'{workdir} has {found}, or name another workdir.')
  name = str(known[-1] if step is None else step)
  return checkpoints.folder_of(workdir) / name

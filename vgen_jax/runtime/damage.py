"""Digests stored with a checkpoint, and the comparison with what was read."""

from collections.abc import Mapping
import json
import logging
from typing import Any

from etils import epath

from vgen_jax.core import digests
from vgen_jax.core import json_files
from vgen_jax.runtime import leaf_digests

_log = logging.getLogger(__name__)
_METADATA = '_CHECKPOINT_METADATA'  # Orbax's file about a step.
_KEY = 'leaf_digests'
_METRICS = 'metrics'  # In the same file; a copy of `metrics/metrics`.


class DamagedError(ValueError):
  """A checkpoint has other values than those that were saved."""


def metadata(
  state: Any, metrics: Mapping[str, float] | None = None
) -> dict[str, Any]:
  """Returns the metadata to save with a state: the digest of each leaf.

  Args:
    state: Tree of arrays.
    metrics: Metrics that are saved with the state, of which the metadata has a
      copy; None if none are saved.
  """
  copy = {} if metrics is None else {_METRICS: dict(metrics)}
  return {_KEY: leaf_digests.of(state)} | copy


def check_metrics(step_folder: epath.Path) -> None:
  """Raises DamagedError if the metrics of a checkpoint are not those saved.

  The metrics decide which checkpoint is the best one, and so which ones are
  deleted.

  Args:
    step_folder: Folder of the checkpoint, `checkpoints/<step>`.
  """
  file = step_folder / 'metrics' / 'metrics'
  if not file.exists():
    return
  copy, found, reason = _copy_of_metrics(step_folder), None, ''
  try:
    found = json_files.read(file)
    for name in found:
      json_files.entry(found, name, float, str(file))
  except json_files.BadFileError as error:
    reason = f' {error}'
  if reason or (copy is not None and found != copy):
    there = f' {_METADATA} has {json.dumps(copy)}.' if copy is not None else ''
    raise DamagedError(
      f'{step_folder} is damaged: {file} is not as it was saved.{reason}{there}'
      ' This file decides which checkpoint is the best. Write the right values'
      f' into it, or delete {step_folder}.'
    )


def check(step_folder: epath.Path, found: Any) -> None:
  """Raises DamagedError unless a state has the values that were saved.

  A checkpoint of an earlier version has no digests. It is accepted, and a
  warning says that it could not be checked.

  Args:
    step_folder: Folder of the checkpoint, `checkpoints/<step>`.
    found: State that was read, or a part of it.

  Raises:
    DamagedError: If a leaf differs, or the digests are damaged.
  """
  stored = _stored(step_folder)
  if stored is None:
    _log.warning(
      '%s has no digests, because an earlier version wrote it; it was read'
      ' without a check for damage.',
      step_folder,
    )
    return
  own = leaf_digests.of(found)
  wrong = [name for name in own if own[name] != stored.get(name)]
  if wrong:
    name = wrong[0]
    raise DamagedError(
      f'{step_folder} is damaged: {name} was saved as'
      f' {stored.get(name, "nothing")} (dtype, shape, digest), and is read as'
      f' {own[name]} ({len(wrong)} of {len(own)} arrays differ).'
    )


def identity(step_folder: epath.Path) -> str:
  """Returns a digest of the content of a checkpoint, without reading arrays.

  For a checkpoint without digests, only its step is known.

  Raises:
    DamagedError: If the digests of its arrays are damaged.
  """
  stored = _stored(step_folder) or {'step': step_folder.name}
  return digests.text(json.dumps(dict(stored), sort_keys=True))


def _copy_of_metrics(step_folder: epath.Path) -> Mapping[str, float] | None:
  """Returns the metrics in the metadata; None if they are not known."""
  try:
    custom = json_files.read(step_folder / _METADATA)['custom_metadata']
    return json_files.entry(custom, _METRICS, dict, _METADATA)
  except (OSError, ValueError, TypeError, KeyError):
    return None  # An earlier version wrote it, or `check` reports the damage.


def _stored(step_folder: epath.Path) -> Mapping[str, str] | None:
  """Returns the digests of a checkpoint; None if it was written without."""
  try:
    content = json_files.read(step_folder / _METADATA)
    custom = content.get('custom_metadata')
  except (OSError, ValueError, AttributeError) as error:
    raise DamagedError(
      f'{step_folder} is damaged: {_METADATA} in it cannot be read'
      f' ({type(error).__name__}: {str(error)[:100]}).'
    ) from error
  if not custom:
    return None
  stored = custom.get(_KEY) if isinstance(custom, Mapping) else None
  if not isinstance(stored, Mapping):
    raise DamagedError(
      f'{step_folder} is damaged: {_METADATA} in it has no {_KEY!r}.'
    )
  return stored

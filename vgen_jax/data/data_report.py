"""Report on what the data of a run contains and what its model uses."""

from collections.abc import Mapping
import logging
from typing import Any

import jax
import numpy as np

from vgen_jax.core import modalities
from vgen_jax.core import sources
from vgen_jax.data import pipeline
from vgen_jax.data import run_data
from vgen_jax.families.base import VideoModel

_log = logging.getLogger(__name__)

_MAX_CLASSES = 10  # Classes whose numbers of clips are listed.
_TARGETS = dict.fromkeys(('video', 'codes', 'latents'), 'target')


def check(
  spec: Mapping[str, Any], data: run_data.RunData, model: VideoModel
) -> None:
  """Opens the data of a run, before anything is written.

  Args:
    spec: Spec of the data, as in `config.data`.
    data: Data of the run.
    model: Family with its networks.

  Raises:
    ValueError: If the config asks for a condition that the model ignores, or
      the data is not that of the run to resume.
  """
  check_asked(spec, model, data.record.entries)
  _ = data.source  # It is compared with the schema of the run.


def log(data: run_data.RunData, model: VideoModel) -> None:
  """Logs what the data contains and what the model uses, on process 0."""
  lines = summary(data) + usage(data, model)
  warnings = problems(data)
  if ignored := unused(data, model):
    warnings.append(
      f'{type(model).__name__} does not use {", ".join(ignored)}: it is trained'
      ' as if clips had none.'
    )
  if not jax.process_index():
    _log.info('%s', '\n'.join(lines))
    for warning in warnings:
      _log.warning('%s', warning)


def summary(data: run_data.RunData) -> list[str]:
  """Returns lines about the clips of a run, its splits and its classes."""
  schema, source = data.schema, data.source
  found = _contents(source)
  shape = ' x '.join(map(str, schema.clip_shape))
  split = f', split {data.split!r}' if data.split else ''
  lines = [
    f'Data: {type(source).__name__}{split}: {len(source):,} clips of {shape}'
    f' at {schema.frames_per_second:.4g} frames per second.'
  ]
  if found.splits:
    parts = [f'{name} {n:,}' for name, n in found.splits.items()]
    lines.append(f'Splits: {", ".join(parts)} {found.unit}.')
  if schema.num_classes:
    lines.append(f'Classes: {_classes(data, found)}.')
  else:
    lines.append('Classes: none, clips have no label.')
  return lines


def problems(data: run_data.RunData) -> list[str]:
  """Returns lines about likely mistakes in the data of a run."""
  counts = _contents(data.source).clips_per_class
  if counts is None or not data.schema.num_classes:
    return []
  empty = [_name(data, i) for i in np.flatnonzero(counts == 0)]
  if not empty:
    return []
  more = f' and {len(empty) - _MAX_CLASSES} more'
  return [
    f'{len(empty)} of {len(counts)} classes have no training clip:'
    f' {", ".join(empty[:_MAX_CLASSES])}'
    + (more if len(empty) > _MAX_CLASSES else '')
    + '. Clips of these classes can be sampled, but they are not learned.'
  ]


def usage(data: run_data.RunData, model: VideoModel) -> list[str]:
  """Returns a table of the entries of clips, and whether the model uses them.

  A mask has no row of its own; it belongs to its condition.
  """
  used_by = {True: type(model).__name__, False: 'not used'}
  masks = {x.mask for x in modalities.TABLE if x.mask}
  kinds = {x.key: x.kind for x in modalities.TABLE} | _TARGETS
  rows = [('key', 'kind', 'shape', 'used by')]
  for key, entry in data.record.entries.items():
    if key not in masks:
      shape = f'{np.dtype(entry.dtype).name} {list(entry.shape)}'
      is_used = key in model.batch_keys
      rows.append((key, kinds.get(key, ''), shape, used_by[is_used]))
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return [
    '  '.join(x.ljust(n) for x, n in zip(row, widths, strict=True)).rstrip()
    for row in rows
  ]


def unused(data: run_data.RunData, model: VideoModel) -> list[str]:
  """Returns the conditions that clips have and the model does not use."""
  keys = {x.key for x in modalities.TABLE} & data.record.entries.keys()
  return sorted(keys - set(model.batch_keys))


def check_asked(
  spec: Mapping[str, Any], model: VideoModel, entries: Mapping[str, Any]
) -> None:
  """Raises ValueError if a config asks for a condition that a model ignores.

  Args:
    spec: Spec of the data. An argument of `Modality.asked_by` that is set, also
      in the spec of an inner source, asks for the condition.
    model: Family with its networks.
    entries: Entries of a clip.
  """
  for row in modalities.TABLE:
    if row.key not in entries or row.key in model.batch_keys:
      continue
    for path in _set_paths(spec, row.asked_by, 'config.data'):
      accepted = modalities.without_target(model.condition_keys)
      raise ValueError(
        f'{path} asks for {row.key!r}, but the model, {type(model).__name__},'
        f' does not use it. It uses {", ".join(accepted) or "no condition"}.'
        f' Remove {path}, or choose a model that uses {row.key!r}.'
      )


def _contents(source: pipeline.Source) -> sources.Contents:
  """Returns the contents of a source; all unknown if it does not state them."""
  is_known = isinstance(source, sources.HasContents)
  return source.contents() if is_known else sources.Contents()


def _set_paths(
  spec: Mapping[str, Any], arguments: tuple[str, ...], path: str
) -> list[str]:
  """Returns the paths of arguments that are set."""
  found = [f'{path}.{name}' for name in arguments if spec.get(name)]
  for key, value in spec.items():
    if isinstance(value, Mapping) and key not in arguments:
      found += _set_paths(value, arguments, f'{path}.{key}')
  return found


def _name(data: run_data.RunData, label: int) -> str:
  names = data.schema.class_names
  return repr(names[label]) if names else str(label)


def _classes(data: run_data.RunData, found: sources.Contents) -> str:
  number = data.schema.num_classes
  counts = found.clips_per_class
  if counts is None:
    return f'{number}'
  if number > _MAX_CLASSES:
    return f'{number} with {counts.min():,} to {counts.max():,} clips each'
  parts = [f'{_name(data, i)} {n:,}' for i, n in enumerate(counts)]
  return f'{number}; clips of each: {", ".join(parts)}'

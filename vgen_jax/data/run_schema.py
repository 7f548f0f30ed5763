"""The schema of a run: the properties of its data on which its model depends.

A label is a position in a list of class names, and the list is that of the data
at the time of training. So the list is written to `<workdir>/schema.json` when
training starts, together with the shapes and widths of the clips. The model is
built from this file when a run is resumed, sampled or evaluated, and data that
is opened for the run is compared with it.
"""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any, Self

import jax
import numpy as np

from vgen_jax.config import settings as settings_lib
from vgen_jax.core import atomic_files
from vgen_jax.core import digests
from vgen_jax.core import faults as faults_lib
from vgen_jax.core import file_paths
from vgen_jax.core import json_files
from vgen_jax.core import modalities
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.data import pipeline

FILE = 'schema.json'

_MAX_SHOWN = 8  # Class names that an error lists.
_RATE_TOLERANCE = 0.01  # Relative; rates are means over files.
_NEW_RUN = 'or train a new run in a new --workdir.'
_ADVICE = {
  'class_names': 'A label is a position in this list, so labels would mean'
  ' other classes. Restore the names of the classes in the data,',
  'num_classes': 'Restore the classes of the data,',
  'clip_shape': 'Restore config.clip_shape,',
  'frames_per_second': 'Restore the rate of the data,',
  'vocabulary': 'Restore the vocabulary that captions were tokenized with,',
}


@dataclasses.dataclass(frozen=True)
class RunSchema:
  """Schema of the data that the model of a run is built for.

  Attributes:
    schema: Schema of the clips.
    entries: {key: shape and dtype} of the entries of a clip, without axis b.
  """

  schema: Schema
  entries: Mapping[str, jax.ShapeDtypeStruct]

  @classmethod
  def of(cls, source: pipeline.Source, faults: faults_lib.Faults) -> Self:
    """Returns the schema of a source, whose first clip is read."""
    clip, _ = faults.read(source.__getitem__, 0, len(source))
    entries = {
      key: jax.ShapeDtypeStruct(np.shape(x), x.dtype) for key, x in clip.items()
    }
    return cls(source.schema, entries)

  @classmethod
  def from_json(cls, text: str) -> Self:
    """Returns the schema in the content of a file.

    Raises:
      ValueError: If the text is not complete and unchanged.
    """
    content = json_files.parse(text, 'The file', None)
    if not isinstance(content, dict) or set(content) != {'digest', 'run'}:
      raise ValueError("it must have the entries 'digest' and 'run'")
    if content['digest'] != _digest(content['run']):
      raise ValueError('its digest is wrong: the file was damaged or edited')
    content = settings_lib.plain(content['run'])
    entries = {
      key: jax.ShapeDtypeStruct(entry['shape'], np.dtype(entry['dtype']))
      for key, entry in content['entries'].items()
    }
    return cls(Schema(**content['schema']), entries)

  def to_json(self) -> str:
    """Returns the content of the file, with a digest of it."""
    entries = {
      key: {'shape': x.shape, 'dtype': np.dtype(x.dtype).name}
      for key, x in self.entries.items()
    }
    run = {'schema': dataclasses.asdict(self.schema), 'entries': entries}
    content = {'digest': _digest(run), 'run': run}
    return json.dumps(content, indent=2, default=_number) + '\n'

  def batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and dtypes of a batch, {key: ShapeDtypeStruct}."""
    return {
      key: jax.ShapeDtypeStruct((batch_size, *x.shape), x.dtype)
      for key, x in self.entries.items()
    }

  def with_clip_shape(self, clip_shape: ClipShape) -> Self:
    """Returns the schema of clips of another length or size.

    Args:
      clip_shape: (t, h, w, c).

    Raises:
      ValueError: If clips are encoded, so that only the tokenizer knows the
        shape of the codes of other clips.
    """
    if tuple(clip_shape) == tuple(self.schema.clip_shape):
      return self
    if encoded := {'codes', 'latents'} & self.entries.keys():
      raise ValueError(
        f'config.clip_shape is {tuple(clip_shape)}, but the run was trained on'
        f' {encoded.pop()} of clips of {tuple(self.schema.clip_shape)}. Use'
        ' that shape.'
      )
    sizes = dict(zip('thwc', clip_shape, strict=True))
    axes = {'video': 'bthwc'} | {x.key: x.axes for x in modalities.TABLE}
    axes |= {x.mask: x.mask_axes for x in modalities.TABLE if x.mask}
    entries = {
      key: jax.ShapeDtypeStruct(
        tuple(
          sizes.get(axis, n)
          for axis, n in zip(axes.get(key, '')[1:], x.shape, strict=True)
        )
        if key in axes
        else x.shape,
        x.dtype,
      )
      for key, x in self.entries.items()
    }
    schema = dataclasses.replace(self.schema, clip_shape=tuple(clip_shape))
    return type(self)(schema, entries)

  def check(
    self, found: Schema, owner: str, data: str, *, rate: bool = True
  ) -> None:
    """Raises ValueError if data has another schema.

    Args:
      found: Schema of data that is opened for the run.
      owner: Start of the message, such as 'runs/x was trained with'.
      data: Description of the data, for the message.
      rate: Whether the frame rate must be the same. It may differ in another
        split, because it is the median over the videos of a split.
    """
    for field in _fields():
      old, new = getattr(self.schema, field), getattr(found, field)
      if field == 'frames_per_second':
        if not rate or abs(new - old) <= _RATE_TOLERANCE * old:
          continue
      elif old == new or (field == 'vocabulary' and not old):
        continue
      detail = _difference(old, new) if field == 'class_names' else ''
      advice = _ADVICE.get(field, 'Restore the training data,')
      raise ValueError(
        f'{owner} {field} {_shown(old)}, but {data} has {_shown(new)}.{detail}'
        f' {advice} {_NEW_RUN}'
      )

  def check_entries(
    self,
    found: Mapping[str, jax.ShapeDtypeStruct],
    owner: str,
    data: str,
  ) -> None:
    """Checks that clips have the entries, shapes and dtypes of the run.

    Args:
      found: Shape and dtype of each entry of the clips.
      owner: Subject of the message with a verb, such as 'runs/x has'.
      data: Name of the data of the clips, for the message.

    Raises:
      ValueError: If an entry is missing, new or has another shape or dtype.
    """
    for key in {**self.entries, **found}:
      old, new = self.entries.get(key), found.get(key)
      if _entry(old) != _entry(new):
        raise ValueError(
          f'{owner} {_entry(old)} {key!r} in each clip, but clips of {data}'
          f' have {_entry(new)} {key!r}. Restore the training data,'
          f' {_NEW_RUN}'
        )


def read(workdir: str) -> RunSchema | None:
  """Returns the schema of a run; None if its workdir has no such file.

  Raises:
    ValueError: If the file is damaged.
  """
  file = file_paths.read(workdir) / FILE
  if not file.exists():
    return None
  try:
    return RunSchema.from_json(file.read_text())
  except (ValueError, TypeError, KeyError, RecursionError) as error:
    raise ValueError(
      f'{file} is not the schema of a run ({error}). Restore it from a copy. If'
      ' there is none, remove it: the schema is then taken from the data, which'
      ' must have the same classes in the same order.'
    ) from error


def write(workdir: str, schema: RunSchema) -> None:
  """Writes the schema of a run; only process 0 does.

  Args:
    workdir: Local or gs:// directory, which exists.
    schema: Schema to write.
  """
  if jax.process_index() == 0:
    atomic_files.write_text(file_paths.read(workdir) / FILE, schema.to_json())


def _digest(run: Mapping[str, Any]) -> str:
  return digests.text(json.dumps(run, sort_keys=True, default=_number))


def _number(x: Any) -> int | float:
  """Returns a number of NumPy as a number of Python."""
  return x.item()


def _fields() -> list[str]:
  """Returns the fields of a schema; names of classes before their number."""
  names = [f.name for f in dataclasses.fields(Schema)]
  return sorted(names, key=lambda name: name != 'class_names')


def _shown(value: Any) -> str:
  if isinstance(value, tuple) and len(value) > _MAX_SHOWN:
    return f'{len(value)} values, {value[0]!r} to {value[-1]!r}'
  return f'{value:g}' if isinstance(value, float) else repr(value)


def _difference(old: tuple[str, ...], new: tuple[str, ...]) -> str:
  """Returns a sentence about two lists of class names."""
  removed = [name for name in old if name not in new]
  added = [name for name in new if name not in old]
  parts = [
    f'{what}: {", ".join(map(repr, names[:_MAX_SHOWN]))}'
    + (f' and {more} more' if (more := len(names) - _MAX_SHOWN) > 0 else '')
    for what, names in (('missing', removed), ('new', added))
    if names
  ]
  return f' ({"; ".join(parts) or "the order differs"}.)'


def _entry(entry: jax.ShapeDtypeStruct | None) -> str:
  if entry is None:
    return 'no'
  return f'{np.dtype(entry.dtype).name} {list(entry.shape)}'

"""The data of a run, opened when a clip is read for the first time."""

import functools
import inspect
from typing import Self

from vgen_jax.config import build
from vgen_jax.config import settings as settings_lib
from vgen_jax.core.types import Clip
from vgen_jax.core.types import Schema
from vgen_jax.data import pipeline
from vgen_jax.data import run_schema


class RunData:
  """Clips of a run, with its schema.

  A run that has been trained knows its schema, so its data is only opened to
  read clips, and is then compared with the schema. So a model can be sampled
  when the data is no longer available.

  Attributes:
    record: Schema of the run, from which its model is built.
    is_recorded: Whether the schema comes from the workdir; otherwise it is that
      of the data.
  """

  def __init__(
    self,
    settings: settings_lib.Settings,
    recorded: run_schema.RunSchema | None = None,
    workdir: str = '',
  ):
    """Opens the data, unless the schema is known.

    Args:
      settings: Settings of the run.
      recorded: Schema from the workdir; None for that of the data. Its clip
        shape is replaced by that of the settings.
      workdir: Directory of the run, for messages.
    """
    self._settings = settings
    self._owner = f'{workdir} was trained with'
    self.is_recorded = recorded is not None
    if recorded is None:
      self.record = run_schema.RunSchema.of(self.source, settings.faults)
    else:  # Misspelt fields are errors, also if the data is not needed.
      build.check_source(settings.data)
      self.record = recorded.with_clip_shape(settings.clip_shape)

  @classmethod
  def of(
    cls,
    settings: settings_lib.Settings,
    source: pipeline.Source,
    record: run_schema.RunSchema,
  ) -> Self:
    """Returns the data of a source that is open already.

    Args:
      settings: Settings of the run.
      source: Source of the training clips.
      record: Schema of the run with the entries of its clips.
    """
    data = cls(settings, record)
    data.__dict__['source'] = source
    return data

  @property
  def schema(self) -> Schema:
    """Schema of the clips of the run."""
    return self.record.schema

  @property
  def split(self) -> str:
    """Split that the clips come from; '' if the data has no splits."""
    has_splits = 'split' in inspect.signature(type(self.source)).parameters
    return self._settings.data.get('split', 'train' if has_splits else '')

  @functools.cached_property
  def source(self) -> pipeline.Source:
    """Source of the clips.

    Raises:
      ValueError: If its schema is not that of the run.
    """
    settings = self._settings
    source = build.source(
      settings.data, settings.clip_shape, faults=settings.faults.policy
    )
    if self.is_recorded:
      data = describe(settings)
      self.record.check(source.schema, self._owner, data)
      found = run_schema.RunSchema.of(source, settings.faults)
      self.record.check_entries(found.entries, self._owner, data)
    return source

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> Clip:
    return self.source[index]


def describe(settings: settings_lib.Settings) -> str:
  """Returns a description of the data of a run, for messages."""
  paths = ('folder', 'data_dir', 'dataset')
  where = next((x for k in paths if (x := settings.data.get(k))), None)
  return f'config.data, {where or settings.data.get("name")},'

"""Real clips of an evaluation, in a random order that is always the same."""

import collections
from collections.abc import Sequence
import inspect
import itertools

import grain
import numpy as np

from vgen_jax.config import build
from vgen_jax.config import settings as settings_lib
from vgen_jax.core.types import Clip
from vgen_jax.data import pipeline
from vgen_jax.data import run_data
from vgen_jax.data import run_schema
from vgen_jax.runtime.pod import agreement
from vgen_jax.training import setup as setup_lib


class ShuffledSource:
  """A source in a random order that is always the same.

  The first clips of it are a random sample of the source.

  Attributes:
    source: Source with the clips in their own order.
    schema: Schema of the source.
  """

  def __init__(self, source: pipeline.Source, settings: settings_lib.Settings):
    self.source = source
    self.schema = source.schema
    self._faults = settings.faults
    self._order = grain.MapDataset.range(len(source)).shuffle(seed=0)

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, position: int) -> Clip:
    """Returns a clip with its 'index' in the source."""
    index = int(self._order[position])
    read = self.source.__getitem__
    clip, _ = self._faults.read(read, index, len(self.source))
    return {**clip, 'index': np.int64(index)}

  def clips(self, first: int, num: int) -> dict[str, np.ndarray]:
    """Returns clips first, ..., first + num - 1, modulo the number of clips."""
    clips = [self[i % len(self)] for i in range(first, first + num)]
    return {key: np.stack([clip[key] for clip in clips]) for key in clips[0]}


def of_classes(
  sources: Sequence[ShuffledSource], label_b: np.ndarray, num_candidates: int
) -> list[np.ndarray | None]:
  """Returns a real clip of each label, uint8 `[t, h, w, c]`.

  Clips of a class are repeated only if there are not enough.

  Args:
    sources: Sources of real clips; a later one is used for the classes of which
      earlier ones have no clip.
    label_b: Labels, int `[b]`.
    num_candidates: Number of clips of each source that are read at most.

  Returns:
    Clips; None for a label of which no clip was found.
  """
  wanted = collections.Counter(int(label) for label in label_b)
  found: dict[int, list[np.ndarray]] = {}
  for source in sources:
    missing = wanted.keys() - found.keys()
    for position in range(min(len(source), num_candidates)):
      if all(len(found.get(x, ())) >= wanted[x] for x in missing):
        break
      clip = source[position]
      label = int(clip['label']) if 'label' in clip else -1
      if label in missing and len(found.get(label, ())) < wanted[label]:
        found.setdefault(label, []).append(clip['video'])
  turns = {label: itertools.cycle(videos) for label, videos in found.items()}
  return [
    next(turns[int(label)]) if int(label) in turns else None
    for label in label_b
  ]


def other_split(
  settings: settings_lib.Settings, source: pipeline.Source, split: str
) -> pipeline.Source | None:
  """Returns another split of the data of a run.

  Args:
    settings: Settings of the run.
    source: Source of the run.
    split: Name of the split.

  Returns:
    Source of the split; None if the data has no splits or the config sets one.

  Raises:
    ValueError: If the data has no split of this name, it cannot be read, or it
      has other classes or widths than the training clips.
  """
  if not has_splits(settings, source):
    return None
  found = build.source(
    settings.data,
    settings.clip_shape,
    split=split,
    faults=settings.faults.policy,
  )
  run_schema.RunSchema(source.schema, {}).check(
    found.schema,
    'The training clips have',
    f'the split {split!r} of {run_data.describe(settings)}',
    rate=False,
  )
  return found


def has_splits(
  settings: settings_lib.Settings, source: pipeline.Source
) -> bool:
  """Returns whether `other_split` can return another split of the data."""
  parameters = inspect.signature(type(source)).parameters
  return 'split' in parameters and 'split' not in settings.data


def validation_split(
  settings: settings_lib.Settings, source: pipeline.Source
) -> pipeline.Source:
  """Returns the split 'validation' of the data of a run.

  Raises:
    ValueError: If the data has no such split, or processes of a pod have
      different data.
  """
  found = other_split(settings, source, 'validation')
  if found is None:
    raise ValueError(
      f'config.data is {settings.data["name"]} with {_own_split(settings)};'
      ' validation needs data that has splits, and a config that does not set'
      ' config.data.split.'
    )
  agreement.check_data(lambda: found, 'validation clips')
  return found


def comparison_split(
  setup: setup_lib.Setup, split: str
) -> tuple[pipeline.Source, str]:
  """Returns the clips to compare generated clips with, and their split.

  Args:
    setup: Setup of the run.
    split: Name of the split; '' for 'validation' if the data has it, and the
      training data otherwise.

  Raises:
    ValueError: If the data has no split of this name, or it cannot be read.
  """
  settings, source = setup.settings, setup.source
  training = source, settings.data.get('split', 'train')
  if split == training[1]:
    return training
  known = getattr(source, 'splits', ('validation',))
  if not split and 'validation' not in known:
    return training
  found = other_split(settings, source, split or 'validation')
  if found is None and split:
    raise ValueError(
      f'config.evaluation.real_split is {split!r}, but config.data is'
      f' {settings.data["name"]} with {_own_split(settings)}; leave real_split'
      ' empty to compare with the training data.'
    )
  return training if found is None else (found, split or 'validation')


def _own_split(settings: settings_lib.Settings) -> str:
  """Returns which split the data of a run is set to, in words."""
  split = settings.data.get('split')
  return 'no splits' if split is None else f'the split {split!r} only'

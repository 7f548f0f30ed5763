"""What a dataset is to hold, before any frame of it is read."""

import collections
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import faults
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.tfds import storage


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
  """A film, and what is known of it.

  Attributes:
    key: Tells it from all others of its split.
    film: Where its frames are.
    label: Name of its class.
    caption: What it shows.
    action_ta: Float32 vectors, one for each frame of the film.
  """

  key: str
  film: raw_videos.RawVideo
  label: str | None = None
  caption: str | None = None
  action_ta: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
  """The rows of a dataset.

  Attributes:
    name: Of the dataset, in snake_case.
    splits: Rows of each split; none of them is empty.
    class_names: In the order of labels; () if films have none.
    has_captions: Whether all films have a caption.
    action_width: Numbers of an action; 0 if films have none.
    num_channels: 1 for grey, 3 for colour.
    description: What it is, for whoever finds it.
  """

  name: str
  splits: Mapping[str, Sequence[Row]]
  class_names: tuple[str, ...] = ()
  has_captions: bool = False
  action_width: int = 0
  num_channels: int = 3
  description: str = 'Videos.'

  def __post_init__(self):
    if empty := [s for s, rows in self.splits.items() if not len(rows)]:
      raise ValueError(
        f'{self.name}: nothing is in the splits {empty}; look at the source and'
        ' its table.'
      )
    for split, rows in self.splits.items():
      keys = collections.Counter(row.key for row in rows)
      if twice := [key for key, number in keys.items() if number > 1]:
        raise ValueError(
          f'{self.name}: {twice[0]!r} is {keys[twice[0]]} times in the split'
          f' {split!r}; leave one.'
        )
    known = set(self.class_names)
    for row in (row for rows in self.splits.values() for row in rows):
      if row.label is not None and row.label not in known:
        near = checks.hint(row.label, list(self.class_names))
        raise ValueError(f'{row.key} has the label {row.label!r}.{near}')

  @property
  def num_rows(self) -> dict[str, int]:
    """Number of films of each split."""
    return {split: len(rows) for split, rows in self.splits.items()}


def examples(
  row: Row, table: Table, options: raw_videos.Options
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields what is stored of a film: keys, and examples as TFDS takes them.

  Raises:
    ClipError: If the film cannot be read, or lacks what the table promises.
  """
  for number, piece in enumerate(row.film.pieces(options)):
    key = f'{row.key}#{number}' if number else row.key
    video_thwc = piece['video']
    if video_thwc.shape[-1] != table.num_channels:
      video_thwc = video_thwc[..., :1].repeat(table.num_channels, axis=-1)
    example = {
      'id': key,
      'fps': np.float32(piece['fps']),
      'video': storage.encode(
        options.format, video_thwc, piece['fps'], options.quality
      ),
    }
    if table.class_names:
      example['label'] = _needed(row, 'label', piece.get('label', row.label))
    if table.has_captions:
      caption = piece.get('caption', row.caption)
      example['caption'] = _needed(row, 'caption', caption)
    if table.action_width:
      example['action'] = _action(row, piece, table.action_width)
    yield key, example


def _needed(row: Row, what: str, value: Any) -> Any:
  if value is None:
    raise faults.ClipError(row.key, f'it has no {what}, though others have.')
  return value


def _action(row: Row, piece: Mapping[str, Any], width: int) -> np.ndarray:
  """Returns the actions of the frames that a piece shows."""
  action_ta = _needed(row, 'action', piece.get('action', row.action_ta))
  action_ta = np.asarray(action_ta, np.float32)
  last = piece['numbers'].max()
  # What follows the last frame may not be known.
  if (
    action_ta.ndim != 2 or action_ta.shape[1] != width or len(action_ta) < last
  ):
    raise faults.ClipError(
      row.key,
      f'its actions are {action_ta.shape}; {last + 1} frames need as many'
      f' vectors of {width}.',
    )
  return action_ta[np.minimum(piece['numbers'], len(action_ta) - 1)]

"""Tables of the examples of a dataset, before their frames are read."""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import faults
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.tfds import storage


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
  """A raw video with its annotations.

  Attributes:
    key: Key that is unique in its split.
    video: Raw video that reads the frames.
    label: Name of the class, or None.
    caption: Caption, or None.
    action_ta: Actions at each frame of the raw video, float32, or None.
  """

  key: str
  video: raw_videos.RawVideo
  label: str | None = None
  caption: str | None = None
  action_ta: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
  """The rows of a dataset.

  Attributes:
    name: Name of the dataset, in snake_case.
    splits: Rows of each split; no split is empty.
    class_names: Names of classes in the order of labels; () if there are none.
    has_captions: Whether all rows have a caption.
    action_width: Number of values of an action; 0 if there are no actions.
    num_channels: 1 for grey, 3 for colour.
    description: Description that is stored with the dataset.

  Raises:
    ValueError: If a split is empty, a key is not unique, or a label unknown.
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
        f'{self.name}: the splits {empty} are empty; check the source and its'
        ' table.'
      )
    for split, rows in self.splits.items():
      keys = collections.Counter(row.key for row in rows)
      if twice := [key for key, number in keys.items() if number > 1]:
        raise ValueError(
          f'{self.name}: {twice[0]!r} occurs {keys[twice[0]]} times in the'
          f' split {split!r}; keep one of them.'
        )
    known = set(self.class_names)
    for row in (row for rows in self.splits.values() for row in rows):
      if row.label is not None and row.label not in known:
        raise ValueError(
          f'{row.key}: unknown label {row.label!r}.'
          f'{checks.hint(row.label, self.class_names)}'
        )

  @property
  def num_rows(self) -> dict[str, int]:
    """Number of rows of each split."""
    return {split: len(rows) for split, rows in self.splits.items()}


def examples(
  row: Row, table: Table, options: raw_videos.Options
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields the key and TFDS example of each piece of the video of a row.

  Args:
    row: Video with its label, caption and actions.
    table: Table that contains the row.
    options: Size, rate and format of the videos to write.

  Raises:
    ClipError: If the video cannot be read, or lacks an entry that all rows of
      the table must have.
  """
  for number, piece in enumerate(row.video.pieces(options)):
    key = f'{row.key}#{number}' if number else row.key
    video_thwc = _with_channels(piece['video'], table.num_channels)
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


def _with_channels(
  video_thwc: Iterable[np.ndarray], num_channels: int
) -> Iterator[np.ndarray]:
  """Yields frames; a wrong number of channels becomes copies of the first."""
  for image_hwc in video_thwc:
    if image_hwc.shape[-1] != num_channels:
      image_hwc = image_hwc[..., :1].repeat(num_channels, axis=-1)
    yield image_hwc


def _needed(row: Row, name: str, value: Any) -> Any:
  if value is None:
    raise faults.ClipError(
      row.key, f'it has no {name}, but other videos have; give all or none.'
    )
  return value


def _action(row: Row, piece: Mapping[str, Any], width: int) -> np.ndarray:
  """Returns the actions at the frames of a piece."""
  action_ta = _needed(row, 'action', piece.get('action', row.action_ta))
  action_ta = np.asarray(action_ta, np.float32)
  last = piece['numbers'].max()
  # The action at the last frame may be missing.
  if (
    action_ta.ndim != 2 or action_ta.shape[1] != width or len(action_ta) < last
  ):
    raise faults.ClipError(
      row.key,
      f'its actions have shape {action_ta.shape}; {last + 1} frames need shape'
      f' ({last + 1}, {width}).',
    )
  return action_ta[np.minimum(piece['numbers'], len(action_ta) - 1)]

"""A video or a part of it, and where clips of a given length lie in it.

A place is a time in seconds after the first frame, or the number of a frame.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from vgen_jax.core import faults
from vgen_jax.core.types import ClipShape
from vgen_jax.data import clips
from vgen_jax.data import splits
from vgen_jax.data.files import annotations as notes_lib
from vgen_jax.data.files import codecs

# A folder of fewer videos is split by time.
MIN_VIDEOS_TO_SPLIT = 3

# How often a frame may be shown in a row, on average, for want of more.
_MAX_REPEATS = 4


@dataclasses.dataclass(frozen=True)
class ClipSpec:
  """What clips are asked for.

  Attributes:
    num_frames: Of a clip.
    pitch: From one frame of a clip to the next, in places.
    is_timed: Whether places are seconds.
    short: What to do with a video shorter than a clip, of `clips.SHORT`.
  """

  num_frames: int
  pitch: float
  is_timed: bool
  short: str

  @property
  def span(self) -> float:
    """From the first frame of a clip to its last."""
    return (self.num_frames - 1) * self.pitch

  def amount(self, length: float) -> str:
    """Says how much video lies between two frames, both included."""
    if self.is_timed:
      return f'{length + self.pitch:.4g} s'
    return f'{length + 1:g} frames'


@dataclasses.dataclass(frozen=True, eq=False)
class Segment:
  """A video, or a part of it.

  Attributes:
    index: Of the whole video.
    first: Place of its first frame.
    last: Place of its last frame, included.
    is_timed: Whether places are seconds.
    label: Folder it lies in.
    note: What is written about it.
  """

  index: codecs.Index
  first: float
  last: float
  is_timed: bool
  label: str = ''
  note: notes_lib.Annotation = dataclasses.field(
    default_factory=notes_lib.Annotation
  )

  def num_windows(self, ask: ClipSpec) -> int:
    """Returns how many clips lie in it, one after another; 1 at least."""
    length = self.last - self.first
    number = clips.num_windows(length, ask.num_frames, ask.pitch)
    return max(number, 1)  # Videos too short are made longer.

  def room(self, span: float) -> float:
    """Returns by how much a clip can be moved in it."""
    return max(self.last - self.first - span, 0)

  def fits(self, span: float) -> bool:
    """Returns whether a clip of this length lies in it."""
    return self.last - self.first >= span

  def frames(self, place_t: np.ndarray) -> np.ndarray:
    """Returns the numbers of the frames that are shown at these places."""
    if self.is_timed:
      return self.index.at(place_t)
    return np.round(place_t).astype(int)

  def seconds(self, place_t: np.ndarray) -> np.ndarray:
    """Returns when these places are, by the clock of the file."""
    zero = self.index.pts_n[0] * float(self.index.time_base)
    if self.is_timed:
      return zero + place_t
    return zero + self.index.time_n[self.frames(place_t)]


def whole(
  index: codecs.Index, ask: ClipSpec, label: str, note: notes_lib.Annotation
) -> Segment:
  """Returns all of a video.

  Raises:
    ClipError: If it is too short, under 'error', or of a rate far too low.
    ValueError: If its note has too few actions.
  """
  last = index.time_n[-1] if ask.is_timed else len(index) - 1
  fits = clips.num_windows(last, ask.num_frames, ask.pitch) > 0
  if not fits and ask.short == 'error':
    raise faults.ClipError(
      index.path,
      f'it lasts {ask.amount(last)}, a clip {ask.amount(ask.span)};'
      " take short='loop' or 'hold', shorter clips, or remove it.",
    )
  rate = index.frames_per_second
  if (
    ask.is_timed
    and len(index) > 1
    and 1 / ask.pitch > 1.01 * _MAX_REPEATS * rate
  ):
    raise faults.ClipError(
      index.path,
      f'it has {rate:.4g} frames per second, and config.data asks for'
      f' {1 / ask.pitch:.4g}: clips would be all but stills. Take at most'
      f' {_MAX_REPEATS} times its rate, or remove it.',
    )
  # The last frame needs no action: nothing comes of it.
  if note.action_na is not None and len(note.action_na) < len(index) - 1:
    raise ValueError(
      f'{index.path} has {len(index)} frames, and config.data.notes'
      f' {len(note.action_na)} actions for it; give one for each frame.'
    )
  return Segment(index, 0, last, ask.is_timed, label, note)


def part(
  stretch: Segment, ask: ClipSpec, split: str, shares: Mapping[str, float]
) -> Segment:
  """Returns the part of a video that a split by time takes.

  Raises:
    ClipError: If a part is shorter than a clip.
  """
  parts = splits.by_time(
    stretch.last,
    span=ask.span,
    gap=ask.num_frames * ask.pitch,
    shares=shares,
    is_whole=not ask.is_timed,
  )
  missing = ask.span - parts['train'][1]
  if missing > clips.TOLERANCE * ask.pitch:
    raise faults.ClipError(
      stretch.index.path,
      f'it lasts {ask.amount(stretch.last)}; to split it by time, into'
      f' clips of {ask.amount(ask.span)} a clip apart, takes'
      f" {ask.amount(stretch.last + missing)}. Take split='all', shorter"
      f' clips, or {MIN_VIDEOS_TO_SPLIT} videos or more, which are split as'
      ' wholes.',
    )
  first, last = parts[split]
  return dataclasses.replace(stretch, first=first, last=last)


def check(
  clip_shape: ClipShape,
  frames_per_second: float | None,
  strides: Sequence[int],
  short: str,
) -> None:
  """Raises ValueError unless such clips can be taken."""
  if clip_shape[-1] not in (1, 3):
    raise ValueError(
      f'config.clip_shape is {tuple(clip_shape)}; videos come in 1 channel or'
      f' 3, not in {clip_shape[-1]}.'
    )
  if short not in clips.SHORT:
    raise ValueError(
      f'config.data.short is {short!r}; it must be one of {list(clips.SHORT)}.'
    )
  if (
    not strides
    or min(strides) < 1
    or (frames_per_second is not None and frames_per_second <= 0)
  ):
    raise ValueError(
      f'config.data has stride {strides} and frames_per_second'
      f' {frames_per_second}; both must be positive.'
    )
  if frames_per_second and strides != (1,):
    raise ValueError(
      f'config.data has stride {strides} and frames_per_second'
      f' {frames_per_second}; give one of them.'
    )


def check_views(
  time_jitter: float, num_windows: int | None, num_views: int
) -> None:
  """Raises ValueError unless such views can be taken."""
  if not 0 <= time_jitter <= 0.5:
    raise ValueError(
      f'config.data.time_jitter is {time_jitter}; it goes from 0 to 0.5.'
    )
  if num_views < 1 or (num_windows is not None and num_windows < 1):
    raise ValueError(
      f'config.data has num_windows {num_windows} and num_views {num_views};'
      ' both must be 1 or more.'
    )

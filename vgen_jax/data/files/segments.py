"""Segments: videos, or parts of them, and the positions of clips in them.

A position in a video is a time in seconds after its first frame if clips are
sampled at a rate, or else the index of a frame.
"""

from collections.abc import Mapping
import dataclasses
import math

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import faults
from vgen_jax.data import clips
from vgen_jax.data import splits
from vgen_jax.data.files import annotations as annotations_lib
from vgen_jax.data.files import codecs

# A folder with fewer videos is split by time.
MIN_VIDEOS_TO_SPLIT = 3

# A clip may show each frame of a video this many times, on average.
_MAX_REPEATS = 4


@dataclasses.dataclass(frozen=True)
class ClipSpec:
  """Rule that states which frames of a video make up a clip.

  Attributes:
    num_frames: Number of frames of a clip, t.
    frames_per_second: Rate at which videos are sampled; None for every
      stride-th frame.
    strides: Numbers of video frames per clip frame. `VideoFolder.random_view`
      takes any of them for which the video is long enough.
    short: What to do with a video that is shorter than a clip, one of
      `clips.SHORT`.
    time_jitter: Largest random shift of a frame, in units of the time between
      two frames of a clip, 0 to 0.5.
    num_windows: Number of clips per video, evenly spaced; None for as many
      consecutive clips as the video has.

  Raises:
    ValueError: If a value is out of range, or a rate and a stride are given.
  """

  num_frames: int
  frames_per_second: float | None = None
  strides: tuple[int, ...] = (1,)
  short: str = 'error'
  time_jitter: float = 0.0
  num_windows: int | None = None

  def __post_init__(self):
    checks.one_of('config.data.short', self.short, clips.SHORT)
    check_rate(self.frames_per_second, self.strides)
    checks.in_range('config.data.time_jitter', self.time_jitter, 0, 0.5)
    if self.num_windows is not None:
      checks.at_least('config.data.num_windows', self.num_windows, 1)

  @property
  def is_timed(self) -> bool:
    """Whether positions are seconds; else they are indices of frames."""
    return self.frames_per_second is not None

  @property
  def frame_intervals(self) -> tuple[float, ...]:
    """Allowed distances between two frames of a clip, in seconds or frames."""
    if self.frames_per_second is not None:
      return (1 / self.frames_per_second,)
    return self.strides

  @property
  def frame_interval(self) -> float:
    """Distance between two frames of a clip, the first of the allowed ones."""
    return self.frame_intervals[0]

  def span(self, frame_interval: float) -> float:
    """Returns the distance from the first frame of a clip to the last.

    Args:
      frame_interval: Distance between two frames, in seconds or frames.
    """
    return (self.num_frames - 1) * frame_interval

  def describe(self, length: float) -> str:
    """Returns the duration of a clip of this span, as a text with a unit."""
    if self.is_timed:
      return f'{length + self.frame_interval:.4g} s'
    return f'{length + 1:g} frames'


@dataclasses.dataclass(frozen=True, eq=False)
class Segment:
  """A video, or a part of it.

  Attributes:
    index: Index of the frames of the whole video.
    first: Position of the first frame of the segment.
    last: Position of its last frame, included.
    is_timed: Whether positions are seconds; else they are indices of frames.
    label: Name of the class of the video; not used if there are no classes.
    annotation: Caption and actions of the video.
  """

  index: codecs.Index
  first: float
  last: float
  is_timed: bool
  label: str = ''
  annotation: annotations_lib.Annotation = dataclasses.field(
    default_factory=annotations_lib.Annotation
  )

  def num_windows(self, spec: ClipSpec) -> int:
    """Returns the number of clips of the segment, 1 or more."""
    if spec.num_windows is not None:
      return spec.num_windows
    length = self.last - self.first
    number = clips.num_windows(length, spec.num_frames, spec.frame_interval)
    return max(number, 1)  # A video that is too short is extended.

  def slack(self, span: float) -> float:
    """Returns how far a clip of length `span` can be moved in the segment."""
    return max(self.last - self.first - span, 0)

  def fits(self, span: float) -> bool:
    """Returns whether a clip of length `span` fits in the segment."""
    return self.last - self.first >= span

  def frames(self, position_t: np.ndarray) -> np.ndarray:
    """Returns the indices of the frames that are shown at these positions."""
    if self.is_timed:
      return self.index.at(position_t)
    return np.round(position_t).astype(int)

  def seconds(self, position_t: np.ndarray) -> np.ndarray:
    """Returns the times of these positions on the clock of the file."""
    zero = self.index.pts_n[0] * float(self.index.time_base)
    if self.is_timed:
      return zero + position_t
    return zero + self.index.time_n[self.frames(position_t)]


def whole(
  index: codecs.Index,
  spec: ClipSpec,
  label: str,
  annotation: annotations_lib.Annotation,
) -> Segment:
  """Returns the segment of a whole video, or of a part that a table selects.

  Args:
    index: Times of the frames of the video.
    spec: Rate and length of clips.
    label: Name of the class; '' for none.
    annotation: Line of the table for the video.

  Raises:
    ClipError: If the video is too short and `spec.short` is 'error', its rate
      is far below that of the clips, or the annotation selects no frame.
    ValueError: If its annotation has too few actions.
  """
  interval = spec.frame_interval
  last = len(index) - 1
  if spec.is_timed:  # The last frame may be shown for several intervals.
    last = max(index.time_n[-1], index.duration_s - interval)
  first, last = _limits(index, annotation, spec, last)
  length = last - first
  fits = clips.num_windows(length, spec.num_frames, interval) > 0
  if not fits and spec.short == 'error':
    what = 'its segment lasts' if annotation.is_segment else 'it lasts'
    raise faults.ClipError(
      index.path,
      f'{what} {spec.describe(length)}, but a clip lasts'
      f" {spec.describe(spec.span(interval))}. Set short='loop' or 'hold', use"
      ' shorter clips, or remove the file.',
    )
  rate = index.frames_per_second
  if (
    spec.is_timed
    and len(index) > 1
    and 1 / interval > 1.01 * _MAX_REPEATS * rate
  ):
    raise faults.ClipError(
      index.path,
      f'it has {rate:.4g} frames per second, but config.data.frames_per_second'
      f' is {1 / interval:.4g}, so that most frames would be repeated. Use at'
      f' most {_MAX_REPEATS} times the rate of the file, or remove the file.',
    )
  # The action at the last frame has no effect on the clip.
  action_na = annotation.action_na
  if action_na is not None and len(action_na) < len(index) - 1:
    raise ValueError(
      f'{index.path} has {len(index)} frames, but {len(action_na)} actions in'
      ' config.data.annotations; give one for each frame.'
    )
  return Segment(index, first, last, spec.is_timed, label, annotation)


def part(
  segment: Segment,
  spec: ClipSpec,
  split: str,
  proportions: Mapping[str, float],
) -> Segment:
  """Returns the part of a video that belongs to a split by time.

  Args:
    segment: Segment of the whole video.
    spec: Rate and length of clips.
    split: Name of the split.
    proportions: Proportion of each split, {name: from 0 to 1}.

  Raises:
    ClipError: If a part is shorter than a clip.
  """
  interval = spec.frame_interval
  span = spec.span(interval)
  length = segment.last - segment.first
  parts = splits.by_time(
    length,
    span=span,
    gap=spec.num_frames * interval,
    proportions=proportions,
    is_whole=not spec.is_timed,
  )
  missing = span - parts['train'][1]
  if missing > clips.TOLERANCE * interval:
    raise faults.ClipError(
      segment.index.path,
      f'it lasts {spec.describe(length)}, but a split by time into clips of'
      f' {spec.describe(span)} with gaps of one clip needs'
      f" {spec.describe(length + missing)}. Set split='all', use shorter"
      f' clips, or add videos: {MIN_VIDEOS_TO_SPLIT} or more are split by'
      ' video.',
    )
  first, last = (segment.first + position for position in parts[split])
  return dataclasses.replace(segment, first=first, last=last)


def _limits(
  index: codecs.Index,
  annotation: annotations_lib.Annotation,
  spec: ClipSpec,
  last: float,
) -> tuple[float, float]:
  """Returns the first and the last position that an annotation allows."""
  start, end = annotation.start_s, annotation.end_s
  if start > index.time_n[-1]:
    raise faults.ClipError(
      index.path,
      f'it lasts {index.duration_s:.4g} s, but start_s is {start:g} in'
      ' config.data.annotations. Correct the table.',
    )
  if spec.is_timed:
    return start, last if end is None else min(end, last)
  inside = index.between(start, math.inf if end is None else end)
  if not len(inside):
    raise faults.ClipError(
      index.path,
      f'it has no frame from {start:g} to {end:g} s. Correct start_s and end_s'
      ' in config.data.annotations.',
    )
  return int(inside[0]), int(inside[-1])


def check_rate(rate: float | None, strides: tuple[int, ...]) -> None:
  """Raises ValueError unless a rate or strides can be sampled."""
  values = f'config.data.stride is {strides} and frames_per_second is {rate}'
  if not strides or min(strides) < 1 or (rate is not None and rate <= 0):
    raise ValueError(f'{values}; both must be positive.')
  if rate is not None and strides != (1,):
    raise ValueError(f'{values}; give only one of them.')


def check_channels(clip_shape: tuple[int, ...]) -> None:
  """Raises ValueError unless clips have 1 channel or 3."""
  if clip_shape[-1] not in (1, 3):
    raise ValueError(
      f'config.clip_shape is {tuple(clip_shape)}; the number of channels, its'
      f' last entry, must be 1 or 3, not {clip_shape[-1]}.'
    )

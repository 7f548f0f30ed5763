"""A folder of videos, of any length, size and rate, as clips of one shape.

Sub-folders are searched too; where all videos lie in two sub-folders or more,
the first folder of a video's path is its label.
"""

from collections.abc import Mapping, Sequence
from concurrent import futures
import dataclasses
import functools
import pathlib

import numpy as np

from vgen_jax.data import clips
from vgen_jax.data import codecs
from vgen_jax.data import splits
from vgen_jax.types import Clip
from vgen_jax.types import ClipShape
from vgen_jax.types import Schema

EXTENSIONS = ('.avi', '.gif', '.mkv', '.mov', '.mp4', '.webm')
_MIN_VIDEOS_TO_SPLIT = 3


class VideoFolder:
  """Clips of the videos in a folder; a long video holds many of them.

  `source[i]` cuts each video into clips, one after another, and takes their
  centre. `source.draw(i, rng)` takes a clip from anywhere in the same video.

  Splits never share a video: a hash of its path decides, so a split is a
  function of the names of the files. A folder of one or two videos is split by
  time instead: train, validation and test are stretches of each video, in this
  order, a clip's length apart. These still show the same scene, and results on
  them tell little about other videos.

  Args:
    clip_shape: (t, h, w, c), with c 1 or 3.
    folder: Local directory.
    split: 'train', 'validation', 'test', or 'all' for a folder which is a
      split already.
    frames_per_second: Rate to sample at, by the times of the frames, whatever
      the rates of the files; None takes every `stride`-th frame.
    stride: Frames of a video for one of a clip.
    short: What to do with a video shorter than a clip: 'error', 'loop' plays
      it there and back, 'hold' stays at its last frame.
    has_labels: Whether the names of sub-folders are labels.
    crops_at_random: Whether `draw` moves the crop along the longer side.
    flips: Whether `draw` mirrors half of its clips.
    validation: Share of the videos that split takes; at least one of them.
    test: Likewise.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    folder: str,
    split: str = 'train',
    frames_per_second: float | None = None,
    stride: int = 1,
    short: str = 'error',
    has_labels: bool = True,
    crops_at_random: bool = True,
    flips: bool = False,
    validation: float = 0.1,
    test: float = 0.1,
  ):
    _check(clip_shape, frames_per_second, stride, short)
    shares = {'validation': validation, 'test': test}
    self.clip_shape = tuple(clip_shape)
    self.frames_per_second = frames_per_second
    self.short = short
    self.crops_at_random = crops_at_random
    self.flips = flips
    # From one frame of a clip to the next: in seconds, or in frames.
    self._pitch = 1 / frames_per_second if frames_per_second else stride

    paths = _find(pathlib.Path(folder))
    names = [path.relative_to(folder) for path in paths]
    self._class_names = _classes(names) if has_labels else ()
    by_time = split != 'all' and len(paths) < _MIN_VIDEOS_TO_SPLIT
    splits.check(split, shares)
    chosen = splits.by_name(
      [name.as_posix() for name in names],
      'all' if by_time else split,
      shares,
    )
    with futures.ThreadPoolExecutor() as pool:
      indices = list(pool.map(_scan, [paths[i] for i in chosen]))
    labels = [names[i].parts[0] for i in chosen]
    self._stretches = [
      self._whole(index, label)
      for index, label in zip(indices, labels, strict=True)
    ]
    if by_time:
      self._stretches = [self._part(x, split, shares) for x in self._stretches]
    num_clips = [self._num_windows(x) for x in self._stretches]
    self._past_n = np.cumsum(num_clips)  # Clips of this video and before.

  @property
  def schema(self) -> Schema:
    """The rate is the one asked for, or that of the middle video."""
    rates = [x.index.frames_per_second / self._pitch for x in self._stretches]
    rate = self.frames_per_second or float(np.median(rates))
    names = self._class_names
    return Schema(self.clip_shape, len(names), names, rate)

  def __len__(self) -> int:
    return int(self._past_n[-1])

  def __getitem__(self, index: int) -> Clip:
    video = self._video_of(index)
    before = self._past_n[video - 1] if video else 0
    stretch = self._stretches[video]
    start = stretch.first + (index - before) * self._pitch * self.clip_shape[0]
    return self._clip(stretch, start)

  def draw(self, index: int, rng: np.random.Generator) -> Clip:
    """Returns a clip from anywhere in the video of clip `index`."""
    stretch = self._stretches[self._video_of(index)]
    room = max(stretch.last - stretch.first - self._span, 0)
    if self.frames_per_second:
      start = stretch.first + rng.uniform(0, room)
    else:
      start = stretch.first + rng.integers(room, endpoint=True)
    down, right = rng.random(2) if self.crops_at_random else (0.5, 0.5)
    clip = self._clip(stretch, start, down, right)
    if self.flips and rng.random() < 0.5:
      clip['video'] = clips.mirrored(clip['video'])
    return clip

  @property
  def _span(self) -> float:
    """From the first frame of a clip to its last."""
    return (self.clip_shape[0] - 1) * self._pitch

  def _video_of(self, index: int) -> int:
    if not 0 <= index < len(self):
      raise IndexError(f'Clip {index} of {len(self)}.')
    return int(np.searchsorted(self._past_n, index, 'right'))

  def _num_windows(self, stretch: '_Stretch') -> int:
    length = stretch.last - stretch.first
    number = clips.num_windows(length, self.clip_shape[0], self._pitch)
    return max(number, 1)  # Videos too short are made longer.

  def _clip(
    self,
    stretch: '_Stretch',
    start: float,
    down: float = 0.5,
    right: float = 0.5,
  ) -> Clip:
    t, h, w, c = self.clip_shape
    place_t = clips.places(
      start, t, self._pitch, stretch.first, stretch.last, self.short
    )
    if self.frames_per_second:
      number_t = stretch.index.at(place_t)
    else:
      number_t = np.round(place_t).astype(int)
    video_thwc = codecs.read(stretch.index, number_t)
    video_thwc = clips.fit(video_thwc, h, w, down, right)
    clip = {'video': clips.with_channels(video_thwc, c)}
    if self._class_names:
      clip['label'] = np.int32(self._class_names.index(stretch.label))
    return clip

  def _whole(self, index: codecs.Index, label: str) -> '_Stretch':
    last = index.time_n[-1] if self.frames_per_second else len(index) - 1
    fits = clips.num_windows(last, self.clip_shape[0], self._pitch) > 0
    if not fits and self.short == 'error':
      raise codecs.ClipError(
        index.path,
        f'it lasts {self._amount(last)}, a clip {self._amount(self._span)};'
        " take short='loop' or 'hold', shorter clips, or remove it.",
      )
    return _Stretch(index, 0, last, label)

  def _part(
    self, stretch: '_Stretch', split: str, shares: Mapping[str, float]
  ) -> '_Stretch':
    """Returns the part of a video that a split by time takes."""
    parts = splits.by_time(
      stretch.last,
      span=self._span,
      gap=self.clip_shape[0] * self._pitch,
      shares=shares,
      is_whole=not self.frames_per_second,
    )
    missing = self._span - parts['train'][1]
    if missing > clips.TOLERANCE * self._pitch:
      raise codecs.ClipError(
        stretch.index.path,
        f'it lasts {self._amount(stretch.last)}; to split it by time, into'
        f' clips of {self._amount(self._span)} a clip apart, takes'
        f" {self._amount(stretch.last + missing)}. Take split='all', shorter"
        f' clips, or {_MIN_VIDEOS_TO_SPLIT} videos or more, which are split as'
        ' wholes.',
      )
    first, last = parts[split]
    return dataclasses.replace(stretch, first=first, last=last)

  def _amount(self, length: float) -> str:
    """Says how much video lies between two frames, both included."""
    if self.frames_per_second:
      return f'{length + self._pitch:.4g} s'
    return f'{length + 1:g} frames'


@dataclasses.dataclass(frozen=True)
class _Stretch:
  """A video, or a part of it.

  Attributes:
    index: Of the whole video.
    first: Place of its first frame: a time in seconds, or a frame's number.
    last: Place of its last frame, included.
    label: Folder it lies in.
  """

  index: codecs.Index
  first: float
  last: float
  label: str


def _check(
  clip_shape: ClipShape,
  frames_per_second: float | None,
  stride: int,
  short: str,
) -> None:
  if clip_shape[-1] not in (1, 3):
    raise ValueError(
      f'config.clip_shape is {tuple(clip_shape)}; videos come in 1 channel or'
      f' 3, not in {clip_shape[-1]}.'
    )
  if short not in clips.SHORT:
    raise ValueError(
      f'config.data.short is {short!r}; it must be one of {list(clips.SHORT)}.'
    )
  if stride < 1 or (frames_per_second is not None and frames_per_second <= 0):
    raise ValueError(
      f'config.data has stride {stride} and frames_per_second'
      f' {frames_per_second}; both must be positive.'
    )
  if frames_per_second and stride != 1:
    raise ValueError(
      f'config.data has stride {stride} and frames_per_second'
      f' {frames_per_second}; give one of them.'
    )


def _find(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns all videos in a folder, by name."""
  if not folder.is_dir():
    raise FileNotFoundError(
      f"config.data.folder is '{folder}'; there is no such folder. Give the"
      ' path of one with videos.'
    )
  paths = sorted(
    path
    for path in folder.rglob('*')
    if path.suffix.lower() in EXTENSIONS and not path.name.startswith('.')
  )
  if not paths:
    raise FileNotFoundError(
      f"config.data.folder is '{folder}'; it holds no video: no file, in it or"
      f' in its sub-folders, ends in one of {list(EXTENSIONS)}.'
    )
  return paths


def _classes(names: Sequence[pathlib.Path]) -> tuple[str, ...]:
  """Returns the first folders of all paths, if they tell anything."""
  folders = {name.parts[0] for name in names if len(name.parts) > 1}
  is_sorted = len(folders) > 1 and all(len(name.parts) > 1 for name in names)
  return tuple(sorted(folders)) if is_sorted else ()


def _scan(path: pathlib.Path) -> codecs.Index:
  """Scans a video once, however many splits ask for it."""
  stat = path.stat()
  return _scan_once(str(path), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=100_000)
def _scan_once(path: str, mtime_ns: int, size: int) -> codecs.Index:
  del mtime_ns, size  # A file that changed is another one.
  return codecs.scan(path)

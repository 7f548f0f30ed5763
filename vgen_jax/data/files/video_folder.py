"""A folder of videos, of any length, size and rate, as clips of one shape.

Sub-folders are searched too; where all videos lie in two sub-folders or more,
the first folder of a video's path is its label.
"""

from collections.abc import Sequence
from concurrent import futures
import pathlib

import numpy as np

from vgen_jax.core import faults as faults_lib
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.data import clips
from vgen_jax.data import splits
from vgen_jax.data import text as text_lib
from vgen_jax.data.files import annotations as notes_lib
from vgen_jax.data.files import audio as audio_lib
from vgen_jax.data.files import codecs
from vgen_jax.data.files import containers
from vgen_jax.data.files import folders
from vgen_jax.data.files import segments

EXTENSIONS = folders.EXTENSIONS  # Of files that count as videos.


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
    stride: Frames of a video for one of a clip; of several, `draw` takes any
      that the video is long enough for, and `source[i]` the first.
    time_jitter: By how much of the time between two frames `draw` moves each,
      up to 0.5.
    short: What to do with a video shorter than a clip: 'error', 'loop' plays
      it there and back, 'hold' stays at its last frame.
    has_labels: Whether the names of sub-folders are labels.
    crops_at_random: Whether `draw` moves the crop along the longer side.
    flips: Whether `draw` mirrors half of its clips.
    num_windows: Clips of a video, evenly spread over it; None takes as many as
      lie in it one after another.
    num_views: Crops of each clip, evenly spread along the longer side; clip i
      is crop `i % num_views`.
    notes: Table of captions and actions (data/files/annotations.py), or None;
      with actions, clips are of all frames as they were filmed, in that order.
    text: Tokenizer of the captions, a spec of data/text.py; bytes by default.
    audio: Whether clips have their sound, or the spec of an
      `data.files.audio.LogMel`.
    validation: Share of the videos that split takes; at least one of them.
    test: Likewise.
    max_pixels: Most pixels that a frame of a video may have.
    faults: 'raise' names a video that cannot be read at once; 'substitute'
      does so when a clip of it is asked for, so that another can stand for it.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    folder: str,
    split: str = 'train',
    frames_per_second: float | None = None,
    stride: int | Sequence[int] = 1,
    time_jitter: float = 0.0,
    short: str = 'error',
    has_labels: bool = True,
    crops_at_random: bool = True,
    flips: bool = False,
    num_windows: int | None = None,
    num_views: int = 1,
    notes: str | None = None,
    text: text_lib.Tokenizer | None = None,
    audio: audio_lib.LogMel | bool = False,
    validation: float = 0.1,
    test: float = 0.1,
    max_pixels: int = containers.MAX_PIXELS,
    faults: str = 'raise',
  ):
    strides = (stride,) if isinstance(stride, int) else tuple(stride)
    segments.check(clip_shape, frames_per_second, strides, short)
    segments.check_views(time_jitter, num_windows, num_views)
    shares = {'validation': validation, 'test': test}
    self.clip_shape = tuple(clip_shape)
    self.frames_per_second = frames_per_second
    self.short = short
    self.crops_at_random = crops_at_random
    self.flips = flips
    self.time_jitter = time_jitter
    self.num_windows = num_windows
    self.num_views = num_views
    self.audio = audio_lib.LogMel() if audio is True else audio or None
    # From one frame of a clip to the next: in seconds, or in frames.
    self._pitches = (1 / frames_per_second,) if frames_per_second else strides
    self._ask = segments.ClipSpec(
      self.clip_shape[0], self._pitches[0], bool(frames_per_second), short
    )
    self._notes = notes_lib.read(notes) if notes else {}
    has_captions = any(note.caption for note in self._notes.values())
    self.text = (text or text_lib.Bytes()) if has_captions else None
    if text and not has_captions:
      raise ValueError(
        f'config.data.text is given, but config.data.notes, {notes!r}, has no'
        ' captions; give a table that has some (data/files/annotations.py).'
      )
    self._action_width = notes_lib.width(self._notes)
    changes = {'flips': flips, 'stride': max(strides) > 1}
    changes['frames_per_second'] = frames_per_second is not None
    changes |= {'time_jitter': time_jitter > 0, "short='loop'": short == 'loop'}
    clips.check_actions(self._action_width, changes)
    self._take(
      pathlib.Path(folder), split, shares, has_labels, max_pixels, faults
    )

  @property
  def schema(self) -> Schema:
    """The rate is the one asked for, or that of the middle video."""
    sound = [x for x in self._stretches if isinstance(x, segments.Segment)]
    if not sound:
      raise self._stretches[0]
    rates = [x.index.frames_per_second / self._ask.pitch for x in sound]
    return Schema(
      self.clip_shape,
      len(self._class_names),
      self._class_names,
      self.frames_per_second or float(np.median(rates)),
      vocab_size=self.text.vocab_size if self.text else 0,
      action_width=self._action_width,
      audio_bands=self.audio.num_bands if self.audio else 0,
    )

  def __len__(self) -> int:
    return int(self._past_n[-1])

  def __getitem__(self, index: int) -> Clip:
    video, number = self._video_of(index)
    stretch = self._stretch(video)
    window, view = divmod(number, self.num_views)
    if self.num_windows is None:
      start = window * self._ask.pitch * self.clip_shape[0]
    else:
      room = stretch.room(self._ask.span)
      start = clips.spread(room, self.num_windows)[window]
    if not self._ask.is_timed:
      start = int(start)
    place = clips.spread(1, self.num_views)[view]
    place_t = self._places(stretch, stretch.first + start, self._ask.pitch)
    return self._clip(stretch, place_t, self._ask.pitch, place, place)

  def draw(self, index: int, rng: np.random.Generator) -> Clip:
    """Returns a clip from anywhere in the video of clip `index`."""
    stretch = self._stretch(self._video_of(index)[0])
    spans = {x: (self.clip_shape[0] - 1) * x for x in self._pitches}
    pitches = [x for x in self._pitches if stretch.fits(spans[x])]
    pitch = pitches[0] if pitches else min(self._pitches)
    if len(pitches) > 1:
      pitch = pitches[rng.integers(len(pitches))]
    room = stretch.room(spans[pitch])
    if self._ask.is_timed:
      start = stretch.first + rng.uniform(0, room)
    else:
      start = stretch.first + rng.integers(room, endpoint=True)
    down, right = rng.random(2) if self.crops_at_random else (0.5, 0.5)
    place_t = clips.jittered(
      self._places(stretch, start, pitch),
      self.time_jitter * pitch,
      stretch.first,
      stretch.last,
      rng,
    )
    clip = self._clip(stretch, place_t, pitch, down, right)
    if self.flips and rng.random() < 0.5:
      clip['video'] = clips.mirrored(clip['video'])
    return clip

  def _take(
    self,
    folder: pathlib.Path,
    split: str,
    shares: dict[str, float],
    has_labels: bool,
    max_pixels: int,
    faults: str,
  ) -> None:
    """Finds the videos of a split, and where their clips are."""
    paths = folders.find(folder)
    names = [path.relative_to(folder) for path in paths]
    self._class_names = folders.classes(names) if has_labels else ()
    keys = folders.originals(paths, folder)
    by_time = split != 'all' and len(set(keys)) < segments.MIN_VIDEOS_TO_SPLIT
    splits.check(split, shares)
    chosen = splits.by_name(keys, 'all' if by_time else split, shares)

    def look(i: int) -> segments.Segment | faults_lib.ClipError:
      try:
        index = folders.scan(paths[i], max_pixels)
        note = self._note(names[i].as_posix())
        stretch = segments.whole(index, self._ask, names[i].parts[0], note)
        if by_time:
          stretch = segments.part(stretch, self._ask, split, shares)
        return stretch
      except faults_lib.ClipError as error:
        if faults == 'raise':
          raise
        return error

    with futures.ThreadPoolExecutor() as pool:
      self._stretches = list(pool.map(look, chosen))
    self._past_n = np.cumsum([self._num_clips(x) for x in self._stretches])

  def _note(self, name: str) -> notes_lib.Annotation:
    if self._notes and name not in self._notes:
      raise ValueError(
        f'config.data.notes has no line for {name!r}, a video of the folder;'
        ' give it one, or remove the video.'
      )
    return self._notes.get(name, notes_lib.Annotation())

  def _num_clips(self, stretch: segments.Segment | faults_lib.ClipError) -> int:
    if isinstance(stretch, faults_lib.ClipError):
      return 1
    return (self.num_windows or stretch.num_windows(self._ask)) * self.num_views

  def _video_of(self, index: int) -> tuple[int, int]:
    """Returns the number of a clip's video, and that of the clip in it."""
    if not 0 <= index < len(self):
      raise IndexError(f'Clip {index} of {len(self)}.')
    video = int(np.searchsorted(self._past_n, index, 'right'))
    return video, index - int(self._past_n[video - 1] if video else 0)

  def _stretch(self, video: int) -> segments.Segment:
    stretch = self._stretches[video]
    if isinstance(stretch, faults_lib.ClipError):
      raise faults_lib.ClipError(stretch.path, stretch.reason)
    return stretch

  def _places(
    self, stretch: segments.Segment, start: float, pitch: float
  ) -> np.ndarray:
    return clips.places(
      start,
      self.clip_shape[0],
      pitch,
      stretch.first,
      stretch.last,
      self._ask.short,
    )

  def _clip(
    self,
    stretch: segments.Segment,
    place_t: np.ndarray,
    pitch: float,
    down: float,
    right: float,
  ) -> Clip:
    _, h, w, c = self.clip_shape
    number_t = stretch.frames(place_t)
    video_thwc = codecs.read(stretch.index, number_t)
    video_thwc = clips.fit(video_thwc, h, w, down, right)
    clip = {'video': clips.with_channels(video_thwc, c)}
    if self._class_names:
      clip['label'] = np.int32(self._class_names.index(stretch.label))
    if self.text:
      clip |= text_lib.entries(self.text, stretch.note.caption or '')
    if self._action_width:
      action_na = stretch.note.action_na
      clip['action'] = action_na[np.minimum(number_t, len(action_na) - 1)]
    if self.audio:
      pitch_s = pitch
      if not self._ask.is_timed:
        pitch_s = pitch / stretch.index.frames_per_second
      clip['audio'] = self.audio.read(
        stretch.index.path, stretch.seconds(place_t), pitch_s
      )
    return clip

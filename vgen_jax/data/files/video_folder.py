"""A folder of videos of any length, size and rate, as clips of one shape.

Sub-folders are searched, too. If all videos lie in two sub-folders or more, the
first folder of the path of a video is its label.
"""

from collections.abc import Sequence
import logging
import pathlib

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import faults as faults_lib
from vgen_jax.core import file_paths
from vgen_jax.core import sources
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import PathText
from vgen_jax.core.types import Schema
from vgen_jax.data import clips
from vgen_jax.data import text as text_lib
from vgen_jax.data.files import annotations as annotations_lib
from vgen_jax.data.files import audio as audio_lib
from vgen_jax.data.files import codecs
from vgen_jax.data.files import containers
from vgen_jax.data.files import folder_splits
from vgen_jax.data.files import folders
from vgen_jax.data.files import segments
from vgen_jax.data.files import temporal_sampling

_log = logging.getLogger(__name__)

EXTENSIONS = folders.EXTENSIONS  # Endings of the names of videos.


class VideoFolder(sources.HasContents, sources.HasRandomViews):
  """Clips of the videos in a folder; a long video has many of them.

  `source[i]` cuts each video into consecutive clips and takes the centre crop.
  `source.random_view(i, rng)` takes a clip from anywhere in the same video.

  Splits have no video in common. Unless `annotations` state the splits, a hash
  of the path of each video decides, so that splits only depend on the names of
  the files. A folder of one or two videos is split by time: train, validation
  and test are consecutive segments of each video, with gaps of one clip. They
  still show the same scene, so results on them say little about other videos.

  Args:
    clip_shape: (t, h, w, c), with c 1 or 3.
    folder: Local directory.
    split: 'train', 'validation', 'test', or 'all' for a folder that is a split
      already.
    frames_per_second: Rate at which videos are sampled, by the times of their
      frames, whatever their own rates; None for every `stride`-th frame.
    stride: Number of video frames per clip frame. If there are several,
      `random_view` takes any for which the video is long enough, and
      `source[i]` takes the first.
    time_jitter: Largest random shift of each frame in `random_view`, in units
      of the time between two frames, 0 to 0.5.
    short: What to do with a video that is shorter than a clip: 'error' raises
      an error, 'loop' plays it forward and backward, 'hold' repeats its last
      frame.
    has_labels: Whether clips have labels, if there are classes: the labels in
      `annotations` or, without them, the names of sub-folders.
    crops_at_random: Whether `random_view` crops at a random position along the
      longer side.
    flips: Whether `random_view` mirrors half of its clips.
    num_windows: Number of clips per video, evenly spaced; None for as many
      consecutive clips as the video has.
    num_views: Number of crops per clip, evenly spaced along the longer side;
      clip i has crop `i % num_views`.
    annotations: Path of a table of captions and actions
      (data/files/annotations.py), or None. Clips with actions have all frames
      of the original video in their order.
    text: Tokenizer of captions, a spec of data/text.py; the default is `Bytes`.
    audio: Whether clips have audio, or the spec of a `data.files.audio.LogMel`.
    validation: Proportion of the videos in the validation split; if positive,
      it has one video or more.
    test: Proportion of the videos in the test split, in the same way.
    max_pixels: Largest allowed number of pixels of a frame.
    faults: 'raise' raises an error about an unreadable video immediately;
      'substitute' raises it when one of its clips is read, so that another clip
      can replace it.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    folder: PathText,
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
    annotations: PathText | None = None,
    text: text_lib.Tokenizer | None = None,
    audio: audio_lib.LogMel | bool | None = False,
    validation: float = 0.1,
    test: float = 0.1,
    max_pixels: int = containers.MAX_PIXELS,
    faults: str = 'raise',
  ):
    segments.check_channels(clip_shape)
    checks.at_least('config.data.num_views', num_views, 1)
    self.clip_shape = tuple(clip_shape)
    self.clip_spec = segments.ClipSpec(
      self.clip_shape[0],
      frames_per_second,
      (stride,) if isinstance(stride, int) else tuple(stride),
      short,
      time_jitter,
      num_windows,
    )
    self.crops_at_random = crops_at_random
    self.flips = flips
    self.num_views = num_views
    self.audio = audio_lib.LogMel() if audio is True else audio or None
    videos = file_paths.local(folder)
    self._annotations = annotations_lib.read(annotations, videos)
    captions = [x.caption for x in self._annotations if x.caption]
    self.text = (text or text_lib.Bytes()) if captions else None
    if text and not captions:
      raise ValueError(
        'config.data.text is given, but config.data.annotations,'
        f' {annotations!r}, has no captions; give a table with captions'
        ' (data/files/annotations.py), or remove config.data.text.'
      )
    if self.text and (sentence := text_lib.truncation(self.text, captions)):
      _log.warning('%s: %s', annotations, sentence)
    self._action_width = annotations_lib.action_width(self._annotations)
    self._check_actions()
    self._origin = videos, annotations, text
    found = folder_splits.find(
      videos,
      split,
      {'validation': validation, 'test': test},
      self.clip_spec,
      annotations=self._annotations,
      max_pixels=max_pixels,
      faults=faults,
    )
    self._segments = found.segments
    self._num_videos = found.num_videos
    self.splits = tuple(found.num_videos)
    self._class_names = found.class_names if has_labels else ()
    self._ends_n = np.cumsum([self._num_clips(x) for x in self._segments])

  @property
  def schema(self) -> Schema:
    """Schema of the clips.

    The rate is `frames_per_second`, or else the median over videos.
    """
    found = [x for x in self._segments if isinstance(x, segments.Segment)]
    if not found:
      raise self._segments[0]
    interval = self.clip_spec.frame_interval
    rates = [x.index.frames_per_second / interval for x in found]
    return Schema(
      self.clip_shape,
      len(self._class_names),
      self._class_names,
      self.clip_spec.frames_per_second or float(np.median(rates)),
      vocab_size=self.text.vocab_size if self.text else 0,
      vocabulary=self.text.vocabulary if self.text else '',
      action_width=self._action_width,
      audio_bands=self.audio.num_bands if self.audio else 0,
    )

  def files(self) -> dict[str, pathlib.Path]:
    """Returns the files that the clips depend on, {name: path}."""
    return folder_splits.files(self._segments, *self._origin)

  def __len__(self) -> int:
    return int(self._ends_n[-1])

  def contents(self) -> sources.Contents:
    """Returns the numbers of videos by split, and of clips by class."""
    labels = [
      self._class_names.index(segment.label)
      for segment in self._segments
      if self._class_names and isinstance(segment, segments.Segment)
      for _ in range(self._num_clips(segment))
    ]
    counts = np.bincount(labels, minlength=len(self._class_names))
    return sources.Contents(
      self._num_videos, 'videos', counts if self._class_names else None
    )

  def __getitem__(self, index: int) -> Clip:
    video, number = self._video_of(index)
    segment = self._segment(video)
    window, view = divmod(number, self.num_views)
    spec, interval = self.clip_spec, self.clip_spec.frame_interval
    start = temporal_sampling.window_start(segment, spec, window)
    crop = clips.evenly_spaced(1, self.num_views)[view]
    position_t = temporal_sampling.positions(segment, spec, start, interval)
    return self._clip(segment, position_t, interval, (crop, crop))

  def random_view(self, index: int, rng: np.random.Generator) -> Clip:
    """Returns a clip from anywhere in the video of clip `index`."""
    segment, spec = self._segment(self._video_of(index)[0]), self.clip_spec
    start, interval = temporal_sampling.random_start(segment, spec, rng)
    crop = tuple(rng.random(2)) if self.crops_at_random else (0.5, 0.5)
    position_t = clips.jittered(
      temporal_sampling.positions(segment, spec, start, interval),
      spec.time_jitter * interval,
      segment.first,
      segment.last,
      rng,
    )
    clip = self._clip(segment, position_t, interval, crop)
    if self.flips and rng.random() < 0.5:
      clip['video'] = clips.mirrored(clip['video'])
    return clip

  def _check_actions(self) -> None:
    """Raises ValueError if clips with actions are mirrored or resampled."""
    spec = self.clip_spec
    changes = {
      'flips': self.flips,
      'stride': max(spec.strides) > 1,
      'frames_per_second': spec.is_timed,
      'time_jitter': spec.time_jitter > 0,
      "short='loop'": spec.short == 'loop',
    }
    clips.check_actions(self._action_width, changes)

  def _num_clips(self, segment: segments.Segment | faults_lib.ClipError) -> int:
    if isinstance(segment, faults_lib.ClipError):
      return 1
    return segment.num_windows(self.clip_spec) * self.num_views

  def _video_of(self, index: int) -> tuple[int, int]:
    """Returns the index of a clip's video, and of the clip in this video."""
    checks.clip_index(index, len(self))
    video = int(np.searchsorted(self._ends_n, index, 'right'))
    return video, index - int(self._ends_n[video - 1] if video else 0)

  def _segment(self, video: int) -> segments.Segment:
    segment = self._segments[video]
    if isinstance(segment, faults_lib.ClipError):
      raise faults_lib.ClipError(segment.path, segment.reason)
    return segment

  def _clip(
    self,
    segment: segments.Segment,
    position_t: np.ndarray,
    frame_interval: float,
    crop: tuple[float, float],
  ) -> Clip:
    """Returns the clip at positions and a (vertical, horizontal) crop."""
    number_t = segment.frames(position_t)
    resize = clips.frame_resizer(self.clip_shape[1:], *crop)
    clip = {'video': codecs.read(segment.index, number_t, resize)}
    if self._class_names:
      clip['label'] = np.int32(self._class_names.index(segment.label))
    if self.text:
      caption = segment.annotation.caption or ''
      clip |= text_lib.entries(self.text, caption, is_counted=True)
    if self._action_width:
      action_na = segment.annotation.action_na
      clip['action'] = action_na[np.minimum(number_t, len(action_na) - 1)]
    if self.audio:
      if not self.clip_spec.is_timed:
        frame_interval = frame_interval / segment.index.frames_per_second
      clip['audio'] = self.audio.read(
        segment.index.path, segment.seconds(position_t), frame_interval
      )
    return clip

"""Raw videos of a dataset: files, arrays, clips of a source and records.

A raw video is fast to create and picklable. Its frames are only read by
`pieces`, which yields one piece or more, each short enough for an example.
Frames of files are read when they are taken from a piece, one at a time.
image_sequences.py has the raw videos that are folders of images.
"""

from collections.abc import Iterator
import dataclasses
import itertools
import math
from typing import Any, Protocol

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import faults
from vgen_jax.core import sources
from vgen_jax.data.files import codecs
from vgen_jax.data.prepare import resampling
from vgen_jax.data.prepare import tfrecords
from vgen_jax.data.tfds import storage

# Smallest and largest quality of a format; see `storage.encode`.
_QUALITIES = {'mp4': (0, 51), 'jpeg': (1, 100)}
# Pixels are stored and read as a whole, so that pieces with many of them take
# memory in every thread: 0.2 GB and some copies.
_MAX_RAW_PIXELS = 2**26
# Largest mean number of repetitions of each frame, and number of frames below
# which it is not checked.
_MAX_REPEATS, _MIN_STILL = 100, 10_000


@dataclasses.dataclass(frozen=True)
class Options:
  """Options that state how videos are stored.

  Attributes:
    format: One of `storage.FORMATS`.
    size: Number of pixels of the shorter side, to which larger videos are
      resized; None keeps the original size.
    frames_per_second: Rate at which videos are sampled; None keeps their rate.
    max_frames: Largest number of frames of an example; longer videos are split
      into several examples. In the format 'raw', examples with large frames
      are shorter.
    quality: Quality of the compression, as in `storage.encode`.
  """

  format: str = 'mp4'
  size: int | None = None
  frames_per_second: float | None = None
  max_frames: int = 512
  quality: int | None = None

  def __post_init__(self):
    checks.one_of('--format', self.format, storage.FORMATS)
    for name in ('size', 'frames_per_second', 'max_frames'):
      value = getattr(self, name)
      if value is not None and not 0 < value < math.inf:
        flag = {'frames_per_second': 'fps'}.get(name, name)
        raise ValueError(
          f'--{flag} is {value}; it must be positive and finite.'
        )
    if self.quality is not None:
      if self.format not in _QUALITIES:
        raise ValueError(
          f'--quality is {self.quality}, but the format {self.format!r} has no'
          ' quality; remove it.'
        )
      checks.in_range('--quality', self.quality, *_QUALITIES[self.format])

  def length(self, height: int, width: int) -> int:
    """Returns the largest number of frames of a piece of a video.

    Args:
      height: Height of the frames of the raw video, in pixels.
      width: Width of these frames, in pixels.
    """
    if self.format != 'raw':
      return self.max_frames
    scale = min(1, (self.size or math.inf) / min(height, width))
    num_pixels = math.ceil(height * width * scale**2)
    return max(1, min(self.max_frames, _MAX_RAW_PIXELS // num_pixels))


class RawVideo(Protocol):
  """A video whose frames are read when they are needed."""

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    """Yields `video` and `fps` of each piece.

    `video` is an iterable of the frames, uint8 [h, w, c], which must be read
    before the next piece is requested. A piece also has `numbers`, the indices
    of its frames in the raw video, and it may have `label`, `caption`, and
    `action` [n, a] of the raw video.

    Raises:
      ClipError: If the video cannot be read.
    """
    ...


@dataclasses.dataclass(frozen=True)
class File:
  """A video file, or a segment of it.

  Attributes:
    path: Path of the file.
    start_s: Start of the segment, in seconds after the first frame.
    end_s: End of the segment in seconds; None is the end of the video.
  """

  path: str
  start_s: float = 0.0
  end_s: float | None = None

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    index = codecs.scan(self.path)
    last_s = index.time_n[-1]
    rate = options.frames_per_second
    if rate:  # The last frame may be shown for longer.
      last_s = max(last_s, index.duration_s - 1 / rate)
    end_s = last_s if self.end_s is None else min(self.end_s, last_s)
    if rate:
      num_frames = math.floor((end_s - self.start_s) * rate + 0.05) + 1
      if num_frames > max(_MIN_STILL, _MAX_REPEATS * len(index)):
        raise faults.ClipError(
          self.path,
          f'it lasts {last_s:.4g} s and has {len(index)} frames, so at'
          f' {rate:g} frames per second each frame would occur {_MAX_REPEATS}'
          ' times or more; use a lower --fps, or remove the file.',
        )
      number_n = index.at(self.start_s + np.arange(max(num_frames, 0)) / rate)
    else:
      number_n = index.between(self.start_s, end_s)
    if not len(number_n):
      raise faults.ClipError(
        self.path,
        f'it lasts {last_s:.4g} s and has no frame from {self.start_s:g} to'
        f' {end_s:g} s; check start_s and end_s in the table.',
      )
    length = options.length(index.height, index.width)
    for part_n in resampling.parts(number_n, length):
      yield {
        'video': _frames(index, part_n, options.size),
        'fps': rate or index.frames_per_second,
        'numbers': part_n,
      }


@dataclasses.dataclass(frozen=True)
class Column:
  """One of the n videos in an array `[t, n, h, w]` in a .npy file.

  Attributes:
    path: Path of the file.
    number: Index of the video along the axis n.
    fps: Frames per second.
  """

  path: str
  number: int
  fps: float

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    video_tnhw = np.load(self.path, mmap_mode='r')
    video_thwc = np.asarray(video_tnhw[:, self.number])[..., None]
    yield from _pieces(video_thwc, self.fps, options)


@dataclasses.dataclass(frozen=True)
class Clip:
  """A clip of a source of vgen_jax, with its label, action and caption.

  Attributes:
    source: Source of the clip, a `pipeline.Source`.
    index: Index of the clip in the source.
  """

  source: Any
  index: int

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    clip = self.source[self.index]
    known = {k: clip[k] for k in ('label', 'action') if k in clip}
    if isinstance(self.source, sources.Captioned):
      known['caption'] = self.source.caption(self.index)
    rate = self.source.schema.frames_per_second
    for piece in _pieces(clip['video'], rate, options):
      yield known | piece


@dataclasses.dataclass(frozen=True)
class Robot:
  """The trajectories in a file of BAIR robot pushing, with actions.

  Attributes:
    path: Path of the TFRecord file.
    fps: Frames per second.
  """

  path: str
  fps: float

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    for features in tfrecords.examples(self.path):
      times = range(sum(key.endswith('/action') for key in features))
      try:
        images = [features[f'{t}/image_main/encoded'][0] for t in times]
        action_ta = np.array([features[f'{t}/action'] for t in times])
        video_t = [np.frombuffer(image, np.uint8) for image in images]
        video_thwc = np.stack(video_t).reshape(-1, 64, 64, 3)
      except (KeyError, ValueError) as error:
        raise faults.ClipError(
          self.path,
          f'it contains no trajectory of 64x64 frames ({error}); copy it again'
          ' or remove it.',
        ) from error
      for piece in _pieces(video_thwc, self.fps, options):
        yield piece | {'action': action_ta.astype(np.float32)}


def _frames(
  index: codecs.Index, number_n: np.ndarray, size: int | None
) -> Iterator[np.ndarray]:
  """Yields frames of a video, resized; their numbers do not decrease."""
  wanted, counts = np.unique(number_n, return_counts=True)
  resize = lambda image_hwc: resampling.resized(image_hwc[None], size)[0]
  images = codecs.frames(index, wanted, resize)
  for image_hwc, count in zip(images, counts, strict=True):
    yield from itertools.repeat(image_hwc, count)


def _pieces(
  video_thwc: np.ndarray, fps: float, options: Options
) -> Iterator[dict[str, Any]]:
  """Yields the pieces of a video that is in memory."""
  number_n, rate = resampling.sampled(
    len(video_thwc), fps, options.frames_per_second
  )
  for part_n in resampling.parts(number_n, options.max_frames):
    video = resampling.resized(video_thwc[part_n], options.size)
    yield {'video': video, 'fps': rate, 'numbers': part_n}

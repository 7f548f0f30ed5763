"""Raw videos of a dataset: files, folders of images, arrays and records.

A raw video is fast to create and picklable. Its frames are only read by
`pieces`, which yields one piece or more, each short enough for an example.
"""

from collections.abc import Iterator
import dataclasses
import math
import pathlib
from typing import Any, Protocol

import numpy as np
from PIL import Image

from vgen_jax.core import checks
from vgen_jax.core import faults
from vgen_jax.core import sources
from vgen_jax.data import clips
from vgen_jax.data.files import codecs
from vgen_jax.data.prepare import tfrecords
from vgen_jax.data.tfds import storage

_IMAGES = ('.jpg', '.jpeg', '.png')
# Largest number of pixels and smallest number of frames that are decoded before
# they are resized. 512 frames of 1080p would take gigabytes in every thread;
# with fewer frames at a time, seeking would take longer than decoding.
_MAX_PIXELS = 40_000_000  # About 20 frames of 1080p.
_MIN_FRAMES = 16


@dataclasses.dataclass(frozen=True)
class Options:
  """How videos are stored.

  Attributes:
    format: One of `storage.FORMATS`.
    size: Number of pixels of the shorter side, to which larger videos are
      resized; None keeps the original size.
    frames_per_second: Rate at which videos are sampled; None keeps their rate.
    max_frames: Largest number of frames of a piece; longer videos are cut.
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
      if value is not None and value <= 0:
        flag = {'frames_per_second': 'fps'}.get(name, name)
        raise ValueError(f'--{flag} is {value}; it must be positive.')


class RawVideo(Protocol):
  """A video whose frames are read when they are needed."""

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    """Yields `video` uint8 [t, h, w, c] and `fps` of each piece.

    A piece also has `numbers`, the indices of its frames in the raw video, and
    it may have `label`, `caption`, and `action` [n, a] of the raw video.

    Raises:
      ClipError: If the video cannot be read.
    """
    ...


@dataclasses.dataclass(frozen=True)
class File:
  """A video file, or a segment of it from `start_s` to `end_s` in seconds."""

  path: str
  start_s: float = 0.0
  end_s: float | None = None

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    index = codecs.scan(self.path)
    last_s = index.time_n[-1]
    end_s = last_s if self.end_s is None else min(self.end_s, last_s)
    rate = options.frames_per_second
    if rate:
      num_frames = math.floor((end_s - self.start_s) * rate + 0.05) + 1
      number_n = index.at(self.start_s + np.arange(max(num_frames, 0)) / rate)
    else:
      inside_n = (index.time_n >= self.start_s) & (index.time_n <= end_s)
      number_n = np.flatnonzero(inside_n)
    if not len(number_n):
      raise faults.ClipError(
        self.path,
        f'it lasts {last_s:.4g} s and has no frame from {self.start_s:g} to'
        f' {end_s:g} s; check start_s and end_s in the table.',
      )
    limit = max(_MIN_FRAMES, _MAX_PIXELS // (index.height * index.width))
    for part_n in _parts(number_n, options.max_frames):
      chunks = [
        _resized(codecs.read(index, chunk_n), options.size)
        for chunk_n in _parts(part_n, limit if options.size else len(part_n))
      ]
      if len({video_thwc.shape[1:] for video_thwc in chunks}) > 1:
        raise faults.ClipError(
          self.path,
          'its rotation changes within the file; split the file there.',
        )
      yield {
        'video': np.concatenate(chunks),
        'fps': rate or index.frames_per_second,
        'numbers': part_n,
      }


@dataclasses.dataclass(frozen=True)
class Images:
  """A folder of JPEG or PNG frames, in the order of the numbers in names."""

  path: str
  fps: float

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    paths = image_paths(pathlib.Path(self.path))
    if not paths:
      raise faults.ClipError(
        self.path, f'it contains no file that ends in one of {_IMAGES}.'
      )
    number_n, rate = _sampled(len(paths), self.fps, options.frames_per_second)
    for part_n in _parts(number_n, options.max_frames):
      images, shapes = [], set()
      for i in part_n:
        image_hwc = _image(paths[i])
        shapes.add(image_hwc.shape)
        images.append(_resized(image_hwc[None], options.size))
        if len(shapes) > 1:
          raise faults.ClipError(
            self.path, 'its images have different sizes; remove it.'
          )
      video_thwc = np.concatenate(images)
      yield {'video': video_thwc, 'fps': rate, 'numbers': part_n}


@dataclasses.dataclass(frozen=True)
class Column:
  """Video `number` of an array `[t, n, h, w]` in a .npy file."""

  path: str
  number: int
  fps: float

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    video_tnhw = np.load(self.path, mmap_mode='r')
    video_thwc = np.asarray(video_tnhw[:, self.number])[..., None]
    yield from _pieces(video_thwc, self.fps, options)


@dataclasses.dataclass(frozen=True)
class Clip:
  """A clip of a source of vgen_jax, with its label, action and caption."""

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
  """The trajectories in a file of BAIR robot pushing, with actions."""

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
          self.path, f'it contains no trajectory of 64x64 frames ({error}).'
        ) from error
      for piece in _pieces(video_thwc, self.fps, options):
        yield piece | {'action': action_ta.astype(np.float32)}


def image_paths(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the images in a folder; frame 10 comes after frame 9."""
  paths = [p for p in folder.iterdir() if p.suffix.lower() in _IMAGES]
  return sorted(paths, key=lambda p: (len(p.name), p.name))


def _image(path: pathlib.Path) -> np.ndarray:
  """Returns an image as RGB uint8 `[h, w, 3]`."""
  try:
    with Image.open(path) as opened:
      return np.asarray(opened.convert('RGB'))
  except OSError as error:
    raise faults.ClipError(str(path), str(error)) from error


def _pieces(
  video_thwc: np.ndarray, fps: float, options: Options
) -> Iterator[dict[str, Any]]:
  """Yields the pieces of a video that is in memory."""
  number_n, rate = _sampled(len(video_thwc), fps, options.frames_per_second)
  for part_n in _parts(number_n, options.max_frames):
    video = _resized(video_thwc[part_n], options.size)
    yield {'video': video, 'fps': rate, 'numbers': part_n}


def _sampled(
  num_frames: int, fps: float, frames_per_second: float | None
) -> tuple[np.ndarray, float]:
  """Returns the indices of the frames to keep, and their rate."""
  if frames_per_second is None:
    return np.arange(num_frames), fps
  stride = fps / frames_per_second
  number_n = np.arange(0, num_frames - 1 + 0.05 * stride, stride)
  number_n = np.floor(number_n + 0.05 * min(stride, 1)).astype(int)
  return np.minimum(number_n, num_frames - 1), frames_per_second


def _parts(number_n: np.ndarray, max_frames: int) -> list[np.ndarray]:
  """Returns parts of nearly equal length, at most `max_frames`."""
  return np.array_split(number_n, -(-len(number_n) // max_frames))


def _resized(video_thwc: np.ndarray, size: int | None) -> np.ndarray:
  """Returns a video with a shorter side of `size` and an even longer side."""
  h, w = video_thwc.shape[1:3]
  if size is None or min(h, w) <= size:
    return video_thwc
  scale = size / min(h, w)
  h, w = (
    size if x == min(h, w) else max(size, 2 * round(x * scale / 2))
    for x in (h, w)
  )
  return clips.crop_and_resize(video_thwc, h, w)

"""Where the frames of a dataset come from: files, folders, arrays, records.

A film is cheap to make and picklable, and gives its frames only when asked for
`pieces`: one or more, none longer than is good for an example.
"""

from collections.abc import Iterator
import dataclasses
import math
import pathlib
from typing import Any, Protocol

import numpy as np
from PIL import Image

from vgen_jax.core import faults
from vgen_jax.data import clips
from vgen_jax.data.files import codecs
from vgen_jax.data.prepare import tfrecords
from vgen_jax.data.tfds import storage

_IMAGES = ('.jpg', '.jpeg', '.png')
# Held at full size before they are made smaller: 512 frames of 1080p would be
# gigabytes, in every thread. Fewer at once cost more, by seeking anew.
_MAX_PIXELS = 40_000_000  # About 20 frames of 1080p.
_MIN_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class Options:
  """How videos are kept.

  Attributes:
    format: One of `storage.FORMATS`.
    size: Pixels of the shorter side, which larger videos are made smaller to;
      None keeps them as they are.
    frames_per_second: Rate that films are sampled at; None keeps theirs.
    max_frames: Longer films are cut into pieces of no more than that.
    quality: As of `storage.encode`.
  """

  format: str = 'mp4'
  size: int | None = None
  frames_per_second: float | None = None
  max_frames: int = 512
  quality: int | None = None

  def __post_init__(self):
    if self.format not in storage.FORMATS:
      raise ValueError(
        f'format is {self.format!r}; it must be one of {list(storage.FORMATS)}.'
      )
    for name in ('size', 'frames_per_second', 'max_frames'):
      value = getattr(self, name)
      if value is not None and value <= 0:
        raise ValueError(f'{name} is {value}; it must be positive.')


class RawVideo(Protocol):
  """Frames, with what else is only known once they are read."""

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    """Yields `video` uint8 [t, h, w, c] and `fps` of each piece.

    A piece may tell its `label`, `caption`, or `action` [t, a] as well, and
    its `numbers`, by which frames of the film it shows.

    Raises:
      ClipError: If the film cannot be read.
    """
    ...


@dataclasses.dataclass(frozen=True)
class File:
  """A video file, or a stretch of it, in seconds."""

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
        f'it lasts {last_s:.4g} s, and nothing of it is between'
        f' {self.start_s:g} and {end_s:g} s; look at the table.',
      )
    at_once = max(_MIN_AT_ONCE, _MAX_PIXELS // (index.height * index.width))
    for part_n in _cut(number_n, options.max_frames):
      few = [
        _resized(codecs.read(index, few_n), options.size)
        for few_n in _cut(part_n, at_once if options.size else len(part_n))
      ]
      if len({video_thwc.shape[1:] for video_thwc in few}) > 1:
        raise faults.ClipError(
          self.path, 'it turns on its side midway; cut it there.'
        )
      yield {
        'video': np.concatenate(few),
        'fps': rate or index.frames_per_second,
        'numbers': part_n,
      }


@dataclasses.dataclass(frozen=True)
class Images:
  """A folder of frames, JPEG or PNG, in the order of their names' numbers."""

  path: str
  fps: float

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    paths = image_paths(pathlib.Path(self.path))
    if not paths:
      raise faults.ClipError(self.path, f'it holds no image of {_IMAGES}.')
    number_n, rate = _sampled(len(paths), self.fps, options.frames_per_second)
    for part_n in _cut(number_n, options.max_frames):
      images, shapes = [], set()
      for i in part_n:
        image_hwc = self._read(paths[i])
        shapes.add(image_hwc.shape)
        images.append(_resized(image_hwc[None], options.size))
        if len(shapes) > 1:
          raise faults.ClipError(self.path, 'its images differ in size.')
      video_thwc = np.concatenate(images)
      yield {'video': video_thwc, 'fps': rate, 'numbers': part_n}

  def _read(self, path: pathlib.Path) -> np.ndarray:
    try:
      with Image.open(path) as opened:
        return np.asarray(opened.convert('RGB'))
    except OSError as error:
      raise faults.ClipError(str(path), str(error)) from error


@dataclasses.dataclass(frozen=True)
class Column:
  """A video of an array `[t, n, h, w]` in a file of NumPy's."""

  path: str
  number: int
  fps: float

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    video_tnhw = np.load(self.path, mmap_mode='r')
    video_thwc = np.asarray(video_tnhw[:, self.number])[..., None]
    yield from _pieces(video_thwc, self.fps, options)


@dataclasses.dataclass(frozen=True)
class Clip:
  """A clip of one of our own sources, with its label and its caption."""

  source: Any
  index: int

  def pieces(self, options: Options) -> Iterator[dict[str, Any]]:
    clip = self.source[self.index]
    known = {k: clip[k] for k in ('label', 'action') if k in clip}
    if hasattr(self.source, 'caption'):
      known['caption'] = self.source.caption(self.index)
    rate = self.source.schema.frames_per_second
    for piece in _pieces(clip['video'], rate, options):
      yield known | piece


@dataclasses.dataclass(frozen=True)
class Robot:
  """The trajectories in a file of BAIR's robot pushing data, with actions."""

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
          self.path, f'it holds no trajectory of 64x64 frames ({error}).'
        ) from error
      for piece in _pieces(video_thwc, self.fps, options):
        yield piece | {'action': action_ta.astype(np.float32)}


def image_paths(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the images in a folder; frame 10 comes after frame 9."""
  paths = [p for p in folder.iterdir() if p.suffix.lower() in _IMAGES]
  return sorted(paths, key=lambda p: (len(p.name), p.name))


def _pieces(
  video_thwc: np.ndarray, fps: float, options: Options
) -> Iterator[dict[str, Any]]:
  """Yields the pieces of a film that is in memory."""
  number_n, rate = _sampled(len(video_thwc), fps, options.frames_per_second)
  for part_n in _cut(number_n, options.max_frames):
    video = _resized(video_thwc[part_n], options.size)
    yield {'video': video, 'fps': rate, 'numbers': part_n}


def _sampled(
  num_frames: int, fps: float, frames_per_second: float | None
) -> tuple[np.ndarray, float]:
  """Returns the numbers of the frames to keep, and the rate that they have."""
  if frames_per_second is None:
    return np.arange(num_frames), fps
  pitch = fps / frames_per_second
  number_n = np.arange(0, num_frames - 1 + 0.05 * pitch, pitch)
  number_n = np.floor(number_n + 0.05 * min(pitch, 1)).astype(int)
  return np.minimum(number_n, num_frames - 1), frames_per_second


def _cut(number_n: np.ndarray, max_frames: int) -> list[np.ndarray]:
  """Returns pieces of about one length, none of them above `max_frames`."""
  return np.array_split(number_n, -(-len(number_n) // max_frames))


def _resized(video_thwc: np.ndarray, size: int | None) -> np.ndarray:
  """Returns a video with its shorter side at `size`, the longer one even."""
  h, w = video_thwc.shape[1:3]
  if size is None or min(h, w) <= size:
    return video_thwc
  scale = size / min(h, w)
  h, w = (
    size if x == min(h, w) else max(size, 2 * round(x * scale / 2))
    for x in (h, w)
  )
  return clips.fit(video_thwc, h, w)

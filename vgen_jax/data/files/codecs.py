"""Reading of exact frames of video files, at random access.

The number of frames in a header may be wrong, the rate may vary within a file,
and a seek may stop at another frame than requested. So a video is first
scanned: its packets contain the time of each frame, and none is decoded. To
read frames, `frames` seeks to the key frame before the first of them, decodes
forward and selects frames by time. The result equals that of decoding the whole
file, without the frames that the edit list of the file does not show.

Memory does not grow with the file: a scan keeps the times of frames only, and
reading keeps the frames that are requested, after they were resized.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import fractions

import av
import numpy as np

from vgen_jax.core import faults
from vgen_jax.data.files import containers
from vgen_jax.data.files import packets

# Containers such as webm round times to milliseconds.
_TOLERANCE_S = 1e-3

ClipError = faults.ClipError


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
  """Index of the frames of a video, in the order in which they are shown.

  Attributes:
    path: Path of the file.
    height: Height of a stored frame in pixels; `read` rotates it upright.
    width: Width of a stored frame in pixels.
    time_base: Length of a tick in seconds; a tick is the unit of time below.
    pts_n: Presentation time of each frame, int64 ticks, increasing.
    key_k2: For each key frame, its presentation time and the time to seek to.
    is_counted: Whether the times of frames are unreliable, so that frames are
      identified by counting from the start of the file.
    max_pixels: Largest allowed number of pixels of a frame.
    last_duration: How long the last frame is shown in ticks; 0 if unknown.
  """

  path: str
  height: int
  width: int
  time_base: fractions.Fraction
  pts_n: np.ndarray
  key_k2: np.ndarray
  is_counted: bool
  max_pixels: int = containers.MAX_PIXELS
  last_duration: int = 0

  def __len__(self) -> int:
    return len(self.pts_n)

  @property
  def time_n(self) -> np.ndarray:
    """Presentation time of each frame, in seconds after the first."""
    return (self.pts_n - self.pts_n[0]) * float(self.time_base)

  @property
  def duration_s(self) -> float:
    """Time from the start of the first frame to the end of the last one."""
    return float(self.time_n[-1] + self.last_duration * self.time_base)

  @property
  def frames_per_second(self) -> float:
    """Mean rate in frames per second; 1 if there is only one frame."""
    return (len(self) - 1) / self.time_n[-1] if len(self) > 1 else 1.0

  def between(self, start_s: float, end_s: float) -> np.ndarray:
    """Returns the indices of the frames that begin between two times.

    Both times are in seconds after the first frame, and are included.
    """
    is_late_n = self.time_n >= start_s - _TOLERANCE_S
    return np.flatnonzero(is_late_n & (self.time_n <= end_s + _TOLERANCE_S))

  def at(self, time_t: np.ndarray) -> np.ndarray:
    """Returns the indices of the frames that are shown at these times.

    The times are in seconds after the first frame.
    """
    number_t = np.searchsorted(self.time_n, time_t + _TOLERANCE_S, 'right') - 1
    return np.maximum(number_t, 0)


def scan(path: str, max_pixels: int = containers.MAX_PIXELS) -> Index:
  """Returns the index of the frames of a video.

  Args:
    path: Local file.
    max_pixels: Largest allowed number of pixels of a frame: a small file may
      decode to more than fits in memory.

  Raises:
    ClipError: If the file is missing, not a video or truncated, or its frames
      are too large.
  """
  path = str(path)
  with containers.opened(path, max_pixels=max_pixels) as (container, stream):
    is_mp4 = 'mp4' in container.format.name.split(',')
    times = packets.times(container.demux(stream))
    num_stored, num_frames = times.num_packets, stream.frames
    codec = stream.codec_context.name
    size = stream.codec_context.height, stream.codec_context.width
    rate = stream.average_rate or stream.guessed_rate or fractions.Fraction(25)
    time_base = stream.time_base
    # AVI stores no times, and those that FFmpeg computes ignore B-frames.
    is_counted = times.is_unreliable or (
      container.format.name == 'avi' and codec in ('h264', 'hevc')
    )

  if is_mp4 and num_stored < num_frames:  # Cut off, or not all is shown.
    num_stored = packets.num_stored(path, max_pixels)
    if num_stored < num_frames:
      raise ClipError(
        path,
        f'it is truncated: it has {num_stored} of {num_frames} frames;'
        ' copy it again or remove it.',
      )
  if not times.begins_with_key and num_stored < num_frames:
    raise ClipError(
      path,
      f'it is damaged: it has {num_stored} of {num_frames} frames, and the'
      ' first of them is not a key frame; copy it again or remove it.',
    )
  pts_n, duration = times.pts_n, times.last_duration
  if is_counted:
    pts_n = np.arange(len(packets.decoded(path, max_pixels)))
    time_base, duration = 1 / rate, 1
  elif codec == 'vp8':  # Some of its packets are not shown.
    pts_n = packets.decoded(path, max_pixels)
  elif not times.begins_with_key:  # The first frames may lack others.
    pts_n = packets.decodable(path, max_pixels)
  key_k2 = np.zeros((0, 2), np.int64) if is_counted else times.key_k2
  if not len(pts_n):
    raise ClipError(path, 'it contains no frame; remove it.')
  return Index(
    path,
    *size,
    time_base,
    np.sort(pts_n),
    key_k2,
    is_counted,
    max_pixels,
    duration,
  )


def read(
  index: Index,
  numbers: Sequence[int],
  resize: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
  """Returns upright frames of a video, RGB uint8 `[t, h, w, 3]`.

  Args:
    index: Index of the video, from `scan`.
    numbers: Indices of the frames, in any order; they may repeat.
    resize: Function that maps each frame `[h, w, 3]` to the frame to return, as
      soon as it is decoded; None returns frames as they are.

  Raises:
    ClipError: If a frame cannot be decoded, or the frames have more than
      `containers.MAX_CLIP_PIXELS` pixels.
    IndexError: If the video has no such frame.
  """
  wanted, row_t = np.unique(np.asarray(numbers, int), return_inverse=True)
  images = []
  for image_hwc in frames(index, wanted, resize):
    h, w = image_hwc.shape[:2]
    if len(wanted) * h * w > containers.MAX_CLIP_PIXELS:
      raise ClipError(
        index.path,
        f'{len(wanted)} frames of {h} x {w} pixels do not fit in memory: there'
        f' may be {containers.MAX_CLIP_PIXELS:,} pixels in all. Read fewer'
        ' frames, or smaller ones.',
      )
    images.append(image_hwc)
  video_thwc = np.stack(images)
  is_sorted = np.array_equal(row_t, np.arange(len(wanted)))
  return video_thwc if is_sorted else video_thwc[row_t]


def frames(
  index: Index,
  numbers: Sequence[int],
  resize: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Iterator[np.ndarray]:
  """Yields upright frames, RGB uint8 `[h, w, 3]`, as soon as they are decoded.

  Args:
    index: Index of the video, from `scan`.
    numbers: Indices of the frames, increasing.
    resize: Function that maps a frame to the one to yield, as in `read`.

  Raises:
    ClipError: If a frame cannot be decoded.
    IndexError: If the video has no such frame.
  """
  if not len(numbers) or numbers[0] < 0 or numbers[-1] >= len(index):
    given = str(np.asarray(numbers).tolist())
    raise IndexError(
      f'{index.path} has {len(index)} frames; the indices {given:.80} must be'
      f' one or more increasing numbers from 0 to {len(index) - 1}.'
    )
  pts = index.pts_n[numbers]
  before = np.searchsorted(index.key_k2[:, 0], pts[0], 'right') - 1
  # Some formats seek by the time of presentation, and others by that of
  # decoding. If a seek goes too far or is not possible, the whole file is
  # decoded.
  starts = index.key_k2[before].tolist() if before > 0 else []
  number, shape = 0, None
  for seek_to in dict.fromkeys([*starts, None]):
    for image_hwc in _decode(index, pts[number:], seek_to):
      shape = shape or image_hwc.shape
      if shape != image_hwc.shape:
        raise ClipError(
          index.path,
          'its rotation changes within the file; split the file there.',
        )
      yield image_hwc if resize is None else resize(image_hwc)
      number += 1
    if number == len(pts):
      return
  raise ClipError(
    index.path,
    f'frames {numbers[0]} to {numbers[-1]} of {len(index)} cannot all be'
    ' decoded: the file is damaged; copy it again or remove it.',
  )


def _decode(
  index: Index, pts: np.ndarray, seek_to: int | None
) -> Iterator[np.ndarray]:
  """Yields the frames that are shown at `pts`, up to the first missing one.

  Args:
    index: Index of the video.
    pts: Presentation times in ticks, increasing.
    seek_to: Time in ticks at which decoding begins; damage is then not an
      error. None begins at the start of the file.
  """
  number = 0
  with containers.opened(index.path, max_pixels=index.max_pixels) as (
    container,
    stream,
  ):
    if seek_to is not None:
      container.seek(seek_to, stream=stream, backward=True)
    decoded = enumerate(containers.frames(container, stream))
    while number < len(pts):
      try:
        position, frame = next(decoded)
      except StopIteration:
        return
      except av.error.FFmpegError as error:
        if seek_to is not None:
          return
        second = float((pts[number] - index.pts_n[0]) * index.time_base)
        raise ClipError(
          index.path,
          f'it is damaged before or near second {second:.4g}'
          f' ({error.strerror}); copy it again or remove it.',
        ) from error
      now = position if index.is_counted else frame.pts
      if now is None or now > pts[number]:
        return
      if now == pts[number]:
        yield containers.rgb(frame, index.height, index.width)
        number += 1

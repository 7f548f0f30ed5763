"""Reading of exact frames of video files, at random access.

The number of frames in a header may be wrong, the rate may vary within a file,
and a seek may stop at another frame than requested. So a video is first
scanned: its packets contain the time of each frame, and none is decoded. To
read frames, `read` seeks to the key frame before the first of them, decodes
forward and selects frames by time. The result equals that of decoding the whole
file.
"""

from collections.abc import Sequence
import dataclasses
import fractions

import numpy as np

from vgen_jax.core import faults
from vgen_jax.data.files import containers

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
    key_k2: Presentation time of each key frame, and the time to seek to for it.
    is_counted: Whether the times of frames are unreliable, so that frames are
      identified by counting from the start of the file.
    max_pixels: Largest allowed number of pixels of a frame.
  """

  path: str
  height: int
  width: int
  time_base: fractions.Fraction
  pts_n: np.ndarray
  key_k2: np.ndarray
  is_counted: bool
  max_pixels: int = containers.MAX_PIXELS

  def __len__(self) -> int:
    return len(self.pts_n)

  @property
  def time_n(self) -> np.ndarray:
    """Presentation time of each frame, in seconds after the first."""
    return (self.pts_n - self.pts_n[0]) * float(self.time_base)

  @property
  def frames_per_second(self) -> float:
    """Mean rate in frames per second; 1 if there is only one frame."""
    return (len(self) - 1) / self.time_n[-1] if len(self) > 1 else 1.0

  def at(self, time_t: np.ndarray) -> np.ndarray:
    """Returns the indices of the frames that are shown at times in seconds."""
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
    packets = [packet for packet in container.demux(stream) if packet.size]
    is_mp4 = 'mp4' in container.format.name.split(',')
    if is_mp4 and len(packets) < stream.frames:
      raise ClipError(
        path,
        f'it is truncated: it has {len(packets)} of {stream.frames} frames;'
        ' copy it again or remove it.',
      )
    # Frames that an edit list removes are decoded, but not shown.
    packets = [packet for packet in packets if not packet.is_discard]
    pts_n = np.array([p.pts for p in packets if p.pts is not None], np.int64)
    codec = stream.codec_context.name
    size = stream.codec_context.height, stream.codec_context.width
    rate = stream.average_rate or stream.guessed_rate or fractions.Fraction(25)
    # AVI stores no times, and those that FFmpeg computes ignore B-frames.
    is_counted = len(np.unique(pts_n)) < len(packets) or (
      container.format.name == 'avi' and codec in ('h264', 'hevc')
    )
    time_base = stream.time_base

  if is_counted:
    pts_n, time_base = np.arange(_count(path, max_pixels)), 1 / rate
  elif codec == 'vp8':  # Some of its packets are not shown.
    with containers.opened(path, max_pixels=max_pixels) as (container, stream):
      shown = [frame.pts for frame in container.decode(stream)]
    pts_n = np.array(shown, np.int64)
  key_k2 = [
    (p.pts, p.pts if p.dts is None else min(p.pts, p.dts))
    for p in packets
    if p.is_keyframe and not is_counted
  ]
  if key_k2:  # Frames before the first key frame cannot be decoded.
    pts_n = pts_n[pts_n >= min(pts for pts, _ in key_k2)]
  if not len(pts_n):
    raise ClipError(path, 'it contains no frame; remove it.')
  key_k2 = np.array(sorted(key_k2), np.int64).reshape(-1, 2)
  return Index(
    path, *size, time_base, np.sort(pts_n), key_k2, is_counted, max_pixels
  )


def read(index: Index, numbers: Sequence[int]) -> np.ndarray:
  """Returns upright frames of a video, RGB uint8 `[t, h, w, 3]`.

  Args:
    index: Index of the video, from `scan`.
    numbers: Indices of the frames, in any order; they may repeat.

  Raises:
    ClipError: If a frame cannot be decoded.
    IndexError: If the video has no such frame.
  """
  wanted, row_t = np.unique(np.asarray(numbers, int), return_inverse=True)
  if not len(wanted) or wanted[0] < 0 or wanted[-1] >= len(index):
    raise IndexError(
      f'{index.path} has {len(index)} frames; frames {numbers} do not exist.'
    )
  pts = index.pts_n[wanted]
  before = np.searchsorted(index.key_k2[:, 0], pts[0], 'right') - 1
  images = None
  if before > 0:
    images = _decode(index, pts, int(index.key_k2[before, 1]))
  if images is None:  # The seek went too far, or was not possible.
    images = _decode(index, pts, None)
  if images is None:
    raise ClipError(
      index.path,
      f'frames {wanted[0]} to {wanted[-1]} of {len(index)} cannot all be'
      ' decoded: the file is damaged; copy it again or remove it.',
    )
  if len({image_hwc.shape for image_hwc in images}) > 1:
    raise ClipError(
      index.path, 'its rotation changes within the file; split the file there.'
    )
  return np.stack(images)[row_t]


def _count(path: str, max_pixels: int) -> int:
  """Returns the number of frames, by decoding them."""
  with containers.opened(path, max_pixels=max_pixels) as (container, stream):
    return sum(1 for _ in container.decode(stream))


def _decode(
  index: Index, pts: np.ndarray, seek_to: int | None
) -> list[np.ndarray] | None:
  """Returns the frames that are shown at `pts`; None if one is missing.

  Args:
    index: Index of the video.
    pts: Presentation times in ticks, increasing.
    seek_to: Time in ticks at which decoding begins; None is the start of the
      file.
  """
  images = []
  with containers.opened(index.path, max_pixels=index.max_pixels) as (
    container,
    stream,
  ):
    if seek_to is not None:
      container.seek(seek_to, stream=stream, backward=True)
    for number, frame in enumerate(container.decode(stream)):
      now = number if index.is_counted else frame.pts
      if now is None or now > pts[len(images)]:
        return None
      if now == pts[len(images)]:
        images.append(containers.rgb(frame, index.height, index.width))
      if len(images) == len(pts):
        return images
  return None

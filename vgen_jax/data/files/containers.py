"""Opening of files with video or audio that are not trusted.

A path may lead to anything: a folder, an endless pipe, a playlist of addresses,
a frame that fills the memory. Everything that goes wrong raises `ClipError`.
"""

from collections.abc import Iterator
import contextlib
import io
import logging
import os
import threading
from typing import Any

import av
import numpy as np

from vgen_jax.core import faults

_log = logging.getLogger(__name__)

MAX_PIXELS = 2**25  # Per frame; 8K television has fewer, 7680 x 4320.
# Largest number of pixels of all frames that are in memory at the same time,
# after resizing: 0.8 GB.
MAX_CLIP_PIXELS = 2**28
# Only these demuxers of FFmpeg are used. Others, such as those of playlists and
# session descriptions, open further files or sockets.
FORMATS = ('mov', 'mp4', 'matroska', 'webm', 'avi', 'gif', 'mpegts', 'mpeg')
_OPTIONS = {
  'protocol_whitelist': 'file',
  'format_whitelist': ','.join(FORMATS),
}

# Without these, decoders conceal damage by parts of other frames.
_STRICT = {'err_detect': 'crccheck+explode'}

# Metadata need not be UTF-8. PyAV accepts other bytes from version 19 on, and
# before that only with this option.
_MAJOR = int(av.__version__.partition('.')[0])
LENIENT = {'metadata_errors': 'replace'} if _MAJOR < 19 else {}


@contextlib.contextmanager
def opened(
  source: str | bytes,
  kind: str = 'video',
  max_pixels: int = MAX_PIXELS,
  *,
  is_strict: bool = True,
  has_edits: bool = True,
) -> Iterator[tuple]:
  """Yields an open file and its first stream of a kind.

  Errors of FFmpeg within the block are raised as `ClipError`.

  Args:
    source: Path of a local file, or the content of a file.
    kind: 'video' or 'audio'. A cover picture does not count as video.
    max_pixels: Largest allowed number of pixels of a frame. A larger frame is
      not decoded, and takes no memory.
    is_strict: Whether the decoder raises an error if it notices damage;
      otherwise it conceals the damage.
    has_edits: Whether the edit list of an MP4 file applies, which states the
      frames to show; otherwise all stored frames are read.

  Raises:
    ClipError: If the file cannot be opened, or has no such stream.
  """
  path = source if isinstance(source, str) else '<bytes>'
  if os.path.exists(path) and not os.path.isfile(path):
    raise faults.ClipError(path, 'it is not a file; remove it.')
  # FFmpeg reads a name with a colon as an address, unless it begins with '/'.
  is_path = isinstance(source, str)
  file = os.path.abspath(source) if is_path else io.BytesIO(source)
  options = _OPTIONS if has_edits else _OPTIONS | {'ignore_editlist': '1'}
  try:
    with av.open(file, options=options, **LENIENT) as container:
      cover = av.stream.Disposition.attached_pic
      streams = [
        stream
        for stream in getattr(container.streams, kind)
        if not stream.disposition & cover
      ]
      if not streams:
        raise faults.ClipError(path, f'it has no {kind} stream; remove it.')
      stream = streams[0]
      if stream.codec_context is None:
        raise faults.ClipError(
          path, f'no decoder is available for its {kind}; convert or remove it.'
        )
      decoder_options = dict(_STRICT) if is_strict else {}
      if kind == 'video':
        _check_size(path, stream, max_pixels)
        # The decoder checks frames whose size is not in the header.
        decoder_options['max_pixels'] = str(max_pixels)
      stream.codec_context.options = decoder_options
      stream.thread_type = 'NONE'  # Clips are short: threads cost more.
      _warn_of_hdr(path, stream)
      yield container, stream
  except av.error.FFmpegError as error:
    raise faults.ClipError(
      path, f'{error.strerror}; copy it again or remove it.'
    ) from error


def frames(container: Any, stream: Any) -> Iterator[av.VideoFrame]:
  """Yields the frames of an open video from its current position, in order.

  Frames that are shown before the first key frame need others that are not
  read. Some of them are left out, and others may have wrong pixels.

  Raises:
    InvalidDataError: If a part of the file is damaged. `opened` raises it as
      `ClipError`.
  """
  key_pts, has_key = None, False
  for packet in container.demux(stream):
    if packet.is_keyframe and packet.size and not has_key:
      key_pts, has_key = packet.pts, True
    try:
      if packet.is_corrupt and packet.size:
        raise av.error.InvalidDataError(0, 'A part of it is missing')
      decoded = packet.decode()
    except av.error.InvalidDataError:
      if has_key and not _is_before(packet.pts, key_pts):
        raise
      continue
    for frame in decoded:
      if frame.is_corrupt and has_key and not _is_before(frame.pts, key_pts):
        raise av.error.InvalidDataError(0, 'A part of it is damaged')
      yield frame


def rgb(frame: av.VideoFrame, height: int, width: int) -> np.ndarray:
  """Returns a frame as RGB, uint8 `[h, w, 3]`, resized and then rotated.

  Args:
    frame: Decoded frame.
    height: Height in pixels before the rotation that the file states.
    width: Width in pixels before this rotation.
  """
  if not hasattr(_local, 'reformatter'):
    _local.reformatter = av.video.reformatter.VideoReformatter()
  image_hwc = _local.reformatter.reformat(
    frame, width, height, 'rgb24', threads=1
  ).to_ndarray()
  if num_turns := round(frame.rotation / 90) % 4:
    image_hwc = np.rot90(image_hwc, num_turns)  # Both are anticlockwise.
  return image_hwc


# Transfer characteristics of ITU-T H.273 for a high dynamic range.
_HDR = {16: 'PQ', 18: 'HLG'}
_warned: set[str] = set()  # Transfers that were warned of.


def _warn_of_hdr(path: str, stream: av.stream.Stream) -> None:
  """Logs a line about the first file with a high dynamic range."""
  transfer = _HDR.get(getattr(stream.codec_context, 'color_trc', None))
  if transfer and transfer not in _warned:
    _warned.add(transfer)
    _log.warning(
      '%s is HDR video (%s). There is no tone mapping, so the pixels of such'
      ' files look grey and dark: white is about 150 to 190 of 255. Convert'
      ' them to SDR if their brightness matters.',
      path,
      transfer,
    )


# A converter is slow to create, and can only be used by one thread.
_local = threading.local()


def _is_before(pts: int | None, other: int | None) -> bool:
  return pts is not None and other is not None and pts < other


def _check_size(path: str, stream: av.VideoStream, max_pixels: int) -> None:
  height, width = stream.codec_context.height, stream.codec_context.width
  if height * width > max_pixels:
    raise faults.ClipError(
      path,
      f'its frames have {height} x {width} pixels, more than {max_pixels}:'
      ' remove it, or increase config.data.max_pixels.',
    )

"""Opening a file that holds video or sound, without trusting it.

A file may be anything: a folder, a pipe that never ends, a list of addresses to
fetch, a frame as large as memory. All that goes wrong is a `ClipError`.
"""

from collections.abc import Iterator
import contextlib
import os
import threading

import av
import numpy as np

from vgen_jax.core import faults

MAX_PIXELS = 2**25  # Of a frame; 8K television has 7680 x 4320, a bit fewer.


# Metadata need not be UTF-8. PyAV takes it as it is from 19 on, and before that
# only when told.
_MAJOR = int(av.__version__.partition('.')[0])
LENIENT = {'metadata_errors': 'replace'} if _MAJOR < 19 else {}


@contextlib.contextmanager
def opened(
  path: str, kind: str = 'video', max_pixels: int = MAX_PIXELS
) -> Iterator[tuple]:
  """Yields a file and its first stream; faults in the block are ClipErrors.

  Args:
    path: Local file.
    kind: 'video' or 'audio'. The picture on a cover is no video.
    max_pixels: Most pixels that a frame may have; a larger one would not be
      decoded, and takes no memory.
  """
  if os.path.exists(path) and not os.path.isfile(path):
    raise faults.ClipError(path, 'it is no file; remove it.')
  try:
    # A playlist may name any address: nothing but files is opened.
    options = {'protocol_whitelist': 'file'}
    with av.open(path, options=options, **LENIENT) as container:
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
          path, f'its {kind} is in a code that nothing here decodes; remove it.'
        )
      if kind == 'video':
        _limit(path, stream, max_pixels)
      stream.thread_type = 'NONE'  # Clips are short: threads cost more.
      yield container, stream
  except av.error.FFmpegError as error:
    raise faults.ClipError(path, f'{error.strerror}.') from error


def rgb(frame: av.VideoFrame, height: int, width: int) -> np.ndarray:
  """Returns a frame, scaled to `height` by `width`, then turned upright."""
  if not hasattr(_local, 'reformatter'):
    _local.reformatter = av.video.reformatter.VideoReformatter()
  image_hwc = _local.reformatter.reformat(
    frame, width, height, 'rgb24', threads=1
  ).to_ndarray()
  if turns := round(frame.rotation / 90) % 4:
    image_hwc = np.rot90(image_hwc, turns)  # Both count against the clock.
  return image_hwc


# A converter is costly to make, and serves one thread only.
_local = threading.local()


def _limit(path: str, stream: av.VideoStream, max_pixels: int) -> None:
  height, width = stream.codec_context.height, stream.codec_context.width
  if height * width > max_pixels:
    raise faults.ClipError(
      path,
      f'its frames have {height} x {width} pixels, more than {max_pixels}:'
      ' remove it, or raise max_pixels.',
    )
  # What the header hides, the decoder finds, and refuses.
  stream.codec_context.options = {'max_pixels': str(max_pixels)}

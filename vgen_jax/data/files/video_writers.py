"""Writing of clips as MP4 and GIF."""

from collections.abc import Mapping
import fractions
import io
import platform

import av
import numpy as np
from PIL import Image

from vgen_jax.core import atomic_files

# Options of x264. Its instructions for AVX-512 read memory that was not
# initialised, so that the bytes of a file differ from one run to the next. All
# x86-64 processors have SSE2, which takes 8 % longer; the bytes of AVX2 are
# other ones.
_IS_X86 = platform.machine().lower() in ('x86_64', 'amd64')
SAME_BYTES = {'x264-params': 'asm=SSE2'} if _IS_X86 else {}


def add_x264(
  container: av.container.OutputContainer,
  frames_per_second: float,
  options: Mapping[str, str],
) -> av.VideoStream:
  """Adds a stream of H.264 to a file, whose bytes are the same in every run.

  Args:
    container: File that is open for writing.
    frames_per_second: Rate of the video.
    options: Options of the encoder, except `x264-params`.
  """
  stream = container.add_stream(
    'libx264',
    fractions.Fraction(frames_per_second).limit_denominator(1001),
    options={**options, **SAME_BYTES},
  )
  stream.codec_context.thread_count = 1  # The bytes depend on it.
  return stream


def write_mp4(
  path: str, video_thwc: np.ndarray, frames_per_second: float, scale: int = 1
) -> None:
  """Writes a clip as H.264 in yuv420p, which all browsers play.

  Args:
    path: Local file or gs:// object.
    video_thwc: uint8 video with 1 channel or 3. The format needs even sizes, so
      the last row or column of an odd size is repeated.
    frames_per_second: Rate at which the clip is shown.
    scale: Integer factor by which each frame is enlarged.

  Raises:
    ValueError: If `video_thwc` has another dtype or shape, or `scale` is below
      1.
  """
  video_thwc = _enlarged(video_thwc, scale)
  odd_h, odd_w = (size % 2 for size in video_thwc.shape[1:3])
  video_thwc = np.pad(
    video_thwc, ((0, 0), (0, odd_h), (0, odd_w), (0, 0)), mode='edge'
  )
  file = io.BytesIO()
  with av.open(file, 'w', format='mp4') as container:
    stream = add_x264(container, frames_per_second, {'crf': '18'})
    stream.height, stream.width = video_thwc.shape[1:3]
    stream.pix_fmt = 'yuv420p'
    for image_hwc in video_thwc:
      frame = av.VideoFrame.from_ndarray(image_hwc, format='rgb24')
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  atomic_files.write_bytes(path, file.getvalue())


def write_gif(
  path: str, video_thwc: np.ndarray, frames_per_second: float, scale: int = 1
) -> None:
  """Writes a clip as a GIF that repeats, with at most 256 colours.

  Args:
    path: Local file or gs:// object.
    video_thwc: uint8 video with 1 channel or 3.
    frames_per_second: Rate at which the clip is shown. The time of a frame is
      rounded to hundredths of a second, and is at least two of them.
    scale: Integer factor by which each frame is enlarged.

  Raises:
    ValueError: If `video_thwc` has another dtype or shape, or `scale` is below
      1.
  """
  video_thwc = _enlarged(video_thwc, scale)
  # With a palette per frame, parts that do not move would flicker.
  column = Image.fromarray(video_thwc.reshape(-1, *video_thwc.shape[2:]))
  column = column.quantize(256)
  colors_thw = np.asarray(column).reshape(video_thwc.shape[:3])
  first, *rest = [Image.fromarray(colors_hw) for colors_hw in colors_thw]
  for image in (first, *rest):
    image.putpalette(column.getpalette())
  file = io.BytesIO()
  first.save(
    file,
    'GIF',
    save_all=True,
    append_images=rest,
    duration=max(20, 10 * round(100 / frames_per_second)),
    loop=0,
  )
  atomic_files.write_bytes(path, file.getvalue())


def _enlarged(video_thwc: np.ndarray, scale: int) -> np.ndarray:
  """Returns the video as RGB, enlarged by an integer factor."""
  video_thwc = np.asarray(video_thwc)
  shape, dtype = video_thwc.shape, video_thwc.dtype
  is_video = len(shape) == 4 and shape[-1] in (1, 3) and video_thwc.size
  if dtype != np.uint8 or not is_video or scale < 1:
    raise ValueError(
      f'A video {dtype} {shape} cannot be written at scale {scale}; it must be'
      ' uint8 [t, h, w, c] with c 1 or 3, and the scale must be 1 or more.'
    )
  video_thwc = np.repeat(video_thwc, 3 // shape[-1], axis=-1)
  return video_thwc.repeat(scale, axis=1).repeat(scale, axis=2)

"""Formats in which a video is stored in an example, and reading of its frames.

  mp4   H.264 of the whole clip: the smallest, and the slowest to read
  jpeg  a JPEG for each frame: each frame can be read on its own
  raw   the uncompressed pixels: the fastest to read, and lossless

Chroma is stored at full resolution up to 128 pixels, where subsampling causes
most of the loss. For larger frames, mp4 subsamples it (4:2:0).
"""

from collections.abc import Callable, Iterable, Sequence
import functools
import importlib
import io
import itertools
from typing import Any

import av
import numpy as np
from PIL import Image

from vgen_jax.core import faults
from vgen_jax.data.files import containers
from vgen_jax.data.files import video_writers
from vgen_jax.data.tfds import compat

FORMATS = ('mp4', 'jpeg', 'raw')
# Default quality: the CRF of x264, and the quality of libjpeg.
QUALITY = {'mp4': 16, 'jpeg': 95}
_FULL_COLOR_SIDE = 128  # Largest shorter side, in pixels, with full chroma.
_KEY_FRAME_EVERY = 12

# Returns the indices of frames to read, given the number of frames.
Choose = Callable[[int], np.ndarray]
# Maps a frame uint8 [h, w, c] to the frame to return, as soon as it is decoded.
Resize = Callable[[np.ndarray], np.ndarray]


def feature(kind: str, num_channels: int) -> Any:
  """Returns the TFDS feature of a video in a format.

  All are features of TFDS, so that datasets can be read without vgen_jax.
  """
  features = compat.load().features
  if kind == 'jpeg':
    return features.Sequence(
      features.Image(shape=(None, None, num_channels), encoding_format='jpeg')
    )
  if kind == 'raw':
    shape = (None, None, None, num_channels)
    return features.Tensor(shape=shape, dtype=np.uint8, encoding='bytes')
  return features.Tensor(shape=(), dtype=np.object_)


def encode(
  kind: str,
  video_thwc: Iterable[np.ndarray],
  frames_per_second: float,
  quality: int | None = None,
) -> Any:
  """Returns a video encoded for `feature(kind, ...)`.

  Args:
    kind: One of FORMATS.
    video_thwc: uint8 video with 1 channel or 3, or an iterable of its frames,
      of which one at a time is in memory unless the kind is raw.
    frames_per_second: Rate of the video.
    quality: CRF for mp4 (lower is better), or 1 to 100 for jpeg (higher is
      better); None for the value in QUALITY.
  """
  if quality is None:
    quality = QUALITY.get(kind)
  if kind == 'jpeg':
    return [_jpeg(image_hwc, quality) for image_hwc in video_thwc]
  if kind == 'raw':
    return _array(video_thwc)
  return _mp4(video_thwc, frames_per_second, quality)


def read_mp4(
  data: bytes, choose: Choose, resize: Resize | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """Returns RGB frames of a video that `encode` wrote, and their indices.

  Args:
    data: Content of the file.
    choose: Function that returns the indices of the frames to read, in any
      order, given the number of frames.
    resize: Function that is applied to each frame; None for none.

  Raises:
    ValueError: If the video cannot be decoded, or a frame is missing.
  """
  try:
    with containers.opened(data) as (container, stream):
      if stream.average_rate is None:
        raise ValueError('it does not state its frame rate')
      if stream.frames > len(data):
        raise ValueError('it states more frames than it has bytes')
      number_t = choose(stream.frames)
      wanted, row_t = np.unique(number_t, return_inverse=True)
      if resize is None:
        context = stream.codec_context
        _check_size(len(wanted), context.height, context.width)
      rate = float(stream.average_rate * stream.time_base)  # Frames per tick.
      if wanted[0] >= _KEY_FRAME_EVERY:
        container.seek(int(wanted[0] / rate), stream=stream)
      decoded = containers.frames(container, stream)
      images = _frames(decoded, wanted, rate, resize)
  except faults.ClipError as error:
    raise ValueError(f'it cannot be decoded ({error.reason})') from error
  if len(images) < len(wanted):
    raise ValueError(f'its frame {wanted[len(images)]} cannot be decoded')
  in_order = np.array_equal(row_t, np.arange(len(images)))
  video_thwc = np.stack(images)
  return (video_thwc if in_order else video_thwc[row_t]), number_t


def read_images(
  images: Sequence[bytes],
  choose: Choose,
  num_channels: int = 3,
  resize: Resize | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns frames of a video stored as JPEG or PNG, and their indices.

  Only these frames are decoded.

  Args:
    images: Contents of the files.
    choose: Function that returns the indices of the frames to read, as in
      `read_mp4`.
    num_channels: Number of channels of the stored images.
    resize: Function that is applied to each frame; None for none.

  Raises:
    ValueError: If a frame cannot be decoded.
  """
  number_t = choose(len(images))
  decoded = {}
  for number in number_t.tolist():
    if number not in decoded:
      image_hwc = image(images[number], num_channels)
      if resize is None:
        _check_size(len(number_t), *image_hwc.shape[:2])
      decoded[number] = resize(image_hwc) if resize else image_hwc
  return np.stack([decoded[number] for number in number_t.tolist()]), number_t


def image(data: bytes, num_channels: int) -> np.ndarray:
  """Returns the image in a JPEG or PNG, uint8 `[h, w, c]`.

  Raises:
    ValueError: If it cannot be decoded.
  """
  if (simplejpeg := _simplejpeg()) and data[:2] == b'\xff\xd8':
    # It uses the same libjpeg-turbo as Pillow, with less overhead.
    colors = 'RGB' if num_channels == 3 else 'GRAY'
    _check_size(1, *simplejpeg.decode_jpeg_header(data)[:2])
    return simplejpeg.decode_jpeg(data, colors)
  try:
    with Image.open(io.BytesIO(data)) as opened:
      _check_size(1, opened.height, opened.width)
      pixels = np.asarray(opened.convert('RGB' if num_channels == 3 else 'L'))
  except (OSError, Image.DecompressionBombError) as error:
    raise ValueError(
      f'one of its images cannot be decoded ({error})'
    ) from error
  return pixels.reshape(*pixels.shape[:2], num_channels)


def _check_size(num_frames: int, height: int, width: int) -> None:
  """Raises ValueError if frames are too large to be in memory."""
  limit = (
    containers.MAX_PIXELS if num_frames == 1 else containers.MAX_CLIP_PIXELS
  )
  if num_frames * height * width > limit:
    raise ValueError(
      f'{num_frames} frames of {height} x {width} pixels do not fit in memory:'
      f' at most {limit:,} pixels are allowed. Prepare the dataset again with'
      ' smaller frames.'
    )


def _jpeg(image_hwc: np.ndarray, quality: int) -> bytes:
  is_grey = image_hwc.shape[-1] == 1
  file = io.BytesIO()
  Image.fromarray(image_hwc[..., 0] if is_grey else image_hwc).save(
    file, 'jpeg', quality=quality, subsampling=0
  )
  return file.getvalue()


def _array(video_thwc: Iterable[np.ndarray]) -> np.ndarray:
  if isinstance(video_thwc, np.ndarray):
    return np.ascontiguousarray(video_thwc)
  return np.stack(list(video_thwc))


def _mp4(video_thwc: Iterable[np.ndarray], rate: float, crf: int) -> bytes:
  """Returns H.264 with a constant frame rate, so that times identify frames.

  Without B-frames, packets have the order of frames, so that seeking is exact.
  A key frame every 12 frames makes seeking fast.
  """
  images = iter(video_thwc)
  first_hwc = next(images)
  h, w, c = first_hwc.shape
  is_even = h % 2 == 0 and w % 2 == 0  # Subsampling needs even sizes.
  is_subsampled = is_even and min(h, w) > _FULL_COLOR_SIDE
  file = io.BytesIO()
  with av.open(file, 'w', format='mp4') as container:
    options = {'crf': str(crf), 'preset': 'veryfast', 'bf': '0'}
    stream = video_writers.add_x264(container, rate, options)
    stream.height, stream.width = h, w
    stream.pix_fmt = 'yuv420p' if is_subsampled else 'yuv444p'
    stream.gop_size = _KEY_FRAME_EVERY
    for image_hwc in itertools.chain([first_hwc], images):
      image_hwc = np.repeat(image_hwc, 3 // c, axis=-1)
      frame = av.VideoFrame.from_ndarray(image_hwc, format='rgb24')
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return file.getvalue()


def _frames(
  decoded: Iterable[av.VideoFrame],
  wanted: np.ndarray,
  rate: float,
  resize: Resize | None,
) -> list[np.ndarray]:
  """Returns the frames with the wanted indices, up to the first missing one.

  Args:
    decoded: Frames in order.
    wanted: Indices of frames, increasing.
    rate: Number of frames per tick.
    resize: Function that is applied to each frame; None for none.
  """
  images, numbers = [], wanted.tolist()
  for frame in decoded:
    number = round(frame.pts * rate)
    if number > numbers[len(images)]:
      break
    if number == numbers[len(images)]:
      image_hwc = containers.rgb(frame, frame.height, frame.width)
      images.append(resize(image_hwc) if resize else image_hwc)
      if len(images) == len(numbers):
        break
  return images


@functools.cache
def _simplejpeg() -> Any:
  """Returns the package simplejpeg, which is twice as fast, or None."""
  try:
    return importlib.import_module('simplejpeg')
  except ImportError:
    return None

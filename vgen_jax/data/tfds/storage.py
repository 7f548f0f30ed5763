"""How a video is kept in an example, and how some frames of it are read.

  mp4   H.264 of the whole clip: the smallest, and the slowest to read
  jpeg  a JPEG for each frame: any frame is read by itself
  raw   the pixels as they are: the fastest to read, and exact

Colour is kept at full resolution up to 128 pixels, where half of it would be
the worst of all losses; above that, H.264 halves it, as every camera does.
"""

from collections.abc import Callable, Iterable, Sequence
import fractions
import functools
import importlib
import io
import threading
from typing import Any

import av
import numpy as np
from PIL import Image

from vgen_jax.data.tfds import compat

FORMATS = ('mp4', 'jpeg', 'raw')
# The least and the greatest of what a format may be asked for.
QUALITY = {'mp4': 16, 'jpeg': 95}  # The CRF of x264; the quality of libjpeg.
_FULL_COLOR_SIDE = 128  # Pixels of the shorter side.
_KEY_FRAME_EVERY = 12

Choose = Callable[[int], np.ndarray]  # From the number of frames to their own.


def feature(kind: str, num_channels: int) -> Any:
  """Returns the TFDS feature that holds a video of a format.

  They are all of TFDS's own stock: a class of ours would have to be there
  wherever the dataset is read.
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
  video_thwc: np.ndarray,
  frames_per_second: float,
  quality: int | None = None,
) -> Any:
  """Returns a video as `feature(kind, ...)` takes it.

  Args:
    kind: One of FORMATS.
    video_thwc: uint8, of 1 channel or 3.
    frames_per_second: Speed to show it at.
    quality: CRF for mp4, lower is better; 1 to 100 for jpeg, higher is better;
      None is that of QUALITY.
  """
  if quality is None:
    quality = QUALITY.get(kind)
  if kind == 'jpeg':
    return [_jpeg(image_hwc, quality) for image_hwc in video_thwc]
  if kind == 'raw':
    return np.ascontiguousarray(video_thwc)
  return _mp4(video_thwc, frames_per_second, quality)


def read_mp4(data: bytes, choose: Choose) -> tuple[np.ndarray, np.ndarray]:
  """Returns frames of a video that `encode` made, in colour, and their numbers.

  Args:
    data: The file.
    choose: Returns the numbers of frames to read, in any order, when told how
      many there are.

  Raises:
    ValueError: If it cannot be decoded, or lacks a frame.
  """
  try:
    with av.open(io.BytesIO(data)) as container:
      if not container.streams.video:
        raise ValueError('it has no video stream')
      stream = container.streams.video[0]
      stream.thread_type = 'NONE'  # Clips are short: threads cost more.
      if stream.average_rate is None:
        raise ValueError('it does not tell its rate')
      number_t = choose(stream.frames)
      wanted, place_t = np.unique(number_t, return_inverse=True)
      rate = float(stream.average_rate * stream.time_base)  # Frames per tick.
      if wanted[0] >= _KEY_FRAME_EVERY:
        container.seek(int(wanted[0] / rate), stream=stream)
      images = _frames(container.decode(stream), wanted, rate)
  except av.error.FFmpegError as error:
    raise ValueError(f'it cannot be decoded ({error.strerror})') from error
  if len(images) < len(wanted):
    raise ValueError(f'its frame {wanted[len(images)]} cannot be decoded')
  in_order = np.array_equal(place_t, np.arange(len(images)))
  video_thwc = np.stack(images)
  return (video_thwc if in_order else video_thwc[place_t]), number_t


def read_images(
  images: Sequence[bytes], choose: Choose, num_channels: int = 3
) -> tuple[np.ndarray, np.ndarray]:
  """Returns frames of a video kept as JPEG or PNG, and their numbers.

  Only these are decoded.

  Args:
    images: The files.
    choose: As of `read_mp4`.
    num_channels: Of the images as they are kept.

  Raises:
    ValueError: If one cannot be decoded.
  """
  number_t = choose(len(images))
  decoded = {}
  for number in number_t.tolist():
    if number not in decoded:
      decoded[number] = image(images[number], num_channels)
  return np.stack([decoded[number] for number in number_t.tolist()]), number_t


def image(data: bytes, num_channels: int) -> np.ndarray:
  """Returns the image that a JPEG or PNG holds, uint8 `[h, w, c]`.

  Raises:
    ValueError: If it cannot be decoded.
  """
  if (simplejpeg := _simplejpeg()) and data[:2] == b'\xff\xd8':
    # The same libjpeg-turbo as Pillow's, without what comes before and after.
    colors = 'RGB' if num_channels == 3 else 'GRAY'
    return simplejpeg.decode_jpeg(data, colors)
  try:
    with Image.open(io.BytesIO(data)) as opened:
      pixels = np.asarray(opened.convert('RGB' if num_channels == 3 else 'L'))
  except OSError as error:
    raise ValueError(f'an image of it cannot be decoded ({error})') from error
  return pixels.reshape(*pixels.shape[:2], num_channels)


def _jpeg(image_hwc: np.ndarray, quality: int) -> bytes:
  is_grey = image_hwc.shape[-1] == 1
  file = io.BytesIO()
  Image.fromarray(image_hwc[..., 0] if is_grey else image_hwc).save(
    file, 'jpeg', quality=quality, subsampling=0
  )
  return file.getvalue()


def _mp4(video_thwc: np.ndarray, rate: float, crf: int) -> bytes:
  """Returns H.264 whose frames are told by their times, all alike.

  Without B-frames the order of packets is that of frames, so that seeking is
  exact; a key frame every half a second or so makes it quick.
  """
  h, w, c = video_thwc.shape[1:]
  is_even = h % 2 == 0 and w % 2 == 0  # As halved colour needs it.
  halved = is_even and min(h, w) > _FULL_COLOR_SIDE
  file = io.BytesIO()
  with av.open(file, 'w', format='mp4') as container:
    stream = container.add_stream(
      'libx264',
      fractions.Fraction(rate).limit_denominator(1001),
      options={'crf': str(crf), 'preset': 'veryfast', 'bf': '0'},
    )
    stream.height, stream.width = h, w
    stream.pix_fmt = 'yuv420p' if halved else 'yuv444p'
    stream.gop_size = _KEY_FRAME_EVERY
    stream.codec_context.thread_count = 1  # Bytes depend on the number.
    for image_hwc in np.repeat(video_thwc, 3 // c, axis=-1):
      frame = av.VideoFrame.from_ndarray(image_hwc, format='rgb24')
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return file.getvalue()


def _frames(
  decoded: Iterable[av.VideoFrame],
  wanted: np.ndarray,
  rate: float,
) -> list[np.ndarray]:
  """Returns those of the frames whose numbers are wanted, up to a gap.

  Args:
    decoded: Frames, rising.
    wanted: Their numbers, rising.
    rate: Frames per tick.
  """
  if not hasattr(_local, 'reformatter'):
    _local.reformatter = av.video.reformatter.VideoReformatter()
  images, numbers = [], wanted.tolist()
  for frame in decoded:
    number = round(frame.pts * rate)
    if number > numbers[len(images)]:
      break
    if number == numbers[len(images)]:
      rgb = _local.reformatter.reformat(frame, format='rgb24', threads=1)
      images.append(rgb.to_ndarray())
      if len(images) == len(numbers):
        break
  return images


# A converter is costly to make, and serves one thread only.
_local = threading.local()


@functools.cache
def _simplejpeg() -> Any:
  """Returns a package that is twice as fast, if it is there."""
  try:
    return importlib.import_module('simplejpeg')
  except ImportError:
    return None

"""Raw videos that are folders of images, one for each frame."""

from collections.abc import Iterator
import dataclasses
import math
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from vgen_jax.core import faults
from vgen_jax.data.files import containers
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import resampling

_IMAGES = ('.jpg', '.jpeg', '.png')


@dataclasses.dataclass(frozen=True)
class Images:
  """A folder of JPEG or PNG frames, in the order of the numbers in names.

  Attributes:
    path: Folder.
    fps: Frames per second.
  """

  path: str
  fps: float

  def pieces(self, options: raw_videos.Options) -> Iterator[dict[str, Any]]:
    """Yields pieces of the video: frames, their rate and their numbers.

    Raises:
      ClipError: If there is no image, an image cannot be read, or images have
        different sizes.
    """
    paths = image_paths(pathlib.Path(self.path))
    if not paths:
      raise faults.ClipError(
        self.path,
        f'it contains no image, a file that ends in one of {_IMAGES}; remove'
        ' it.',
      )
    number_n, rate = resampling.sampled(
      len(paths), self.fps, options.frames_per_second
    )
    first_hwc = _image(paths[number_n[0]])
    length = options.length(*first_hwc.shape[:2])
    for part_n in resampling.parts(number_n, length):
      images = (self._image(paths[i], first_hwc.shape) for i in part_n)
      video = (
        resampling.resized(image_hwc[None], options.size)[0]
        for image_hwc in images
      )
      yield {'video': video, 'fps': rate, 'numbers': part_n}

  def _image(self, path: pathlib.Path, shape: tuple[int, ...]) -> np.ndarray:
    image_hwc = _image(path)
    if image_hwc.shape != shape:
      raise faults.ClipError(
        self.path, 'its images have different sizes; remove it.'
      )
    return image_hwc


def image_paths(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the images in a folder; frame 10 comes after frame 9."""
  paths = [p for p in folder.iterdir() if p.suffix.lower() in _IMAGES]
  paths = [p for p in paths if p.is_file()]  # Not a pipe, which never ends.
  return sorted(paths, key=lambda p: (len(p.name), p.name))


def _image(path: pathlib.Path) -> np.ndarray:
  """Returns an image as RGB uint8 `[h, w, 3]`."""
  try:
    with Image.open(path) as opened:
      if math.prod(opened.size) > containers.MAX_PIXELS:
        raise OSError(
          f'it has {opened.height} x {opened.width} pixels, more than'
          f' {containers.MAX_PIXELS}'
        )
      return np.asarray(opened.convert('RGB'))
  except (OSError, Image.DecompressionBombError) as error:
    raise faults.ClipError(str(path), f'{error}; remove it.') from error

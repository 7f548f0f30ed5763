"""Moving digits: handwritten digits in synthetic motion, without a download.

The rules are those of Moving MNIST (Srivastava, Mansimov, Salakhutdinov,
"Unsupervised Learning of Video Representations using LSTMs", 2015,
https://arxiv.org/abs/1502.04681): digits start anywhere, move at constant
speed and bounce off the walls; where they overlap, the brighter one is visible.
The digits are the 1,797 of 8x8 pixels that come with scikit-learn.
"""

import functools
import gzip
import importlib.util
import pathlib

import numpy as np
from PIL import Image

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.synthetic import bounces

# Images of each split, as fractions of the file in its own order: no image is
# in two splits.
_SPLITS = {'train': (0.0, 0.8), 'validation': (0.8, 0.9), 'test': (0.9, 1.0)}


class MovingDigits:
  """Clips of digits that move on black; clip i is the same on every machine.

  Attributes:
    clip_shape: (t, h, w, c), with c 1 or 3.
    split: 'train', 'validation' or 'test'; they share no image of a digit.
    num_digits: Number of digits in a clip. If it is 1, the digit is the clip's
      `label`.
    num_clips: Number of distinct clips.
    side: Side of a digit in pixels; None for 28/64 of the shorter side of
      the frame, as in Moving MNIST.
    speed: Smallest and largest speed, in sides of a digit per frame.
    subpixel: Whether digits move by fractions of a pixel, with linear
      interpolation; if not, positions are rounded to whole pixels.
    seed: Seed of the dataset.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_digits: int = 2,
    num_clips: int = 10_000,
    side: int | None = None,
    speed: tuple[float, float] = (0.07, 0.14),
    subpixel: bool = True,
    seed: int = 0,
  ):
    _, h, w, c = clip_shape
    side = max(1, round(min(h, w) * 28 / 64)) if side is None else side
    checks.one_of('config.data.split', split, _SPLITS)
    checks.one_of('Number of channels in config.clip_shape', c, (1, 3))
    # A digit must fit into the frame.
    checks.in_range('config.data.side', side, 1, min(h, w))
    checks.at_least('config.data.num_digits', num_digits, 1)
    checks.at_least('config.data.num_clips', num_clips, 1)
    self.clip_shape = tuple(clip_shape)
    self.split = split
    self.splits = tuple(_SPLITS)
    self.num_digits = num_digits
    self.num_clips = num_clips
    self.side = side
    self.speed = tuple(speed)
    self.subpixel = subpixel
    self.seed = seed

  @property
  def schema(self) -> Schema:
    """Shape of the clips; ten classes if a clip shows one digit, else none."""
    names = tuple('0123456789') if self.num_digits == 1 else ()
    return Schema(self.clip_shape, len(names), names)

  def __len__(self) -> int:
    return self.num_clips

  def __getitem__(self, index: int) -> Clip:
    checks.clip_index(index, self.num_clips)
    t, h, w, c = self.clip_shape
    rng = np.random.default_rng(
      (self.seed, list(_SPLITS).index(self.split), index)
    )
    images_nhw, label_n = images(self.side)
    low, high = image_range(self.split)
    image_n = rng.integers(low, high, self.num_digits)
    video_thw = np.zeros((t, h, w), np.float32)
    for image in image_n:
      corner_t2 = _bounce(
        start=rng.uniform((0, 0), (h - self.side, w - self.side)),
        velocity=self.side * rng.uniform(*self.speed) * _direction(rng),
        max_corner_2=np.array([h - self.side, w - self.side]),
        num_frames=t,
      )
      if not self.subpixel:
        corner_t2 = np.round(corner_t2)
      _draw(video_thw, images_nhw[image], corner_t2)
    video_thw = np.round(video_thw).astype(np.uint8)
    clip = {'video': np.repeat(video_thw[..., None], c, axis=-1)}
    if self.num_digits == 1:
      clip['label'] = label_n[image_n[0]]
    return clip


def image_range(split: str) -> tuple[int, int]:
  """Returns the indices of the first image of a split and after its last."""
  num_images = len(images(8)[1])
  return tuple(round(part * num_images) for part in _SPLITS[split])


@functools.lru_cache(maxsize=8)
def images(side: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns all images of digits, and their labels; do not write into them.

  The file is read without importing scikit-learn, which takes seconds.

  Args:
    side: Side of an image, in pixels.

  Returns:
    Images, float32 `[n, side, side]` in [0, 255], and labels, int32 `[n]`.

  Raises:
    FileNotFoundError: If scikit-learn is not installed.
  """
  package = importlib.util.find_spec('sklearn')
  if package is None:
    raise FileNotFoundError(
      'digits.MovingDigits reads the digits of scikit-learn, which is not'
      ' installed; run `pip install scikit-learn`.'
    )
  folder = pathlib.Path(package.origin).parent
  with gzip.open(folder / 'datasets/data/digits.csv.gz') as file:
    table = np.loadtxt(file, delimiter=',', dtype=np.float32)
  small_nhw = table[:, :-1].reshape(-1, 8, 8) * (255 / 16)
  image_nhw = [
    np.asarray(Image.fromarray(x).resize((side, side), Image.BICUBIC))
    for x in small_nhw
  ]
  return np.clip(image_nhw, 0, 255), table[:, -1].astype(np.int32)


def _direction(rng: np.random.Generator) -> np.ndarray:
  """Returns a random unit vector (y, x)."""
  angle = rng.uniform(0, 2 * np.pi)
  return np.array([np.sin(angle), np.cos(angle)])


def _bounce(
  start: np.ndarray,
  velocity: np.ndarray,
  max_corner_2: np.ndarray,
  num_frames: int,
) -> np.ndarray:
  """Returns corners (y, x) of a path with elastic walls, `[t, 2]`."""
  straight_t2 = start + velocity * np.arange(num_frames)[:, None]
  return bounces.fold(straight_t2, np.zeros(2), max_corner_2)


def _draw(
  video_thw: np.ndarray, image_hw: np.ndarray, corner_t2: np.ndarray
) -> None:
  """Replaces frames by the maximum of frame and image, in place.

  At fractional positions the image is interpolated, which preserves its total
  brightness.
  """
  side = len(image_hw)
  corner_t2 = np.clip(corner_t2, 0, np.array(video_thw.shape[1:]) - side)
  whole_t2 = np.floor(corner_t2).astype(int)
  part_t2 = (corner_t2 - whole_t2).astype(np.float32)
  for frame, (y, x), (dy, dx) in zip(video_thw, whole_t2, part_t2, strict=True):
    image = np.pad(image_hw, ((0, 1), (0, 1)))
    image = image * (1 - dy) + np.roll(image, 1, axis=0) * dy
    image = image * (1 - dx) + np.roll(image, 1, axis=1) * dx
    window = frame[y : y + side + 1, x : x + side + 1]
    # At the last row or column of a frame the image has no further pixel.
    image = image[: window.shape[0], : window.shape[1]]
    np.maximum(window, image, out=window)

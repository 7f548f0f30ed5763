"""Moving digits: real handwriting in made-up motion, with nothing to download.

The rules are those of Moving MNIST (Srivastava, Mansimov, Salakhutdinov,
"Unsupervised Learning of Video Representations using LSTMs", 2015,
https://arxiv.org/abs/1502.04681): digits start anywhere, move at constant
speed, bounce off the walls and shine through each other. The digits are the
1,797 of 8x8 pixels that come with scikit-learn.
"""

import functools
import gzip
import importlib.util
import pathlib

import numpy as np
from PIL import Image

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema

# Which digits belong to a split, as parts of the file in its own order: no
# image is in two splits.
_SPLITS = {'train': (0.0, 0.8), 'validation': (0.8, 0.9), 'test': (0.9, 1.0)}


class MovingDigits:
  """Clips of digits that move over black; clip i is the same everywhere.

  Attributes:
    clip_shape: (t, h, w, c), with c 1 or 3.
    split: 'train', 'validation' or 'test'; they share no image of a digit.
    num_digits: Digits in a clip. With one, it is the clip's `label`.
    num_clips: Number of distinct clips.
    side: Side of a digit in pixels; None takes 28/64 of the shorter side of
      the frame, as in Moving MNIST.
    speed: Least and largest speed, in sides of a digit per frame.
    subpixel: Whether digits move by fractions of a pixel, blended from their
      neighbours; if not, they jump to the nearest whole one.
    seed: Clip i is a function of (seed, split, i) and of the above.
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
    if split not in _SPLITS:
      raise ValueError(
        f'config.data.split is {split!r}; it must be one of {list(_SPLITS)}.'
      )
    if c not in (1, 3):
      raise ValueError(
        f'config.clip_shape is {tuple(clip_shape)}; digits come in 1 channel'
        f' or 3, not in {c}.'
      )
    if not 1 <= side <= min(h, w):
      raise ValueError(
        f'config.data.side is {side}; a digit must fit into frames of {h}x{w}.'
      )
    if num_digits < 1 or num_clips < 1:
      raise ValueError(
        f'config.data asks for {num_clips} clips of {num_digits} digits; both'
        ' numbers must be 1 or more.'
      )
    self.clip_shape = tuple(clip_shape)
    self.split = split
    self.num_digits = num_digits
    self.num_clips = num_clips
    self.side = side
    self.speed = tuple(speed)
    self.subpixel = subpixel
    self.seed = seed

  @property
  def schema(self) -> Schema:
    """Ten classes if a clip shows one digit, else none."""
    names = tuple('0123456789') if self.num_digits == 1 else ()
    return Schema(self.clip_shape, len(names), names)

  def __len__(self) -> int:
    return self.num_clips

  def __getitem__(self, index: int) -> Clip:
    if not 0 <= index < self.num_clips:
      raise IndexError(f'Clip {index} of {self.num_clips}.')
    t, h, w, c = self.clip_shape
    rng = np.random.default_rng(
      (self.seed, list(_SPLITS).index(self.split), index)
    )
    images_nhw, label_n = _digits(self.side)
    low, high = digit_numbers(self.split)
    numbers = rng.integers(low, high, self.num_digits)
    video_thw = np.zeros((t, h, w), np.float32)
    for number in numbers:
      corner_t2 = _bounce(
        start=rng.uniform((0, 0), (h - self.side, w - self.side)),
        velocity=self.side * rng.uniform(*self.speed) * _direction(rng),
        room=np.array([h - self.side, w - self.side]),
        num_frames=t,
      )
      if not self.subpixel:
        corner_t2 = np.round(corner_t2)
      _draw(video_thw, images_nhw[number], corner_t2)
    video_thw = np.round(video_thw).astype(np.uint8)
    clip = {'video': np.repeat(video_thw[..., None], c, axis=-1)}
    if self.num_digits == 1:
      clip['label'] = label_n[numbers[0]]
    return clip


def digit_numbers(split: str) -> tuple[int, int]:
  """Returns the first digit of a split, and the first one past it."""
  num_digits = len(_digits(8)[1])
  return tuple(round(part * num_digits) for part in _SPLITS[split])


def images(side: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns all digits, float32 `[n, side, side]` in [0, 255], and labels.

  They are cached: do not write into them.
  """
  return _digits(side)


@functools.lru_cache(maxsize=8)
def _digits(side: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns all digits, float32 `[n, side, side]` in [0, 255], and labels.

  The file is read without scikit-learn itself, whose import takes seconds.
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
  images = table[:, :-1].reshape(-1, 8, 8) * (255 / 16)
  images = [
    np.asarray(Image.fromarray(x).resize((side, side), Image.BICUBIC))
    for x in images
  ]
  return np.clip(images, 0, 255), table[:, -1].astype(np.int32)


def _direction(rng: np.random.Generator) -> np.ndarray:
  angle = rng.uniform(0, 2 * np.pi)
  return np.array([np.sin(angle), np.cos(angle)])


def _bounce(
  start: np.ndarray, velocity: np.ndarray, room: np.ndarray, num_frames: int
) -> np.ndarray:
  """Returns corners `[t, 2]` of a straight path, mirrored at 0 and `room`."""
  path_t2 = start + velocity * np.arange(num_frames)[:, None]
  period = np.maximum(2 * room, 1e-9)  # There and back; 0 where all is filled.
  return room - np.abs(path_t2 % period - room)


def _draw(
  video_thw: np.ndarray, image_hw: np.ndarray, corner_t2: np.ndarray
) -> None:
  """Draws an image into each frame, in place; the brighter pixel wins.

  Between pixels, each is blended of its neighbours; brightness is preserved.
  """
  side = len(image_hw)
  corner_t2 = np.clip(corner_t2, 0, np.array(video_thw.shape[1:]) - side)
  whole_t2 = np.floor(corner_t2).astype(int)
  part_t2 = (corner_t2 - whole_t2).astype(np.float32)
  for frame, (y, x), (dy, dx) in zip(video_thw, whole_t2, part_t2, strict=True):
    image = np.pad(image_hw, ((0, 1), (0, 1)))
    image = image * (1 - dy) + np.roll(image, 1, axis=0) * dy
    image = image * (1 - dx) + np.roll(image, 1, axis=1) * dx
    place = frame[y : y + side + 1, x : x + side + 1]
    # At the far wall there is no pixel more, and nothing to draw there.
    image = image[: place.shape[0], : place.shape[1]]
    np.maximum(place, image, out=place)

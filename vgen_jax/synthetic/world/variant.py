"""What the made-up worlds share: clips by number, and how they are coloured.

Every world has `truth(i)`, which returns exactly what no pixel of clip i says
outright. Lengths are in pixels, x goes right and y goes down, pixel centres are
at 0, 1, 2, ...; grounds are grey, so that what is colourful is an object.
"""

import abc
import math

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source

COLORS = tuple(source.COLORS)
SHAPES = source.FACTORS['shape']


class SyntheticDataset(abc.ABC):
  """Clips by number; clip i is the same on every machine, in one split only.

  Attributes:
    clip_shape: (t, h, w, 3).
    split: One of `world.SPLITS`; no clip is in two of them.
    num_clips: Number of distinct clips.
    seed: Of the whole world, below 2**32.
    side: The shorter side of a frame, in pixels: the measure of all lengths.
    class_names: A name for each label, or () if clips bear none.
    action_width: Numbers that an action is; 0 if clips bear none.
    audio_bands: Numbers that the sound of a frame is; 0 if clips bear none.
    least: The fewest frames, and pixels a side, that show anything.
  """

  class_names: tuple[str, ...] = ()
  action_width: int = 0
  audio_bands: int = 0
  least: tuple[int, int] = (4, 12)

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
  ):
    """Keeps what all worlds are told; clips are drawn when asked for.

    Args:
      clip_shape: (t, h, w, 3).
      split: One of `world.SPLITS`.
      num_clips: Number of distinct clips.
      seed: Of the whole world, below 2**32.

    Raises:
      ValueError: If a clip would be too small, or a value is out of its range.
    """
    t, h, w, c = clip_shape
    frames, side = self.least
    if t < frames or min(h, w) < side or c != 3:
      raise ValueError(
        f'config.clip_shape is {tuple(clip_shape)}; {type(self).__name__} needs'
        f' 3 channels, {frames} frames of {side} x {side} pixels or more.'
      )
    if split not in source.SPLITS:
      known = checks.hint(split, list(source.SPLITS))
      raise ValueError(f'config.data.split is {split!r}.{known}')
    check_range('num_clips', num_clips, 1, 1 << 40)
    check_range('seed', seed, 0, (1 << 32) - 1)
    self.clip_shape = tuple(clip_shape)
    self.split = split
    self.num_clips = num_clips
    self.seed = seed
    self.side = min(h, w)

  @property
  def schema(self) -> Schema:
    """What every clip of this source has in common."""
    return Schema(
      self.clip_shape,
      num_classes=len(self.class_names),
      class_names=self.class_names,
      action_width=self.action_width,
      audio_bands=self.audio_bands,
    )

  def __len__(self) -> int:
    return self.num_clips

  @abc.abstractmethod
  def __getitem__(self, index: int) -> Clip:
    """Returns clip `index`."""

  def rng(self, index: int, stream: int = 0) -> np.random.Generator:
    """Returns the random numbers of clip `index`; its streams never meet.

    Raises:
      IndexError: If there is no such clip.
    """
    if not 0 <= index < self.num_clips:
      raise IndexError(f'Clip {index} of {self.num_clips} does not exist.')
    # Philox is keyed in a microsecond, and its streams never meet.
    split = source.SPLITS.index(self.split)
    key = np.array([split << 32 | self.seed, index], np.uint64)
    counter = np.array([0, 0, 0, stream], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def check_range(name: str, value: float, low: float, high: float) -> None:
  """Raises ValueError unless `config.data.<name>` is within [low, high]."""
  if not low <= value <= high:
    raise ValueError(
      f'config.data.{name} is {value}; it must be from {low} to {high}.'
    )


def check_known(name: str, value: str, known: tuple[str, ...]) -> None:
  """Raises ValueError unless `config.data.<name>` is one of `known`."""
  if value not in known:
    raise ValueError(
      f'config.data.{name} is {value!r}.{checks.hint(value, list(known))}'
    )


def between(draw: float, low: float, high: float) -> float:
  """Returns the number in [low, high] that stands for `draw` in [0, 1)."""
  return low + draw * (high - low)


def pick(draw: float, values: tuple) -> object:
  """Returns the value that stands for `draw` in [0, 1)."""
  return values[int(draw * len(values))]


def grey_ground(draws_4: np.ndarray, clip_shape: ClipShape) -> np.ndarray:
  """Returns a clip that stands still, float32: soft grey waves in [40, 80]."""
  t, h, w, c = clip_shape
  lengths = between(draws_4[:2], 0.3, 0.8) * min(h, w)
  phases = draws_4[2:] * 2 * math.pi
  wave_h = np.sin(2 * math.pi * np.arange(h) / lengths[0] + phases[0])
  wave_w = np.cos(2 * math.pi * np.arange(w) / lengths[1] + phases[1])
  ground_hw = (60 + 20 * wave_h[:, None] * wave_w).astype(np.float32)
  video_thwc = np.empty((t, h, w, c), np.float32)
  video_thwc[:] = ground_hw[None, :, :, None]
  return video_thwc


def paint(
  video_thwc: np.ndarray,
  shape: str,
  radius: float,
  center_t2: np.ndarray,
  color_c: np.ndarray | tuple,
) -> None:
  """Paints an object with soft edges over a clip of floats, in place.

  Args:
    video_thwc: From 0 to 255.
    shape: As in `drawing.coverage`.
    radius: In pixels.
    center_t2: (x, y) in pixels.
    color_c: Of the object, from 0 to 255; one, or one for each frame `[t, c]`.
  """
  t, h, w, _ = video_thwc.shape
  size = min(math.ceil(2 * radius) + 3, h, w)
  # Computes near the object only: a window that covers it fits the frame.
  corner_t2 = np.floor(center_t2 - radius).astype(int) - 1
  corner_t2 = np.clip(corner_t2, 0, (w - size, h - size))
  alpha_tmm = drawing.coverage(
    shape, radius, center_t2 - corner_t2, (size, size)
  )
  alpha_tmm1 = alpha_tmm[..., None]
  color_tc = np.broadcast_to(np.asarray(color_c, np.float32), (t, 3))
  paint_tmmc = alpha_tmm1 * color_tc[:, None, None]
  rest_tmm1 = 1 - alpha_tmm1
  for i, (left, top) in enumerate(corner_t2.tolist()):
    window_mmc = video_thwc[i, top : top + size, left : left + size]
    window_mmc *= rest_tmm1[i]
    window_mmc += paint_tmmc[i]


def finish(video_thwc: np.ndarray) -> np.ndarray:
  """Returns a clip of floats in [0, 255] as uint8."""
  return np.rint(video_thwc).astype(np.uint8)

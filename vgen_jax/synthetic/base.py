"""Base class of synthetic datasets: clips by index, with exact ground truth.

Every dataset has a method `truth(i)` that returns what the pixels of clip i do
not state directly. Lengths are in pixels; x points right and y points down;
pixel centres are at 0, 1, 2, ... Backgrounds are grey, so that saturated pixels
belong to objects.
"""

import abc

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import sources
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema

SPLITS = ('train', 'validation', 'test')


class SyntheticDataset(sources.HasContents):
  """Clips by index; clip i is the same on every machine, and in one split only.

  A subclass defines `__getitem__` and `truth`, which generate clip i and its
  ground truth from `rng(i)`, and the class attributes that its clips need.

  Attributes:
    clip_shape: (t, h, w, 3).
    split: One of `SPLITS`, which have no clip in common.
    num_clips: Number of distinct clips.
    seed: Seed of the dataset, below 2**32.
    side: Shorter side of a frame, in pixels. Lengths are proportional to it.
    class_names: Name of each label; () if clips have none.
    action_width: Numbers in an action; 0 if clips have none.
    audio_bands: Numbers that describe the sound of a frame; 0 if clips have no
      sound.
    num_segments: Number of classes in `layout`; 0 if clips have no layout.
    min_frames: Fewest frames of a clip.
    min_side: Shortest side of a frame, in pixels.
    splits: Names of all splits.
  """

  class_names: tuple[str, ...] = ()
  action_width: int = 0
  audio_bands: int = 0
  num_segments: int = 0
  min_frames: int = 4
  min_side: int = 12
  splits: tuple[str, ...] = SPLITS

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
  ):
    """Stores the arguments; clips are generated on access.

    Args:
      clip_shape: (t, h, w, 3).
      split: One of `SPLITS`.
      num_clips: Number of distinct clips.
      seed: Seed of the dataset, below 2**32.

    Raises:
      ValueError: If clips are too small, or a value is out of its range.
    """
    t, h, w, c = clip_shape
    if t < self.min_frames or min(h, w) < self.min_side or c != 3:
      raise ValueError(
        f'config.clip_shape is {tuple(clip_shape)}; {type(self).__name__} needs'
        f' 3 channels and at least {self.min_frames} frames of'
        f' {self.min_side} x {self.min_side} pixels.'
      )
    checks.one_of('config.data.split', split, SPLITS)
    checks.in_range('config.data.num_clips', num_clips, 1, 1 << 40)
    # The bits above those of the seed hold the split.
    checks.in_range('config.data.seed', seed, 0, (1 << 32) - 1)
    self.clip_shape = tuple(clip_shape)
    self.split = split
    self.num_clips = num_clips
    self.seed = seed
    self.side = min(h, w)

  @property
  def schema(self) -> Schema:
    """Shape, classes and conditions of the clips."""
    return Schema(
      self.clip_shape,
      num_classes=len(self.class_names),
      class_names=self.class_names,
      action_width=self.action_width,
      audio_bands=self.audio_bands,
      num_segments=self.num_segments,
    )

  def __len__(self) -> int:
    return self.num_clips

  def contents(self) -> sources.Contents:
    """Returns the number of clips of each split."""
    return sources.Contents(dict.fromkeys(SPLITS, self.num_clips))

  @abc.abstractmethod
  def __getitem__(self, index: int) -> Clip:
    """Returns clip `index`."""

  def rng(self, index: int, stream: int = 0) -> np.random.Generator:
    """Returns a random generator of clip `index`.

    Args:
      index: Index of the clip.
      stream: Index of the generator. Generators of one clip with different
        indices are independent.

    Raises:
      IndexError: If there is no such clip.
    """
    checks.clip_index(index, self.num_clips)
    # Philox takes a microsecond to key, and its streams do not overlap.
    split = SPLITS.index(self.split)
    key = np.array([split << 32 | self.seed, index], np.uint64)
    counter = np.array([0, 0, 0, stream], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def interpolate(fraction: float, low: float, high: float) -> float:
  """Returns the number at `fraction`, in [0, 1), of the way from low to high.

  A uniform `fraction` gives a uniform number; arrays are mapped by element.
  """
  return low + fraction * (high - low)


def choose(fraction: float, values: tuple) -> object:
  """Returns the value at `fraction`, in [0, 1), of the way along `values`."""
  return values[int(fraction * len(values))]

"""A made-up world of moving shapes, with every truth about it known.

One object of constant shape, colour, size and speed drifts over a dark frame
and bounces off its walls. There is nothing to download, clips never run out,
and `synthetic/world/verifier.py` can say of any video if it could be of this
world.

Lengths scale with the frame and speeds with the duration, so 8x16x16 and
16x64x64 show the same world, less or more finely. What is too small to be told
apart at a size of your choice can be left out by `only`.
"""

from collections.abc import Mapping, Sequence
import math
from typing import Any, NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.data import text as text_lib
from vgen_jax.synthetic.world import combinations
from vgen_jax.synthetic.world import drawing

FACTORS = {
  'shape': ('circle', 'square', 'triangle', 'cross'),
  'color': ('red', 'green', 'blue', 'yellow', 'magenta', 'cyan'),
  'size': ('small', 'large'),
  'direction': (
    'right',
    'down-right',
    'down',
    'down-left',
    'left',
    'up-left',
    'up',
    'up-right',
  ),
  'speed': ('slowly', 'quickly'),
}
SPLITS = ('train', 'validation', 'test')
COLORS = {
  'red': (230, 40, 40),
  'green': (40, 200, 60),
  'blue': (50, 90, 240),
  'yellow': (240, 220, 50),
  'magenta': (220, 60, 220),
  'cyan': (50, 220, 230),
}
RADII = {'small': 0.095, 'large': 0.15}  # In sides of a frame.
SPEEDS = {'slowly': 0.375, 'quickly': 0.75}  # In sides of a frame, per clip.


class Truth(NamedTuple):
  """What no pixel says outright about a clip; x goes right, y goes down.

  Attributes:
    center_t2: The object's centre in each frame, (x, y), in pixels.
    velocity_2: Of the first frames, before any wall, in pixels per frame.
    radius: Half of the object's width, in pixels.
    alpha_thw: Share of each pixel that the object covers, in [0, 1].
  """

  center_t2: np.ndarray
  velocity_2: np.ndarray
  radius: float
  alpha_thw: np.ndarray


class World:
  """Clips of one moving object; clip i is the same on every machine.

  Every combination of factors is equally likely, and so is every start from
  which the object touches no wall in the first frames (its direction would be
  anyone's guess).

  Attributes:
    clip_shape: (t, h, w, 3).
    split: One of `SPLITS`; no clip is in two of them.
    num_clips: Number of distinct clips.
    label: The factor that labels tell, several for their combinations, or None.
    factors_kept: Values of each factor that occur, {factor: (value, ...)}.
    text: Tokenizer of the captions that clips bear, or None.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    label: str | tuple[str, ...] | None = 'direction',
    only: Mapping[str, str | tuple[str, ...]] | None = None,
    seed: int = 0,
    text: text_lib.Tokenizer | bool = False,
    held_out: Sequence[Mapping[str, str | tuple[str, ...]]] = (),
  ):
    """Describes the world; clips are drawn when asked for.

    Args:
      clip_shape: (t, h, w, 3).
      split: One of `SPLITS`.
      num_clips: Number of distinct clips.
      label: A factor, several of them, or None for clips without labels.
      only: Values that may occur, such as {'shape': 'circle'}; the factors that
        it does not name are free.
      seed: Of the whole world, below 2**32.
      text: Whether clips bear their captions, as bytes; or another tokenizer's
        spec (data/text.py).
      held_out: Combinations such as {'shape': 'circle', 'color': 'red'}, which
        the split 'test' shows alone, and the others not: words that a model
        knows, in a sentence that it does not.

    Raises:
      ValueError: If a name is unknown, or a clip is too small to show anything.
    """
    if clip_shape[0] < 2 or min(clip_shape[1:3]) < 8 or clip_shape[3] != 3:
      raise ValueError(
        f'clip_shape is {tuple(clip_shape)}; the world needs 2 frames of 8 x 8'
        ' pixels in 3 channels or more frames and pixels.'
      )
    if split not in SPLITS:
      raise ValueError(f'split is {split!r}.{checks.hint(split, list(SPLITS))}')
    if num_clips < 1:
      raise ValueError(f'num_clips is {num_clips}; it must be 1 or more.')
    # The split is in the bits above: larger seeds would lead into another's.
    if not 0 <= seed < 2**32:
      raise ValueError(f'seed is {seed}; it must be 0 or more, below 2**32.')
    self.clip_shape = tuple(clip_shape)
    self.split = split
    self.num_clips = num_clips
    self.label = (label,) if isinstance(label, str) else tuple(label or ())
    self.factors_kept = combinations.kept(FACTORS, only or {})
    self.seed = seed
    for factor in self.label:
      if factor not in FACTORS:
        raise ValueError(
          f'label is {factor!r}.{checks.hint(factor, list(FACTORS))}'
        )
    self._num_values = np.array([len(v) for v in self.factors_kept.values()])
    self.text = text_lib.Bytes() if text is True else text or None
    self._combinations = combinations.parted(
      self.factors_kept, held_out, split == 'test'
    )

  @property
  def num_combinations(self) -> int:
    """How many combinations of factors occur in this split."""
    return len(self._combinations) or int(self._num_values.prod())

  def occurs(self, factors: Mapping[str, str]) -> bool:
    """Returns whether this split shows a combination of factors kept."""
    return not self._combinations or dict(factors) in self._combinations

  @property
  def schema(self) -> Schema:
    """What every clip of this source has in common."""
    names = [''] if self.label else []
    for factor in self.label:
      names = [
        f'{name} {value}'.strip()
        for name in names
        for value in self.factors_kept[factor]
      ]
    return Schema(
      clip_shape=self.clip_shape,
      num_classes=len(names),
      class_names=tuple(names),
      frames_per_second=8.0,
      vocab_size=self.text.vocab_size if self.text else 0,
    )

  def __len__(self) -> int:
    return self.num_clips

  def __getitem__(self, index: int) -> Clip:
    factors, start_2 = self._draw(index)
    center_t2, _, radius = self._motion(factors, start_2)
    video = drawing.paint(
      factors['shape'],
      radius,
      center_t2,
      np.array(COLORS[factors['color']]),
      self.clip_shape,
    )
    clip = {'video': video}
    if self.label:
      clip['label'] = self._label(factors)
    if self.text:
      clip |= text_lib.entries(self.text, caption(factors))
    return clip

  def factors(self, index: int) -> dict[str, str]:
    """Returns the value of each factor of clip `index`."""
    return self._draw(index)[0]

  def caption(self, index: int) -> str:
    """Returns clip `index` in words."""
    return caption(self.factors(index))

  def truth(self, index: int) -> Truth:
    """Returns where the object of clip `index` is, and what it covers."""
    factors, start_2 = self._draw(index)
    center_t2, velocity_2, radius = self._motion(factors, start_2)
    alpha_thw = drawing.coverage(
      factors['shape'], radius, center_t2, self.clip_shape[1:3]
    )
    return Truth(center_t2, velocity_2, radius, alpha_thw)

  def radius(self, size: str) -> float:
    """Returns the radius of an object of `size`, in pixels."""
    return RADII[size] * min(self.clip_shape[1:3])

  def speed(self, speed: str) -> float:
    """Returns how far an object moves, in pixels per frame."""
    return SPEEDS[speed] * min(self.clip_shape[1:3]) / self.clip_shape[0]

  def _draw(self, index: int) -> tuple[dict[str, str], np.ndarray]:
    """Returns the factors of a clip, and its start in [0, 1) per axis."""
    if not 0 <= index < self.num_clips:
      raise IndexError(f'Clip {index} of {self.num_clips} does not exist.')
    # Philox is keyed in a microsecond, and its streams never meet.
    key = np.array(
      [SPLITS.index(self.split) << 32 | self.seed, index], np.uint64
    )
    draws = np.random.Generator(np.random.Philox(key=key)).random(
      len(FACTORS) + 2
    )
    if self._combinations:  # The first draw chooses; the others are spent.
      place = int(draws[0] * len(self._combinations))
      return self._combinations[place], draws[len(FACTORS) :]
    choices = (draws[: len(FACTORS)] * self._num_values).astype(int)
    factors = {
      factor: values[choice]
      for (factor, values), choice in zip(
        self.factors_kept.items(), choices, strict=True
      )
    }
    return factors, draws[len(FACTORS) :]

  def _motion(
    self, factors: Mapping[str, str], start_2: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns centres `[t, 2]`, first velocity `[2]` and radius, in pixels."""
    t, h, w, _ = self.clip_shape
    radius = self.radius(factors['size'])
    angle = FACTORS['direction'].index(factors['direction']) * math.pi / 4
    velocity_2 = self.speed(factors['speed']) * np.array(
      [math.cos(angle), math.sin(angle)]
    )
    # Pixel centres are at 0, 1, ...; an object stays between the outermost.
    low_2 = np.array([radius, radius])
    high_2 = np.array([w - 1 - radius, h - 1 - radius])
    free_2 = min(2.5, t / 4) * velocity_2
    first_2 = np.maximum(low_2, low_2 - free_2)
    last_2 = np.minimum(high_2, high_2 - free_2)
    start_2 = first_2 + start_2 * (last_2 - first_2)
    straight_t2 = start_2 + velocity_2 * np.arange(t)[:, None]
    return fold(straight_t2, low_2, high_2), velocity_2, radius

  def _label(self, factors: Mapping[str, str]) -> np.int32:
    label = 0
    for factor in self.label:
      values = self.factors_kept[factor]
      label = label * len(values) + values.index(factors[factor])
    return np.int32(label)


def caption(factors: Mapping[str, str]) -> str:
  """Returns what happens in a clip of these factors, in words."""
  return 'a {size} {color} {shape} moving {speed} {direction}'.format(**factors)


def fold(position: Any, low: Any, high: Any) -> np.ndarray:
  """Returns where a free `position` ends up between elastic walls."""
  width = high - low
  phase = np.mod(position - low, 2 * width)
  return low + width - np.abs(phase - width)

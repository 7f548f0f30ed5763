"""Clips of one moving object of known shape, colour, size, motion and speed.

The object drifts over a dark frame and bounces off the walls. Clips need no
download, their number is not limited, and `synthetic/world/verifier.py` decides
whether any video could be one of them.

Lengths are proportional to the frame, and speeds are distances per clip, so
8x16x16 and 16x64x64 show the same motion at different resolutions. Use `only`
to leave out values that cannot be distinguished at a small size.
"""

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import sources
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.data import text as text_lib
from vgen_jax.synthetic import base
from vgen_jax.synthetic import bounces
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.world import combinations
from vgen_jax.synthetic.world import drawing as world_drawing

FACTORS = {
  'shape': drawing.SHAPES,
  'color': drawing.COLOR_NAMES,
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
RADII = {'small': 0.095, 'large': 0.15}  # In sides of a frame.
SPEEDS = {'slowly': 0.375, 'quickly': 0.75}  # In sides of a frame, per clip.


class Truth(NamedTuple):
  """Ground truth of a clip.

  Attributes:
    center_t2: The object's centre in each frame, (x, y), in pixels.
    velocity_2: Velocity in the first frames, before any wall, in pixels per
      frame.
    radius: Half of the object's width, in pixels.
    alpha_thw: Fraction of each pixel that the object covers, in [0, 1].
  """

  center_t2: np.ndarray
  velocity_2: np.ndarray
  radius: float
  alpha_thw: np.ndarray


class World(base.SyntheticDataset, sources.Captioned):
  """Clips of one moving object.

  All combinations of factors are equally likely. Starts from which the object
  meets no wall in the first frames are also equally likely; from other starts,
  its direction would be ambiguous.

  Attributes:
    label: Factors that labels enumerate, or ().
    factors_kept: Values that occur of each factor, {factor: (value, ...)}.
    text: Tokenizer of the captions of clips, or None.
    meets_walls: Whether objects may meet walls.
  """

  min_frames = 2
  min_side = 8

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    label: str | tuple[str, ...] | None = 'direction',
    only: Mapping[str, str | tuple[str, ...]] | None = None,
    seed: int = 0,
    text: text_lib.Tokenizer | bool | None = False,
    held_out: Sequence[Mapping[str, str | tuple[str, ...]]] = (),
    meets_walls: bool = True,
  ):
    """Creates the dataset; clips are generated on access.

    Args:
      clip_shape: (t, h, w, 3).
      split: One of `base.SPLITS`.
      num_clips: Number of distinct clips.
      label: Factor that labels enumerate, several for their combinations, or
        None for clips without labels.
      only: Values that may occur, such as {'shape': 'circle'}; other factors
        take all their values.
      seed: Seed of the dataset, below 2**32.
      text: Whether clips have captions, as bytes; or the spec of another
        tokenizer (data/text.py).
      held_out: Combinations such as {'shape': 'circle', 'color': 'red'} that
        occur only in the split 'test', which has no other combinations. They
        test whether a model can combine words that it was trained on in other
        captions.
      meets_walls: Whether objects may meet walls. If False, an object moves in
        one direction in all frames, for which frames must be large enough.

    Raises:
      ValueError: If a name is unknown, a label has the same factor twice, clips
        are too small, or objects must not meet walls but are too fast.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    self.label = (label,) if isinstance(label, str) else tuple(label or ())
    self.factors_kept = combinations.select_values(FACTORS, only or {})
    for factor in self.label:
      checks.one_of('config.data.label', factor, FACTORS)
    checks.distinct('config.data.label', self.label)
    self._num_values = np.array([len(v) for v in self.factors_kept.values()])
    self.text = text_lib.Bytes() if text is True else text or None
    self._combinations = combinations.list_combinations(
      self.factors_kept, held_out, return_held_out=split == 'test'
    )
    self.meets_walls = meets_walls
    if not meets_walls:
      self._check_room()

  @property
  def num_combinations(self) -> int:
    """Number of combinations of factors that occur in this split."""
    return len(self._combinations) or int(self._num_values.prod())

  def occurs(self, factors: Mapping[str, str]) -> bool:
    """Returns whether a combination of kept values occurs in this split."""
    return not self._combinations or dict(factors) in self._combinations

  @property
  def schema(self) -> Schema:
    """Shape, classes and conditions of the clips."""
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
      vocabulary=self.text.vocabulary if self.text else '',
    )

  def __getitem__(self, index: int) -> Clip:
    factors, draws_2 = self._sample(index)
    center_t2, _, radius = self._motion(factors, draws_2)
    video = world_drawing.render(
      factors['shape'],
      radius,
      center_t2,
      np.array(drawing.COLORS[factors['color']]),
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
    return self._sample(index)[0]

  def caption(self, index: int) -> str:
    """Returns a description of clip `index` in words."""
    return caption(self.factors(index))

  def truth(self, index: int) -> Truth:
    """Returns the motion of the object in clip `index`, and its coverage."""
    factors, draws_2 = self._sample(index)
    center_t2, velocity_2, radius = self._motion(factors, draws_2)
    alpha_thw = drawing.coverage(
      factors['shape'], radius, center_t2, self.clip_shape[1:3]
    )
    return Truth(center_t2, velocity_2, radius, alpha_thw)

  def radius(self, size: str) -> float:
    """Returns the radius of an object of `size`, in pixels."""
    return RADII[size] * self.side

  def speed(self, speed: str) -> float:
    """Returns the speed of an object, in pixels per frame."""
    return SPEEDS[speed] * self.side / self.clip_shape[0]

  def _sample(self, index: int) -> tuple[dict[str, str], np.ndarray]:
    """Returns the factors of a clip, and two uniform numbers for its start."""
    draws = self.rng(index).random(len(FACTORS) + 2)
    if self._combinations:  # Only the first number is used for the factors.
      choice = int(draws[0] * len(self._combinations))
      return self._combinations[choice], draws[len(FACTORS) :]
    choices = (draws[: len(FACTORS)] * self._num_values).astype(int)
    factors = {
      factor: values[choice]
      for (factor, values), choice in zip(
        self.factors_kept.items(), choices, strict=True
      )
    }
    return factors, draws[len(FACTORS) :]

  def _motion(
    self, factors: Mapping[str, str], draws_2: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the centres, the initial velocity and the radius of the object.

    Centres `[t, 2]` and radius are in pixels; the velocity `[2]` is in pixels
    per frame. All are (x, y).
    """
    t = self.clip_shape[0]
    radius = self.radius(factors['size'])
    angle = FACTORS['direction'].index(factors['direction']) * math.pi / 4
    velocity_2 = self.speed(factors['speed']) * np.array(
      [math.cos(angle), math.sin(angle)]
    )
    low_2, high_2 = bounces.wall_limits(radius, self.clip_shape[1:3])
    free_frames = min(2.5, t / 4) if self.meets_walls else t - 1
    free_2 = free_frames * velocity_2
    start_2 = bounces.sample_start(draws_2, low_2, high_2, free_2)
    straight_t2 = start_2 + velocity_2 * np.arange(t)[:, None]
    return bounces.fold(straight_t2, low_2, high_2), velocity_2, radius

  def _check_room(self) -> None:
    """Raises ValueError if the longest path does not fit between walls."""
    speed = self.factors_kept['speed'][-1]
    size = self.factors_kept['size'][-1]
    path = self.speed(speed) * (self.clip_shape[0] - 1)
    room = self.side - 1 - 2 * self.radius(size)
    if path > room:
      raise ValueError(
        f'config.data.meets_walls is False, but {size} objects that move'
        f' {speed} travel {path:.1f} pixels, and have room for {room:.1f}. Keep'
        ' slower or smaller objects only (config.data.only).'
      )

  def _label(self, factors: Mapping[str, str]) -> np.int32:
    label = 0
    for factor in self.label:
      values = self.factors_kept[factor]
      label = label * len(values) + values.index(factors[factor])
    return np.int32(label)


def caption(factors: Mapping[str, str]) -> str:
  """Returns a description in words of a clip of these factors."""
  return 'a {size} {color} {shape} moving {speed} {direction}'.format(**factors)

"""Corruptions of clips of `World` by name, each at several levels.

  clips = rerendering.generate(world, 64)
  video = registry.corrupt(clips, 'ghost', 0.24)

Corruptions test metrics of video: a metric should get worse with the level of a
corruption that it is meant to measure, and stay constant under all others.
Lengths are in pixels, colours from 0 to 255, fractions in [0, 1].
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.synthetic.world.corruptions import frames
from vgen_jax.synthetic.world.corruptions import objects
from vgen_jax.synthetic.world.corruptions import pixels
from vgen_jax.synthetic.world.corruptions import rerendering

Clips, Rng = rerendering.Clips, rerendering.Rng


class Corruption(NamedTuple):
  """One way to corrupt clips.

  Attributes:
    apply: Function of clips, a level and a NumPy generator that returns uint8
      video.
    levels: Levels from barely visible to obvious.
    unit: Unit of the levels; '' if `apply` does not use the level.
  """

  apply: Callable[[Clips, float, Rng], np.ndarray]
  levels: tuple[float, ...]
  unit: str


def corrupt(clips: Clips, name: str, level: float, seed: int = 0) -> np.ndarray:
  """Returns the corrupted clips, uint8 `[b, t, h, w, c]`.

  Args:
    clips: Clips from `rerendering.generate`.
    name: One of `CORRUPTIONS`.
    level: Level in the unit of the corruption; it may differ from those listed.
    seed: Seed of random choices; with the same seed, the clips that a low level
      affects are affected by higher levels, too.

  Raises:
    ValueError: If the name is unknown.
  """
  checks.one_of('Name of the corruption', name, CORRUPTIONS)
  rng = np.random.default_rng(seed)
  return CORRUPTIONS[name].apply(clips, level, rng)


CORRUPTIONS = {
  'blur': Corruption(pixels.blur, (0.7, 1.5, 3.0, 5.0), 'deviation, pixels'),
  'pixelate': Corruption(pixels.pixelate, (2, 4, 8, 16), 'width, pixels'),
  'noise': Corruption(pixels.noise, (6, 15, 30, 60), 'deviation, levels'),
  'gradient': Corruption(pixels.gradient, (24, 48, 96), 'height, levels'),
  'checkerboard': Corruption(pixels.checkerboard, (40, 80), 'height, levels'),
  'flash': Corruption(pixels.flash, (24, 48, 96), 'height, levels'),
  'trail': Corruption(pixels.trail, (0.6, 0.75, 0.9), 'fraction kept a frame'),
  'ghost': Corruption(pixels.ghost, (0.24, 0.5, 1.0), 'strength'),
  'second_object': Corruption(
    objects.second_object, (0.4, 0.7, 1.0), 'fraction of a radius'
  ),
  'halo': Corruption(objects.halo, (0.5, 0.75, 1.0), 'strength'),
  'hollow': Corruption(
    objects.hollow, (0.5, 0.7, 0.9), 'fraction of the radius'
  ),
  'pulse': Corruption(
    objects.pulse, (0.12, 0.2, 0.3), 'fraction of the radius'
  ),
  'morph': Corruption(
    objects.morph, (0.1, 0.25, 0.5, 0.8), 'fraction of frames'
  ),
  'drift_color': Corruption(
    objects.drift_color, (0.2, 0.4, 0.7, 1.0), 'fraction of the difference'
  ),
  'swap_color': Corruption(
    objects.swap_color, (0.1, 0.3, 0.6, 1.0), 'fraction of clips'
  ),
  'jitter': Corruption(
    objects.jitter, (0.3, 0.8, 1.5, 3.0), 'deviation, pixels'
  ),
  'zigzag': Corruption(objects.zigzag, (2.0, 3.0, 4.0), 'width, pixels'),
  'wrong_speed': Corruption(
    objects.wrong_speed, (0.25, 0.3, 0.35), 'fraction of the speed'
  ),
  'accelerate': Corruption(
    objects.accelerate, (0.5, 0.75, 1.0), 'fraction of the speed'
  ),
  'stutter': Corruption(objects.stutter, (0.8, 0.9, 1.0), 'fraction of a step'),
  'wrap_around': Corruption(
    objects.wrap_around, (0.2, 0.5, 0.8, 1.0), 'fraction of clips'
  ),
  'hold': Corruption(frames.hold, (1, 2, 4), 'frames'),
  'pause': Corruption(frames.pause, (1, 2, 4), 'frames'),
  'freeze': Corruption(frames.freeze, (2, 5, 9, 15), 'frames'),
  'vanish': Corruption(frames.vanish, (1, 2, 4, 8), 'frames'),
  'shuffle': Corruption(
    frames.shuffle, (0.15, 0.3, 0.6, 1.0), 'fraction of frames'
  ),
  'reverse': Corruption(
    frames.reverse, (0.2, 0.5, 0.8, 1.0), 'fraction of clips'
  ),
  'collapse': Corruption(frames.collapse, (256, 64, 16, 4, 1), 'combinations'),
  'duplicate': Corruption(frames.duplicate, (256, 64, 16, 4, 1), 'clips'),
  'static': Corruption(frames.static, (1,), ''),
  'blank': Corruption(frames.blank, (1,), ''),
  'random': Corruption(pixels.random, (1,), ''),
  'mean': Corruption(pixels.mean, (1,), ''),
}

"""Ways to spoil clips of the made-up world, each by degrees: a judge's tests.

  clips = redrawing.draw(world, 64)
  video = degradations.spoil(clips, 'ghost', 0.24)

A number about video is worth what it says of these: it should get worse with
the level of what it is about, and stay where it was with all else. Lengths are
in pixels, colours in levels out of 255, shares in [0, 1].
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import rerendering
from vgen_jax.synthetic.world import source as world_lib

Clips, Rng = rerendering.Clips, rerendering.Rng


class Degradation(NamedTuple):
  """One way to spoil clips.

  Attributes:
    apply: From clips, a level and a numpy generator to uint8 video.
    levels: From what one just sees to what is plain.
    unit: Of the levels.
  """

  apply: Callable[[Clips, float, Rng], np.ndarray]
  levels: tuple[float, ...]
  unit: str


def corrupt(clips: Clips, name: str, level: float, seed: int = 0) -> np.ndarray:
  """Returns the clips, spoilt: uint8 `[b, t, h, w, c]`.

  Args:
    clips: From `redrawing.draw`.
    name: One of `DEGRADATIONS`.
    level: In the degradation's unit; not only its own levels.
    seed: The same one spoils the same clips at all levels.

  Raises:
    ValueError: If the name is unknown.
  """
  if name not in DEGRADATIONS:
    raise ValueError(
      f'name is {name!r}.{checks.hint(name, list(DEGRADATIONS))}'
    )
  rng = np.random.default_rng(seed)
  return DEGRADATIONS[name].apply(clips, level, rng)


# Of frames as they are.


def _shuffle(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Some frames trade places in a ring, so that none keeps its own."""
  time_bt = rerendering.times(clips)
  count = round(share * time_bt.shape[1])
  for time_t in time_bt:
    chosen = rng.permutation(len(time_t))[:count]
    time_t[chosen] = np.roll(time_t[chosen], 1)
  return _at_times(clips, time_bt)


def _reverse(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  there = clips.video_bthwc
  return np.where(rerendering.some(clips, share, rng), there[:, ::-1], there)


def _freeze(clips: Clips, count: float, rng: Rng) -> np.ndarray:
  """The last frames repeat the one before."""
  time_bt = rerendering.times(clips)
  return _at_times(clips, np.minimum(time_bt, time_bt[:, -1:] - int(count)))


def _hold(clips: Clips, count: float, rng: Rng) -> np.ndarray:
  """A frame stays a while; what comes next is as if it had not."""
  since_bt = _since(clips, count, rng)
  held_bt = np.where(since_bt <= count, np.maximum(since_bt, 0), 0)
  return _at_times(clips, rerendering.times(clips) - held_bt)


def _pause(clips: Clips, count: float, rng: Rng) -> np.ndarray:
  """A frame stays a while; all that comes next is late."""
  late_bt = np.clip(_since(clips, count, rng), 0, int(count))
  return _at_times(clips, rerendering.times(clips) - late_bt)


def _vanish(clips: Clips, count: float, rng: Rng) -> np.ndarray:
  since_bt = _since(clips, count, rng)
  gone_bt111 = ((since_bt > 0) & (since_bt <= count))[..., None, None, None]
  return np.where(gone_bt111, np.uint8(drawing.BACKGROUND), clips.video_bthwc)


def _static(clips: Clips, level: float, rng: Rng) -> np.ndarray:
  return _at_times(clips, 0 * rerendering.times(clips))


def _blank(clips: Clips, level: float, rng: Rng) -> np.ndarray:
  return np.full_like(clips.video_bthwc, drawing.BACKGROUND)


def _random(clips: Clips, level: float, rng: Rng) -> np.ndarray:
  return rng.integers(0, 256, clips.video_bthwc.shape, np.uint8)


def _mean(clips: Clips, level: float, rng: Rng) -> np.ndarray:
  mean_thwc = np.rint(clips.video_bthwc.mean(0)).astype(np.uint8)
  return np.repeat(mean_thwc[None], len(clips.video_bthwc), 0)


def _copies(clips: Clips, count: float, rng: Rng) -> np.ndarray:
  """The first clips alone, over and over."""
  return clips.video_bthwc[np.arange(len(clips.video_bthwc)) % int(count)]


def _collapse(clips: Clips, count: float, rng: Rng) -> np.ndarray:
  """New clips, of the first ones' combinations of factors alone."""
  whole = clips.world
  kinds = [
    world_lib.World(
      whole.clip_shape, split=whole.split, seed=whole.seed, only=factors
    )
    for factors in clips.factors[: int(count)]
  ]
  num = len(clips.factors)
  return np.stack([kinds[i % len(kinds)][i]['video'] for i in range(num)])


# Of pixels.


def _blur(clips: Clips, deviation: float, rng: Rng) -> np.ndarray:
  """Gaussian, along both axes of the frame."""
  video = clips.video_bthwc.astype(np.float32)
  for axis in (2, 3):
    place = np.arange(video.shape[axis], dtype=np.float32)
    weight_xy = np.exp(-0.5 * ((place - place[:, None]) / deviation) ** 2)
    weight_xy /= weight_xy.sum(1, keepdims=True)
    video = np.moveaxis(np.moveaxis(video, axis, -1) @ weight_xy.T, -1, axis)
  return _levels(video)


def _pixelate(clips: Clips, width: float, rng: Rng) -> np.ndarray:
  b, t, h, w, c = clips.video_bthwc.shape
  k = int(width)
  shape = (b, t, h // k, k, w // k, k, c)
  mean = clips.video_bthwc.reshape(shape).mean((3, 5), keepdims=True)
  return _levels(np.broadcast_to(mean, shape).reshape(b, t, h, w, c))


def _noise(clips: Clips, deviation: float, rng: Rng) -> np.ndarray:
  drawn_bthwc = rng.standard_normal(clips.video_bthwc.shape, np.float32)
  return _levels(clips.video_bthwc + deviation * drawn_bthwc)


def _gradient(clips: Clips, height: float, rng: Rng) -> np.ndarray:
  """The background gets brighter from the left to the right."""
  ramp_w1 = np.linspace(0, height, clips.video_bthwc.shape[3])[:, None]
  return _levels(clips.video_bthwc + ramp_w1)


def _checkerboard(clips: Clips, height: float, rng: Rng) -> np.ndarray:
  """Cells a sixteenth of a side wide, by turns darker and brighter."""
  h, w = clips.video_bthwc.shape[2:4]
  y_hw, x_hw = np.indices((h, w)) // max(1, min(h, w) // 16)
  sign_hw1 = np.where((y_hw + x_hw) % 2, 0.5, -0.5)[..., None]
  return _levels(clips.video_bthwc + height * sign_hw1)


def _flash(clips: Clips, height: float, rng: Rng) -> np.ndarray:
  """One frame is brighter all over."""
  flash_bt111 = (_since(clips, 1, rng) == 1)[..., None, None, None]
  return _levels(clips.video_bthwc + height * flash_bt111)


def _trail(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """What was shown fades out, keeping a share from frame to frame."""
  video = clips.video_bthwc - float(drawing.BACKGROUND)
  for t in range(1, video.shape[1]):
    old, new = share * video[:, t - 1], video[:, t]
    video[:, t] = np.where(np.abs(new) >= np.abs(old), new, old)
  return _levels(video + drawing.BACKGROUND)


def _ghost(clips: Clips, strength: float, rng: Rng) -> np.ndarray:
  """The object of the next clip shines through."""
  other = np.roll(clips.video_bthwc, -1, 0) - float(drawing.BACKGROUND)
  return _levels(clips.video_bthwc + strength * other)


def _second(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """The object of the next clip is there too, of a share of the largest."""
  sizes = clips.world.factors_kept['size']
  radius = share * max(clips.world.radius(size) for size in sizes)
  radius_b1 = np.full((len(clips.factors), 1), radius)
  other = np.roll(rerendering.rerender(clips, radius_b1=radius_b1), -1, 0)
  return np.maximum(clips.video_bthwc, other)


def _halo(clips: Clips, strength: float, rng: Rng) -> np.ndarray:
  """A ring of another colour is round the object."""
  width = 1.35
  far_b13 = rerendering.other_colors(clips, rng)
  ring = rerendering.rerender(
    clips,
    radius_b1=width * clips.radius_b[:, None],
    color_bt3=drawing.BACKGROUND + strength * (far_b13 - drawing.BACKGROUND),
    hole=1 / width,
  )
  return np.maximum(clips.video_bthwc, ring)


def _hollow(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """A hole is in the object, of a share of its radius."""
  return rerendering.rerender(clips, hole=share)


def _since(clips: Clips, count: float, rng: Rng) -> np.ndarray:
  """Returns times since a moment before the last `count` frames, `[b, t]`."""
  b, t = clips.video_bthwc.shape[:2]
  return rerendering.times(clips) - rng.integers(0, t - int(count), (b, 1))


def _at_times(clips: Clips, time_bt: np.ndarray) -> np.ndarray:
  return clips.video_bthwc[np.arange(len(time_bt))[:, None], time_bt]


def _levels(video: np.ndarray) -> np.ndarray:
  return np.rint(np.clip(video, 0, 255)).astype(np.uint8)


DEGRADATIONS = {
  'blur': Degradation(_blur, (0.7, 1.5, 3.0, 5.0), 'deviation, pixels'),
  'pixelate': Degradation(_pixelate, (2, 4, 8, 16), 'width, pixels'),
  'noise': Degradation(_noise, (6, 15, 30, 60), 'deviation, levels'),
  'gradient': Degradation(_gradient, (24, 48, 96), 'height, levels'),
  'checkerboard': Degradation(_checkerboard, (40, 80), 'height, levels'),
  'flash': Degradation(_flash, (24, 48, 96), 'height, levels'),
  'trail': Degradation(_trail, (0.6, 0.75, 0.9), 'share kept a frame'),
  'ghost': Degradation(_ghost, (0.24, 0.5, 1.0), 'strength'),
  'second': Degradation(_second, (0.4, 0.7, 1.0), 'share of a radius'),
  'halo': Degradation(_halo, (0.5, 0.75, 1.0), 'strength'),
  'hollow': Degradation(_hollow, (0.5, 0.7, 0.9), 'share of the radius'),
  'pulse': Degradation(
    rerendering.pulse, (0.12, 0.2, 0.3), 'share of the radius'
  ),
  'morph': Degradation(
    rerendering.morph, (0.1, 0.25, 0.5, 0.8), 'share of frames'
  ),
  'drift_color': Degradation(
    rerendering.drift_color, (0.2, 0.4, 0.7, 1.0), 'share'
  ),
  'swap_color': Degradation(
    rerendering.swap_color, (0.1, 0.3, 0.6, 1.0), 'share of clips'
  ),
  'jitter': Degradation(
    rerendering.jitter, (0.3, 0.8, 1.5, 3.0), 'deviation, pixels'
  ),
  'zigzag': Degradation(rerendering.zigzag, (2.0, 3.0, 4.0), 'width, pixels'),
  'pace': Degradation(
    rerendering.pace, (0.25, 0.3, 0.35), 'share of the speed'
  ),
  'accelerate': Degradation(
    rerendering.accelerate, (0.5, 0.75, 1.0), 'share of the speed'
  ),
  'stutter': Degradation(
    rerendering.stutter, (0.8, 0.9, 1.0), 'share of a step'
  ),
  'no_walls': Degradation(
    rerendering.no_walls, (0.2, 0.5, 0.8, 1.0), 'share of clips'
  ),
  'hold': Degradation(_hold, (1, 2, 4), 'frames'),
  'pause': Degradation(_pause, (1, 2, 4), 'frames'),
  'freeze': Degradation(_freeze, (2, 5, 9, 15), 'frames'),
  'vanish': Degradation(_vanish, (1, 2, 4, 8), 'frames'),
  'shuffle': Degradation(_shuffle, (0.15, 0.3, 0.6, 1.0), 'share of frames'),
  'reverse': Degradation(_reverse, (0.2, 0.5, 0.8, 1.0), 'share of clips'),
  'collapse': Degradation(_collapse, (256, 64, 16, 4, 1), 'combinations'),
  'copies': Degradation(_copies, (256, 64, 16, 4, 1), 'clips'),
  'static': Degradation(_static, (1,), ''),
  'blank': Degradation(_blank, (1,), ''),
  'random': Degradation(_random, (1,), ''),
  'mean': Degradation(_mean, (1,), ''),
}

"""Clips of the made-up world, drawn once more with something else in them.

What is spoilt here is what happens in a clip, before it is drawn: where the
object goes, how large it is, of what shape and colour. `degradations.py` names
all ways to spoil a clip, and spoils pixels too.
"""

import dataclasses

import numpy as np

from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source as world_lib

Rng = np.random.Generator


@dataclasses.dataclass(frozen=True)
class Clips:
  """Clips of a world, and what is needed to draw them otherwise.

  Attributes:
    world: Whose they are.
    factors: Of each clip, {factor: value}.
    center_bt2: (x, y) of the object, in pixels.
    velocity_b2: Of the first frames, in pixels per frame.
    radius_b: Of the object, in pixels.
    video_bthwc: uint8.
  """

  world: world_lib.World
  factors: list[dict[str, str]]
  center_bt2: np.ndarray
  velocity_b2: np.ndarray
  radius_b: np.ndarray
  video_bthwc: np.ndarray


def draw(world: world_lib.World, num: int, first: int = 0) -> Clips:
  """Returns `num` clips of a world, from clip `first` on."""
  indices = range(first, first + num)
  truths = [world.truth(i) for i in indices]
  return Clips(
    world=world,
    factors=[world.factors(i) for i in indices],
    center_bt2=np.stack([truth.center_t2 for truth in truths]),
    velocity_b2=np.stack([truth.velocity_2 for truth in truths]),
    radius_b=np.array([truth.radius for truth in truths]),
    video_bthwc=np.stack([world[i]['video'] for i in indices]),
  )


def rerender(
  clips: Clips,
  *,
  center_bt2: np.ndarray | None = None,
  radius_b1: np.ndarray | None = None,
  color_bt3: np.ndarray | None = None,
  shapes: list[str] | None = None,
  hole: float = 0.0,
) -> np.ndarray:
  """Returns the clips with other things in them, which stay within the frame.

  Args:
    clips: From `draw`; what is None is as there.
    center_bt2: (x, y) of the object, in pixels.
    radius_b1: Its radius, or `[b, t]` one for each frame.
    color_bt3: Its colour, out of 255; `[b, 1, 3]` if constant.
    shapes: Of the object in each clip.
    hole: Radius of a hole in it, relative to the object's.
  """
  _, t, h, w, _ = clips.video_bthwc.shape
  if center_bt2 is None:
    center_bt2 = clips.center_bt2
  if radius_b1 is None:
    radius_b1 = clips.radius_b[:, None]
  if color_bt3 is None:
    color_bt3 = colors(clips)
  shapes = shapes or [factors['shape'] for factors in clips.factors]
  video_bthwc = np.empty_like(clips.video_bthwc)
  for b, shape in enumerate(shapes):
    radius_t1 = np.broadcast_to(radius_b1[b], t)[:, None]
    most_2 = np.array([w - 1, h - 1]) - radius_t1
    center_t2 = np.clip(center_bt2[b], radius_t1, most_2)
    alpha_thw = drawing.coverage(shape, radius_t1[:, 0], center_t2, (h, w))
    if hole:
      hole_t = hole * radius_t1[:, 0]
      alpha_thw -= drawing.coverage(shape, hole_t, center_t2, (h, w))
    color_t113 = color_bt3[b][:, None, None] - drawing.BACKGROUND
    video_bthwc[b] = np.rint(
      drawing.BACKGROUND + alpha_thw[..., None] * color_t113
    )
  return video_bthwc


def swap_color(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Returns a share of the clips in another colour."""
  other = rerender(clips, color_bt3=other_colors(clips, rng))
  return np.where(some(clips, share, rng), other, clips.video_bthwc)


def drift_color(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Turns a share of the way towards another colour, over time."""
  part_t1 = np.linspace(0, share, clips.center_bt2.shape[1])[:, None]
  own_b13, other_b13 = colors(clips), other_colors(clips, rng)
  return rerender(clips, color_bt3=own_b13 + part_t1 * (other_b13 - own_b13))


def jitter(clips: Clips, deviation: float, rng: Rng) -> np.ndarray:
  """Moves each frame's object by noise of a deviation in pixels."""
  noise_bt2 = rng.standard_normal(clips.center_bt2.shape)
  return rerender(clips, center_bt2=clips.center_bt2 + deviation * noise_bt2)


def zigzag(clips: Clips, width: float, rng: Rng) -> np.ndarray:
  """Moves in turns to both sides of the path, in pixels."""
  side_b2 = clips.velocity_b2[:, ::-1] * (1, -1)
  side_b2 /= np.linalg.norm(side_b2, axis=1, keepdims=True)
  sign_t1 = np.where(np.arange(clips.center_bt2.shape[1]) % 2, 1, -1)[:, None]
  center_bt2 = clips.center_bt2 + width * sign_t1 * side_b2[:, None]
  return rerender(clips, center_bt2=center_bt2)


def pace(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Moves too fast or too slowly by a share, all the time."""
  sign_b1 = rng.choice([-1, 1], (len(clips.factors), 1))
  straight_bt2 = _straight(clips, times(clips) * (1 + share * sign_b1))
  center_bt2 = world_lib.fold(straight_bt2, *_box(clips))
  return rerender(clips, center_bt2=center_bt2)


def accelerate(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Moves too slowly by a share at first, too fast at last."""
  time_bt = times(clips)
  part_bt = time_bt / max(1, time_bt.shape[1] - 1)
  straight_bt2 = _straight(clips, time_bt * (1 - share + share * part_bt))
  center_bt2 = world_lib.fold(straight_bt2, *_box(clips))
  return rerender(clips, center_bt2=center_bt2)


def stutter(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Comes late by a share of a step to every second frame."""
  time_bt = times(clips)
  straight_bt2 = _straight(clips, time_bt - share * (time_bt % 2))
  center_bt2 = world_lib.fold(straight_bt2, *_box(clips))
  return rerender(clips, center_bt2=center_bt2)


def no_walls(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Lets a share of the objects come in on the other side."""
  low_b11, high_b12 = _box(clips)
  straight_bt2 = _straight(clips, times(clips))
  inner_bt2 = np.mod(straight_bt2 - low_b11, high_b12 - low_b11)
  other = rerender(clips, center_bt2=low_b11 + inner_bt2)
  return np.where(some(clips, share, rng), other, clips.video_bthwc)


def morph(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Turns into another shape for the last share of the clip."""
  every = world_lib.FACTORS['shape']
  turn_b = rng.integers(1, len(every), len(clips.factors))
  shapes = [
    every[(every.index(factors['shape']) + turn) % len(every)]
    for factors, turn in zip(clips.factors, turn_b.tolist(), strict=True)
  ]
  t = clips.center_bt2.shape[1]
  first = t - round(share * t)
  other = rerender(clips, shapes=shapes)
  return np.concatenate([clips.video_bthwc[:, :first], other[:, first:]], 1)


def pulse(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Grows and shrinks by a share of the radius, once in 4 frames."""
  wave_t = np.sin(np.pi / 2 * np.arange(clips.center_bt2.shape[1]))
  return rerender(
    clips, radius_b1=clips.radius_b[:, None] * (1 + share * wave_t)
  )


def times(clips: Clips) -> np.ndarray:
  """Returns the number of each frame, `[b, t]`."""
  b, t, _ = clips.center_bt2.shape
  return np.tile(np.arange(t), (b, 1))


def some(clips: Clips, share: float, rng: Rng) -> np.ndarray:
  """Returns which clips are spoilt, `[b, 1, 1, 1, 1]`."""
  chosen_b = rng.random(len(clips.factors)) < share
  return chosen_b.reshape(-1, 1, 1, 1, 1)


def colors(clips: Clips, turn_b: np.ndarray | int = 0) -> np.ndarray:
  """Returns colours `[b, 1, 3]`, `turn_b` places on in the palette."""
  names = list(world_lib.COLORS)
  places_b = np.array([names.index(f['color']) for f in clips.factors])
  palette_k3 = np.array(list(world_lib.COLORS.values()), float)
  return palette_k3[(places_b + turn_b) % len(names)][:, None]


def other_colors(clips: Clips, rng: Rng) -> np.ndarray:
  """Returns another colour for each clip, `[b, 1, 3]`."""
  return colors(clips, rng.integers(1, 6, len(clips.factors)))


def _box(clips: Clips) -> tuple[np.ndarray, np.ndarray]:
  """Returns where walls turn objects round, as `[b, 1, 2]` each."""
  _, h, w, _ = clips.world.clip_shape
  low_b11 = clips.radius_b[:, None, None]
  return low_b11, np.array([w - 1, h - 1]) - low_b11


def _straight(clips: Clips, time_bt: np.ndarray) -> np.ndarray:
  """Returns centres at other times, as if there were no walls."""
  way_bt2 = clips.velocity_b2[:, None] * time_bt[..., None]
  return clips.center_bt2[:, :1] + way_bt2

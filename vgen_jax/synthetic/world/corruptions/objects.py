"""Corruptions that change the object before it is drawn.

The corruptions change its motion, size, shape or colour, and render the clips
again.

Each function is called as `(clips, level, rng)` and returns corrupted clips,
uint8 `[b, t, h, w, c]`; the second argument states the strength of the
corruption. registry.py lists the levels and their units.
"""

import numpy as np

from vgen_jax.synthetic import bounces
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.world import drawing as world_drawing
from vgen_jax.synthetic.world.corruptions import rerendering

Clips, Rng = rerendering.Clips, rerendering.Rng


def swap_color(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Shows a fraction of the clips in another colour."""
  other = rerendering.rerender(
    clips, color_bt3=rerendering.other_colors(clips, rng)
  )
  chosen = rerendering.choose_clips(clips, fraction, rng)
  return np.where(chosen, other, clips.video_bthwc)


def drift_color(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Changes the colour over time, by a fraction of the way to another one."""
  weight_t1 = np.linspace(0, fraction, clips.center_bt2.shape[1])[:, None]
  own_b13 = rerendering.colors(clips)
  other_b13 = rerendering.other_colors(clips, rng)
  return rerendering.rerender(
    clips, color_bt3=own_b13 + weight_t1 * (other_b13 - own_b13)
  )


def jitter(clips: Clips, deviation: float, rng: Rng) -> np.ndarray:
  """Moves the object in each frame by noise of this deviation, in pixels."""
  noise_bt2 = rng.standard_normal(clips.center_bt2.shape)
  return rerendering.rerender(
    clips, center_bt2=clips.center_bt2 + deviation * noise_bt2
  )


def zigzag(clips: Clips, width: float, rng: Rng) -> np.ndarray:
  """Moves the object alternately to both sides of its path, by `width` pixels.

  The displacement is perpendicular to the velocity in the first frames.
  """
  side_b2 = clips.velocity_b2[:, ::-1] * (1, -1)
  side_b2 /= np.linalg.norm(side_b2, axis=1, keepdims=True)
  sign_t1 = np.where(np.arange(clips.center_bt2.shape[1]) % 2, 1, -1)[:, None]
  center_bt2 = clips.center_bt2 + width * sign_t1 * side_b2[:, None]
  return rerendering.rerender(clips, center_bt2=center_bt2)


def wrong_speed(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Moves the object faster or more slowly by a fraction, all the time."""
  sign_b1 = rng.choice([-1, 1], (len(clips.factors), 1))
  time_bt = rerendering.frame_indices(clips)
  return _with_times(clips, time_bt * (1 + fraction * sign_b1))


def accelerate(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Moves the object more slowly by a fraction at first, and faster later."""
  time_bt = rerendering.frame_indices(clips)
  progress_bt = time_bt / max(1, time_bt.shape[1] - 1)
  return _with_times(clips, time_bt * (1 - fraction + fraction * progress_bt))


def stutter(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Delays every second frame by a fraction of a step."""
  time_bt = rerendering.frame_indices(clips)
  return _with_times(clips, time_bt - fraction * (time_bt % 2))


def wrap_around(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Lets objects re-enter on the opposite side, in a fraction of the clips."""
  low_b11, high_b12 = _wall_limits(clips)
  straight_bt2 = _straight(clips, rerendering.frame_indices(clips))
  inner_bt2 = np.mod(straight_bt2 - low_b11, high_b12 - low_b11)
  other = rerendering.rerender(clips, center_bt2=low_b11 + inner_bt2)
  chosen = rerendering.choose_clips(clips, fraction, rng)
  return np.where(chosen, other, clips.video_bthwc)


def morph(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Changes the shape in the last fraction of the clip."""
  shift_b = rng.integers(1, len(drawing.SHAPES), len(clips.factors))
  shapes = []
  for factors, shift in zip(clips.factors, shift_b.tolist(), strict=True):
    index = drawing.SHAPES.index(factors['shape']) + shift
    shapes.append(drawing.SHAPES[index % len(drawing.SHAPES)])
  t = clips.center_bt2.shape[1]
  first = t - round(fraction * t)
  other = rerendering.rerender(clips, shapes=shapes)
  return np.concatenate([clips.video_bthwc[:, :first], other[:, first:]], 1)


def pulse(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Grows and shrinks the object by a fraction, with a period of 4 frames."""
  wave_t = np.sin(np.pi / 2 * np.arange(clips.center_bt2.shape[1]))
  return rerendering.rerender(
    clips, radius_b1=clips.radius_b[:, None] * (1 + fraction * wave_t)
  )


def second_object(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Adds the object of the next clip, with a fraction of the largest radius."""
  sizes = clips.world.factors_kept['size']
  radius = fraction * max(clips.world.radius(size) for size in sizes)
  radius_b1 = np.full((len(clips.factors), 1), radius)
  other = np.roll(rerendering.rerender(clips, radius_b1=radius_b1), -1, 0)
  return np.maximum(clips.video_bthwc, other)


def halo(clips: Clips, strength: float, rng: Rng) -> np.ndarray:
  """Surrounds the object by a ring of another colour."""
  width = 1.35
  other_b13 = rerendering.other_colors(clips, rng)
  background = world_drawing.BACKGROUND
  ring = rerendering.rerender(
    clips,
    radius_b1=width * clips.radius_b[:, None],
    color_bt3=background + strength * (other_b13 - background),
    hole=1 / width,
  )
  return np.maximum(clips.video_bthwc, ring)


def hollow(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Cuts a hole into the object, of a fraction of its radius."""
  return rerendering.rerender(clips, hole=fraction)


def _with_times(clips: Clips, time_bt: np.ndarray) -> np.ndarray:
  """Returns clips with each object where it would be at other times.

  Args:
    clips: Clips.
    time_bt: Time of each frame, in frames; fractions are possible.
  """
  straight_bt2 = _straight(clips, time_bt)
  center_bt2 = bounces.fold(straight_bt2, *_wall_limits(clips))
  return rerendering.rerender(clips, center_bt2=center_bt2)


def _wall_limits(clips: Clips) -> tuple[np.ndarray, np.ndarray]:
  """Returns the least and the largest centres, which broadcast over clips."""
  _, h, w, _ = clips.world.clip_shape
  low_b11 = clips.radius_b[:, None, None]
  return low_b11, np.array([w - 1, h - 1]) - low_b11


def _straight(clips: Clips, time_bt: np.ndarray) -> np.ndarray:
  """Returns the centres at other times, without walls."""
  displacement_bt2 = clips.velocity_b2[:, None] * time_bt[..., None]
  return clips.center_bt2[:, :1] + displacement_bt2

"""Clips of `World` rendered again with changed objects."""

import dataclasses

import numpy as np

from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.world import drawing as world_drawing
from vgen_jax.synthetic.world import source as world_lib

Rng = np.random.Generator


@dataclasses.dataclass(frozen=True)
class Clips:
  """Clips of a `World`, and what is needed to render them again.

  Attributes:
    world: Dataset of the clips.
    factors: Factors of each clip, {factor: value}.
    center_bt2: (x, y) of the object, in pixels.
    velocity_b2: Velocity in the first frames, in pixels per frame.
    radius_b: Radius of the object, in pixels.
    video_bthwc: Clips, uint8.
  """

  world: world_lib.World
  factors: list[dict[str, str]]
  center_bt2: np.ndarray
  velocity_b2: np.ndarray
  radius_b: np.ndarray
  video_bthwc: np.ndarray


def generate(world: world_lib.World, num_clips: int, first: int = 0) -> Clips:
  """Returns clips of a dataset with their truth.

  Args:
    world: Dataset.
    num_clips: Number of clips, b.
    first: Index of the first clip.
  """
  indices = range(first, first + num_clips)
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
  """Returns the clips with changed objects, which stay within the frame.

  Args:
    clips: Clips from `generate`, from which arguments that are None are taken.
    center_bt2: (x, y) of the object, in pixels.
    radius_b1: Radius of the object in each clip, or in each frame `[b, t]`.
    color_bt3: Colour of the object, out of 255; `[b, 1, 3]` if constant.
    shapes: Shape of the object in each clip.
    hole: Radius of a hole in the object, relative to its own.
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
    max_2 = np.array([w - 1, h - 1]) - radius_t1
    center_t2 = np.clip(center_bt2[b], radius_t1, max_2)
    alpha_thw = drawing.coverage(shape, radius_t1[:, 0], center_t2, (h, w))
    if hole:
      hole_t = hole * radius_t1[:, 0]
      alpha_thw -= drawing.coverage(shape, hole_t, center_t2, (h, w))
    color_t113 = color_bt3[b][:, None, None] - world_drawing.BACKGROUND
    video_bthwc[b] = np.rint(
      world_drawing.BACKGROUND + alpha_thw[..., None] * color_t113
    )
  return video_bthwc


def frame_indices(clips: Clips) -> np.ndarray:
  """Returns the index of each frame, `[b, t]`."""
  b, t, _ = clips.center_bt2.shape
  return np.tile(np.arange(t), (b, 1))


def choose_clips(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Returns which clips to corrupt, bool `[b, 1, 1, 1, 1]`.

  Args:
    clips: Clips.
    fraction: Probability with which each clip is corrupted.
    rng: Generator of the choice.
  """
  chosen_b = rng.random(len(clips.factors)) < fraction
  return chosen_b.reshape(-1, 1, 1, 1, 1)


def colors(clips: Clips, shift_b: np.ndarray | int = 0) -> np.ndarray:
  """Returns the colours of the objects, from 0 to 255, `[b, 1, 3]`.

  Args:
    clips: Clips.
    shift_b: Number of colours by which each colour is replaced with a later one
      in `drawing.COLORS`; 0 for the colour of the clip.
  """
  index_b = np.array(
    [drawing.COLOR_NAMES.index(f['color']) for f in clips.factors]
  )
  color_k3 = np.array(list(drawing.COLORS.values()), float)
  return color_k3[(index_b + shift_b) % len(color_k3)][:, None]


def other_colors(clips: Clips, rng: Rng) -> np.ndarray:
  """Returns another random colour for each clip, `[b, 1, 3]`."""
  return colors(clips, rng.integers(1, 6, len(clips.factors)))

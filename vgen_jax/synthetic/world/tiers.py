"""Limits within which a clip of `World` is valid, in two tiers."""

import dataclasses

import numpy as np

from vgen_jax.synthetic.world import features as features_lib
from vgen_jax.synthetic.world import source as world_lib


@dataclasses.dataclass(frozen=True)
class Tier:
  """Limits of a valid clip; each is the worst value that passes.

  A step is the displacement of the object between two successive frames.

  Attributes:
    path_error: Root mean square distance to the fitted path, as (pixels,
      fraction of the frame's side); the limit is the sum of both.
    step_error: Largest difference between a step and that of the fitted path,
      in the same form as `path_error`.
    size_error: Difference of the mean radius from that of the nearest size,
      relative to the radius of that size.
    size_change: Largest minus smallest radius, relative to the nearest size.
    speed_error: Difference from the nearest speed, relative to that speed.
    speed_drift: Difference of the speed of either half of a clip from the speed
      of the whole clip, relative to the speed of the whole clip.
    angle_error: Angle to the nearest direction, in degrees.
    stalled_fraction: Fraction of steps in which the object stands still.
    stutter_fraction: Fraction of steps far below the object's own speed.
    shape_mismatch: Largest amount, over frames, by which the overlap with
      another shape exceeds that with the clip's shape. Shapes that the dataset
      does not generate count, too.
    residual_rms: Root mean square, in the worst frame, of what an ideal object
      does not explain, where colours are from 0 to 255.
    residual_patch: Length of the mean colour (red, green, blue) of that
      residual over the worst small patch, in the same unit.
    color_error: Distance to the nearest colour in the worst frame, in the same
      unit.
    color_drift: Largest change of colour over time, in the same unit.
  """

  path_error: tuple[float, float]
  step_error: tuple[float, float]
  size_error: float
  size_change: float
  speed_error: float
  speed_drift: float
  angle_error: float
  stalled_fraction: float
  stutter_fraction: float
  shape_mismatch: float
  residual_rms: float
  residual_patch: float
  color_error: float
  color_drift: float


STRICT = Tier(
  path_error=(0.1, 0.0),
  step_error=(0.25, 0.0),
  size_error=0.03,
  size_change=0.06,
  speed_error=0.02,
  speed_drift=0.03,
  angle_error=2.0,
  stalled_fraction=0.0,
  stutter_fraction=0.0,
  shape_mismatch=0.05,
  residual_rms=4.0,
  residual_patch=8.0,
  color_error=12.0,
  color_drift=12.0,
)
LOOSE = Tier(
  path_error=(0.1, 0.02),
  step_error=(0.1, 0.065),
  size_error=0.1,
  size_change=0.15,
  speed_error=0.2,
  speed_drift=0.17,
  angle_error=16.0,
  stalled_fraction=0.0,
  stutter_fraction=0.25,
  shape_mismatch=0.05,
  residual_rms=17.0,
  residual_patch=28.0,
  color_error=45.0,
  color_drift=40.0,
)


def is_valid(
  features: features_lib.ClipFeatures, tier: Tier, world: world_lib.World
) -> np.ndarray:
  """Returns which clips are within all limits of a tier, bool `[b]`.

  A valid clip also shows the object in every frame.

  Args:
    features: Features of the clips.
    tier: Limits, such as `LOOSE`.
    world: Dataset of the clips, whose size scales some limits.
  """
  valid_b = features.object_presence_b == 1
  for name, limit in dataclasses.asdict(tier).items():
    if isinstance(limit, tuple):
      limit = limit[0] + limit[1] * world.side
    valid_b &= getattr(features, f'{name}_b') <= limit
  return valid_b

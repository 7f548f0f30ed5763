"""Features of clips of `World`, and a Frechet distance in their space.

The feature space has 27 numbers for each clip, each in units of a difference
that is just visible. The Frechet distance of two sets of clips in this space
responds to motion, permanence and shape, to which distances in features of
generic networks hardly respond.
"""

import dataclasses

import numpy as np

from vgen_jax.evaluation.scores import frechet_finite
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.world import motion
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tracking


@dataclasses.dataclass(frozen=True)
class ClipFeatures:
  """Features of each clip; lengths are in pixels, colours from 0 to 255.

  Attributes:
    factors: Index of each factor's value in `world.factors_kept`; direction and
      speed are -1 in clips at rest.
    label_b: Class of these factors; -1 if it depends on a factor that is -1, or
      the dataset has no labels.
    center_b2: (x, y) of the object, averaged over time.
    velocity_b2: Velocity (x, y) of the fitted path in the first frames, in
      pixels per frame.
    tint_b3: Colour minus the background, averaged over time.
    radius_b: Radius of the object, averaged over time.
    shape_iou_bk: Overlap with each ideal shape, averaged over time.
    shape_iou_b: Overlap with the clip's shape, averaged over time.
    object_presence_b: Fraction of frames that show an object of the clip's
      usual size.
    shape_switch_fraction_b: Fraction of frames that resemble another shape than
      the first frame does.
    path_error_b, ..., color_drift_b: Values that a `tiers.Tier` limits,
      under the names of its fields.
  """

  factors: dict[str, np.ndarray]
  label_b: np.ndarray
  center_b2: np.ndarray
  velocity_b2: np.ndarray
  tint_b3: np.ndarray
  radius_b: np.ndarray
  shape_iou_bk: np.ndarray
  shape_iou_b: np.ndarray
  object_presence_b: np.ndarray
  shape_switch_fraction_b: np.ndarray
  path_error_b: np.ndarray
  step_error_b: np.ndarray
  size_error_b: np.ndarray
  size_change_b: np.ndarray
  speed_error_b: np.ndarray
  speed_drift_b: np.ndarray
  angle_error_b: np.ndarray
  stalled_fraction_b: np.ndarray
  stutter_fraction_b: np.ndarray
  shape_mismatch_b: np.ndarray
  residual_rms_b: np.ndarray
  residual_patch_b: np.ndarray
  color_error_b: np.ndarray
  color_drift_b: np.ndarray


def of_track(track: tracking.Track, world: world_lib.World) -> ClipFeatures:
  """Returns the features of clips.

  Args:
    track: Position and appearance of the object in each frame.
    world: Dataset that defines the rules.
  """
  usual_area_b1 = np.percentile(track.area_bt, 75, axis=1, keepdims=True)
  ratio_bt = track.area_bt / np.maximum(usual_area_b1, 1e-3)
  visible_bt = (ratio_bt > 0.5) & (ratio_bt < 1.6)
  size_bt = track.radius_bt / track.usual_radius_b[:, None]
  moves = motion.fit(track, visible_bt, world)
  factors = {
    'shape': track.shape_b,
    'color': track.color_b,
    'size': track.size_b,
    'direction': moves.direction_b,
    'speed': moves.speed_b,
  }
  kept = np.array(
    [drawing.SHAPES.index(s) for s in world.factors_kept['shape']]
  )
  shape_b11 = kept[track.shape_b][:, None, None]
  iou_bt = np.take_along_axis(track.iou_btk, shape_b11, 2)[..., 0]
  nearest_bt = track.iou_btk.argmax(2)
  nominal_b3 = tracking.relative_colors(world)[track.color_b]
  color_error_bt = np.linalg.norm(track.tint_bt3 - nominal_b3[:, None], axis=-1)
  return ClipFeatures(
    factors=factors,
    label_b=_label(factors, world),
    center_b2=track.center_bt2.mean(1),
    velocity_b2=moves.velocity_b2,
    tint_b3=track.tint_bt3.mean(1),
    radius_b=track.radius_bt.mean(1),
    shape_iou_bk=track.iou_btk.mean(1),
    shape_iou_b=iou_bt.mean(1),
    object_presence_b=visible_bt.mean(1),
    shape_switch_fraction_b=(nearest_bt != nearest_bt[:, :1]).mean(1),
    path_error_b=moves.path_error_b,
    step_error_b=moves.step_error_b,
    size_error_b=np.abs(size_bt.mean(1) - 1),
    size_change_b=np.ptp(size_bt, axis=1),
    speed_error_b=moves.speed_error_b,
    speed_drift_b=moves.speed_drift_b,
    angle_error_b=moves.angle_error_b,
    stalled_fraction_b=moves.stalled_fraction_b,
    stutter_fraction_b=moves.stutter_fraction_b,
    shape_mismatch_b=(track.iou_btk.max(2) - iou_bt).max(1),
    residual_rms_b=track.residual_rms_bt.max(1),
    residual_patch_b=track.residual_patch_bt.max(1),
    color_error_b=color_error_bt.max(1),
    color_drift_b=np.linalg.norm(np.ptp(track.tint_bt3, axis=1), axis=-1),
  )


def feature_space(features: ClipFeatures, world: world_lib.World) -> np.ndarray:
  """Returns each clip as a vector, float64 `[b, 27]`, all finite.

  The unit of each number is about the smallest visible difference, so that
  clips a few units apart look different and no number dominates.
  """
  slow = world_lib.SPEEDS['slowly'] * world.side / world.clip_shape[0]
  return np.column_stack(
    [
      features.center_b2 / (0.25 * world.side),
      features.velocity_b2 / slow,
      features.tint_b3 / 50,
      features.radius_b / (0.05 * world.side),
      features.shape_iou_bk / 0.1,
      (1 - features.object_presence_b) / 0.05,
      features.shape_switch_fraction_b / 0.05,
      features.path_error_b / 0.2,
      features.step_error_b / 0.2,
      features.size_error_b / 0.05,
      features.size_change_b / 0.05,
      features.speed_error_b / 0.1,
      features.speed_drift_b / 0.1,
      features.angle_error_b / 5,
      features.stalled_fraction_b / 0.05,
      features.shape_mismatch_b / 0.05,
      features.residual_rms_b / 2,
      features.residual_patch_b / 8,
      features.color_error_b / 15,
      features.color_drift_b / 15,
    ]
  ).astype(np.float64)


def feature_distance(
  a: ClipFeatures, b: ClipFeatures, world: world_lib.World
) -> frechet_finite.Estimate:
  """Returns the Frechet distance of two sets of clips in the feature space.

  The distance depends on the number of clips; the distance between two sets of
  real clips shows which part is due to chance. Covariances are unbiased, with
  ddof 1. The name in reports is `verifier_frechet`. Values cannot be compared
  with distances of other features.

  Args:
    a: Features of one set of clips.
    b: Features of another set.
    world: Dataset of the clips.

  Raises:
    ValueError: If a set has fewer than four clips.
  """
  return frechet_finite.estimate(
    feature_space(a, world), feature_space(b, world)
  )


def _label(
  factors: dict[str, np.ndarray], world: world_lib.World
) -> np.ndarray:
  """Returns the class of the factors; -1 if it depends on one that is -1."""
  label_b = np.zeros(len(factors['shape']), int)
  known_b = np.full(len(label_b), bool(world.label))
  for factor in world.label:
    label_b = label_b * len(world.factors_kept[factor]) + factors[factor]
    known_b &= factors[factor] >= 0
  return np.where(known_b, label_b, -1)

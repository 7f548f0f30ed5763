"""What a judge sees in a clip, as numbers, and as a place in judge space.

In judge space, 27 numbers a clip, each in units of what one can just see, the
Frechet distance of two sets of clips knows motion, permanence and shape, to all
of which distances in features of generic networks are nearly blind.
"""

import dataclasses

import numpy as np

from vgen_jax.evaluation.scores import frechet_finite
from vgen_jax.synthetic.world import motion
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tracking


@dataclasses.dataclass(frozen=True)
class ClipFeatures:
  """Features of each clip; lengths are in pixels, colours in levels of 255.

  Attributes:
    factors: Index of each factor's value in `world.factors_kept`; -1 if
      nothing moves.
    label_b: Class of these factors, or -1.
    center_b2: (x, y) of the object, averaged over time.
    velocity_b2: (x, y) of the fitted path in frame 0.
    tint_b3: Colour minus the background, averaged over time.
    radius_b: Radius of the object, averaged over time.
    shape_iou_bk: Overlap with each ideal shape, averaged over time.
    shape_iou_b: Overlap with the clip's shape, averaged over time.
    object_presence_b: Fraction of frames that show an object of the clip's
      usual size.
    shape_switch_fraction_b: Fraction of frames that resemble another shape than
      the first frame does.
    path_error_b, ..., color_drift_b: Values that a `verifier.Tier` limits,
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
  """Returns what a track says of the clip as a whole."""
  usual_b1 = np.percentile(track.area_bt, 75, axis=1, keepdims=True)
  ratio_bt = track.area_bt / np.maximum(usual_b1, 1e-3)
  seen_bt = (ratio_bt > 0.5) & (ratio_bt < 1.6)
  size_bt = track.radius_bt / track.usual_radius_b[:, None]
  moves = motion.fit(track, seen_bt, world)
  factors = {
    'shape': track.shape_b,
    'color': track.color_b,
    'size': track.size_b,
    'direction': moves.direction_b,
    'speed': moves.speed_b,
  }
  every = world_lib.FACTORS['shape']
  kept = np.array([every.index(s) for s in world.factors_kept['shape']])
  kind_b11 = kept[track.shape_b][:, None, None]
  iou_bt = np.take_along_axis(track.iou_btk, kind_b11, 2)[..., 0]
  nearest_bt = track.iou_btk.argmax(2)
  wanted_b3 = tracking.palette(world)[track.color_b]
  color_error_bt = np.linalg.norm(track.tint_bt3 - wanted_b3[:, None], axis=-1)
  return ClipFeatures(
    factors=factors,
    label_b=_label(factors, world),
    center_b2=track.center_bt2.mean(1),
    velocity_b2=moves.velocity_b2,
    tint_b3=track.tint_bt3.mean(1),
    radius_b=track.radius_bt.mean(1),
    shape_iou_bk=track.iou_btk.mean(1),
    shape_iou_b=iou_bt.mean(1),
    object_presence_b=seen_bt.mean(1),
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


def judge_space(measured: ClipFeatures, world: world_lib.World) -> np.ndarray:
  """Returns each clip's place in judge space, float64 `[b, 27]`, all finite.

  Units are about what one just sees of a difference, so that clips a few apart
  look different, and one number does not drown the others.
  """
  side = min(world.clip_shape[1:3])
  slow = world_lib.SPEEDS['slowly'] * side / world.clip_shape[0]
  return np.column_stack(
    [
      measured.center_b2 / (0.25 * side),
      measured.velocity_b2 / slow,
      measured.tint_b3 / 50,
      measured.radius_b / (0.05 * side),
      measured.shape_iou_bk / 0.1,
      (1 - measured.object_presence_b) / 0.05,
      measured.shape_switch_fraction_b / 0.05,
      measured.path_error_b / 0.2,
      measured.step_error_b / 0.2,
      measured.size_error_b / 0.05,
      measured.size_change_b / 0.05,
      measured.speed_error_b / 0.1,
      measured.speed_drift_b / 0.1,
      measured.angle_error_b / 5,
      measured.stalled_fraction_b / 0.05,
      measured.shape_mismatch_b / 0.05,
      measured.residual_rms_b / 2,
      measured.residual_patch_b / 8,
      measured.color_error_b / 15,
      measured.color_drift_b / 15,
    ]
  ).astype(np.float64)


def judge_distance(
  a: ClipFeatures, b: ClipFeatures, world: world_lib.World
) -> frechet_finite.Estimate:
  """Returns the Frechet distance of two sets of clips in judge space.

  It depends on how many clips there are; two sets of real ones tell how much of
  it is by chance. Covariances are divided by n - 1. In reports it is called
  `verifier_frechet`; it compares to no distance of other features.

  Raises:
    ValueError: If a set has fewer than four clips.
  """
  return frechet_finite.estimate(judge_space(a, world), judge_space(b, world))


def _label(
  factors: dict[str, np.ndarray], world: world_lib.World
) -> np.ndarray:
  """Returns the class that the factors make; -1 if one is unknown."""
  label_b = np.zeros(len(factors['shape']), int)
  known_b = np.full(len(label_b), bool(world.label))
  for factor in world.label:
    label_b = label_b * len(world.factors_kept[factor]) + factors[factor]
    known_b &= factors[factor] >= 0
  return np.where(known_b, label_b, -1)

"""Says of a video whether it could be of the made-up world, and what it shows.

Every measure alone can be gamed: a still clip moves along a perfect line, noise
has constant colour, a blurred object keeps its path. So a clip is *valid* only
if all hold, each in its worst frame, in two tiers: a strict one, which real
clips pass and little else, and a loose one, for models that are still learning.
What an ideal object does not explain of a frame counts wherever it is.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from vgen_jax.synthetic.world import features
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import spots
from vgen_jax.synthetic.world import tracking

ClipFeatures = features.ClipFeatures

_CHUNK = 8  # Clips at a time, to stay within a processor's cache.


@dataclasses.dataclass(frozen=True)
class Tier:
  """Limits of a valid clip; each is the worst value that passes.

  Attributes:
    path_error: Root mean square distance to the fitted path, as (pixels,
      fraction of the frame's side); the limit is the sum of both.
    step_error: Largest difference between a step and that of the fitted path;
      in the same form.
    size_error: Difference of the mean radius from that of the nearest size,
      relative to the latter.
    size_change: Largest radius minus the smallest, relative to the same.
    speed_error: Difference from the nearest speed, relative to it.
    speed_drift: Difference of the speed of either half of a clip from the speed
      of the whole, relative to the latter.
    angle_error: Angle to the nearest direction, in degrees.
    stalled_fraction: Fraction of steps in which the object stands still.
    stutter_fraction: Fraction of steps far below the object's own speed.
    shape_mismatch: Largest amount, over frames, by which the overlap with
      another shape exceeds that with the clip's shape. Shapes that the dataset
      does not generate count, too.
    residual_rms: Root mean square, in the worst frame, of what an ideal object
      does not explain, in levels out of 255.
    residual_patch: Length of the mean colour (red, green, blue) of that
      residual over the worst small patch, in levels out of 255.
    color_error: Distance to the nearest colour in the worst frame, in levels.
    color_drift: Largest change of colour over time, in levels.
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


class Verifier:
  """Measures clips against the laws of one world.

  Frames of 16 pixels a side are enough for all shapes and sizes; of smaller
  ones, small objects have too few pixels to be told apart.

  Attributes:
    world: Whose laws; clips must have its shape.
  """

  def __init__(self, world: world_lib.World):
    self.world = world

  def measure(self, video_bthwc: np.ndarray) -> ClipFeatures:
    """Returns what each clip shows; nothing is assumed of what it should.

    Args:
      video_bthwc: uint8, or floats in [-1, 1]; not-a-number counts as grey.

    Raises:
      TypeError: If they are of another kind of numbers.
      ValueError: If clips are of another shape than the world's.
    """
    video_bthwc = np.asarray(video_bthwc)
    if video_bthwc.shape[1:] != self.world.clip_shape or not len(video_bthwc):
      raise ValueError(
        f'Clips have shape {video_bthwc.shape}; the world needs'
        f' {("b", *self.world.clip_shape)}: judge by a world of their shape.'
      )
    chunks = [
      tracking.track(spots.levels(video_bthwc[i : i + _CHUNK]), self.world)
      for i in range(0, len(video_bthwc), _CHUNK)
    ]
    track = tracking.Track(*map(np.concatenate, zip(*chunks, strict=True)))
    return features.of_track(track, self.world)

  def valid(self, measured: ClipFeatures, tier: Tier) -> np.ndarray:
    """Returns which clips keep within all limits of a tier, bool `[b]`."""
    side = min(self.world.clip_shape[1:3])
    valid_b = measured.object_presence_b == 1
    for name, worst in dataclasses.asdict(tier).items():
      if isinstance(worst, tuple):
        worst = worst[0] + worst[1] * side
      valid_b &= getattr(measured, f'{name}_b') <= worst
    return valid_b

  def report(
    self,
    video_bthwc: np.ndarray,
    label_b: np.ndarray | None = None,
    *,
    factors: Sequence[Mapping[str, str]] | None = None,
    real: ClipFeatures | None = None,
  ) -> dict[str, float]:
    """Returns numbers about a set of clips: `numbers`, and a distance.

    Args:
      video_bthwc: As in `measure`.
      label_b: As in `numbers`.
      factors: As in `numbers`.
      real: Measurements of real clips, best as many. With them the report has
        `verifier_frechet`, `measurements.judge_distance` to them, and its
        `verifier_frechet_deviation`.

    Raises:
      ValueError: As do `measure` and `numbers`.
    """
    measured = self.measure(video_bthwc)
    numbers = self.numbers(measured, label_b, factors=factors)
    if real is not None:
      distance = features.judge_distance(measured, real, self.world)
      numbers['verifier_frechet'] = distance.value
      numbers['verifier_frechet_deviation'] = distance.deviation
    return numbers

  def numbers(
    self,
    measured: ClipFeatures,
    label_b: np.ndarray | None = None,
    *,
    factors: Sequence[Mapping[str, str]] | None = None,
  ) -> dict[str, float]:
    """Returns numbers that describe a set of clips as a whole.

    * `validity_loose`, `validity_strict`: fractions of clips that are valid.
    * `class_accuracy_valid`: fraction of the loosely valid clips that show the
      requested class; 0 if no clip is valid.
    * `class_accuracy_all`: the same fraction of all clips, valid or not.
    * `valid_and_correct`: fraction of clips that are loosely valid and show the
      requested class: the single number to rank models by.
    * `accuracy_shape`, ...: fractions of all clips that show the requested
      value of that factor, by `factors` if given, else by labels;
      `caption_accuracy`: fraction of clips in which all five factors are as
      requested, if all five are requested or have only one value.
    * `coverage`: number of combinations of factors among loosely valid clips
      that occur in the dataset's split, relative to the expected number among
      as many random clips; about 1 for the dataset, near 0 for a model that
      always generates the same clip.
    * `entropy_shape`, ...: entropy of that factor among all clips, relative to
      that of a uniform distribution. It reveals missing modes, which Frechet
      distances may not.
    * `object_permanence`: fraction of clips that show the object in every
      frame.
    * `object_presence`, `shape_iou`, `shape_switch_fraction` and every limit of
      a `Tier`, such as `path_error`: means of the features of that name.

    Args:
      measured: Features of the clips.
      label_b: Requested classes. Without them no class numbers are returned.
      factors: All requested factors of each clip, as from `world.factors`.

    Raises:
      ValueError: If the number of labels or factors is not that of the clips.
    """
    from scipy import stats

    loose_b = self.valid(measured, LOOSE)
    for what, asked in (('labels', label_b), ('factors', factors)):
      if asked is not None and np.shape(asked) != loose_b.shape:
        raise ValueError(
          f'The {what} have shape {np.shape(asked)} for {len(loose_b)} clips;'
          ' give one for each clip.'
        )
    numbers = {
      'validity_loose': loose_b.mean(),
      'validity_strict': self.valid(measured, STRICT).mean(),
      'coverage': self._coverage(measured, loose_b),
      'object_permanence': (measured.object_presence_b == 1).mean(),
    }
    limited = [field.name for field in dataclasses.fields(Tier)]
    for name in (
      'object_presence',
      'shape_iou',
      'shape_switch_fraction',
      *limited,
    ):
      numbers[name] = getattr(measured, f'{name}_b').mean()
    if label_b is not None:
      right_b = measured.label_b == np.asarray(label_b)
      numbers['class_accuracy_valid'] = (
        right_b[loose_b].mean() if any(loose_b) else 0
      )
      numbers['class_accuracy_all'] = right_b.mean()
      numbers['valid_and_correct'] = (right_b & loose_b).mean()
    numbers |= self._accuracies(measured, label_b, factors)
    for factor, values in self.world.factors_kept.items():
      if len(values) > 1:
        count_k = np.bincount(measured.factors[factor] + 1)[1:]
        numbers[f'entropy_{factor}'] = stats.entropy(count_k) / np.log(
          len(values)
        )
    return {name: float(number) for name, number in numbers.items()}

  def _accuracies(
    self,
    measured: ClipFeatures,
    label_b: np.ndarray | None,
    factors: Sequence[Mapping[str, str]] | None,
  ) -> dict[str, float]:
    """Returns how often each factor is as asked for, and all together."""
    kept, asked = self.world.factors_kept, {}
    if factors is not None:
      for factor, values in kept.items():
        places = {value: place for place, value in enumerate(values)}
        # What the world does not keep is never seen.
        asked[factor] = np.array([places.get(x[factor], -2) for x in factors])
    elif label_b is not None:
      rest_b = np.asarray(label_b)
      for factor in reversed(self.world.label[1:]):
        rest_b, asked[factor] = np.divmod(rest_b, len(kept[factor]))
      if self.world.label:
        asked[self.world.label[0]] = rest_b
    # What has one value goes without saying.
    known = {f: 0 for f, values in kept.items() if len(values) == 1} | asked
    right = {f: measured.factors[f] == place for f, place in known.items()}
    numbers = {f'accuracy_{f}': right[f].mean() for f in asked}
    if asked and len(known) == len(kept):
      numbers['caption_accuracy'] = np.all(list(right.values()), 0).mean()
    return numbers

  def _coverage(self, measured: ClipFeatures, valid_b: np.ndarray) -> float:
    kept = self.world.factors_kept
    places_b5 = np.column_stack([measured.factors[f][valid_b] for f in kept])
    seen = sum(
      self.world.occurs({f: kept[f][i] for f, i in zip(kept, row, strict=True)})
      for row in np.unique(places_b5, axis=0).tolist()
    )
    cells = self.world.num_combinations
    return seen / (cells * -np.expm1(len(valid_b) * np.log1p(-1 / cells)))

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
from scipy import stats

from vgen_jax.synthetic.world import features
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import spots
from vgen_jax.synthetic.world import tracking

ClipFeatures = features.ClipFeatures

_CHUNK = 8  # Clips at a time, to stay within a processor's cache.


@dataclasses.dataclass(frozen=True)
class Tier:
  """The limits that make a clip valid; each is the worst value that passes.

  Attributes:
    path_error: Root mean square distance to the fitted path, as (pixels, share
      of the frame's side), which add up.
    step_error: Largest difference of a step to that of the path; as above.
    size_error: Of the mean radius, relative to that of the nearest size.
    size_change: Largest radius less the smallest, relative to that too.
    speed_error: Relative to the nearest speed.
    speed_drift: Of either half of a clip, relative to the whole.
    angle_error: To the nearest direction, in degrees.
    stalled: Share of steps in which the object stands still.
    stutter: Share of steps that are hardly one at the object's own speed.
    wrong_shape: By how much another shape overlaps better than the clip's, in
      any frame, be it of this world or not.
    noise: Root mean square of what an ideal object leaves unexplained, in
      levels out of 255, in the worst frame.
    stain: Length (red, green, blue) of its mean over the worst small patch.
    color_error: Distance to the nearest colour, in the worst frame.
    color_drift: Largest change of colour over time.
  """

  path_error: tuple[float, float]
  step_error: tuple[float, float]
  size_error: float
  size_change: float
  speed_error: float
  speed_drift: float
  angle_error: float
  stalled: float
  stutter: float
  wrong_shape: float
  noise: float
  stain: float
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
  stalled=0.0,
  stutter=0.0,
  wrong_shape=0.05,
  noise=4.0,
  stain=8.0,
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
  stalled=0.0,
  stutter=0.25,
  wrong_shape=0.05,
  noise=17.0,
  stain=28.0,
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
    valid_b = measured.present_b == 1
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
        `judge_frechet`, `measurements.judge_distance` to them, and its
        `judge_frechet_deviation`.

    Raises:
      ValueError: As do `measure` and `numbers`.
    """
    measured = self.measure(video_bthwc)
    numbers = self.numbers(measured, label_b, factors=factors)
    if real is not None:
      distance = features.judge_distance(measured, real, self.world)
      numbers['judge_frechet'] = distance.value
      numbers['judge_frechet_deviation'] = distance.deviation
    return numbers

  def numbers(
    self,
    measured: ClipFeatures,
    label_b: np.ndarray | None = None,
    *,
    factors: Sequence[Mapping[str, str]] | None = None,
  ) -> dict[str, float]:
    """Returns what measurements say of a set of clips as a whole.

    * `valid_loose`, `valid_strict`: shares of clips that are valid.
    * `class_accuracy`: of the loosely valid clips, the share whose class is the
      one asked for; 0 if none is valid.
    * `class_accuracy_all`: the same of all clips, valid or not.
    * `valid_and_right`: share of clips that are loosely valid and of the class
      asked for: the one number to rank models by.
    * `accuracy_shape`, ...: shares of all clips with that factor as asked for,
      by factors, else labels; `caption_accuracy`: with all five so, if all five
      are asked for or have one value only.
    * `coverage`: combinations of factors among loosely valid clips, of those
      that occur in the world's split, relative to what as many draws from it
      would show; about 1 for the world, near 0 for a model that always draws
      the same.
    * `variety_shape`, ...: entropy of that factor among all clips, relative to
      that of fair draws: modes that are missing show here at once, while
      Frechet distances may pass over them.
    * `permanent`: share of clips that show the object in every frame.
    * `present`, `iou`, `shape_switch` and all that a tier limits, such as
      `path_error` and `stalled`: means of the measurements of that name.

    Args:
      measured: Of the clips.
      label_b: Classes asked for, if any; else there are no class numbers.
      factors: All that was asked for of each clip, as by `world.factors`.

    Raises:
      ValueError: If there are not as many labels or factors as clips.
    """
    loose_b = self.valid(measured, LOOSE)
    for what, asked in (('labels', label_b), ('factors', factors)):
      if asked is not None and np.shape(asked) != loose_b.shape:
        raise ValueError(
          f'The {what} have shape {np.shape(asked)} for {len(loose_b)} clips;'
          ' give one for each clip.'
        )
    numbers = {
      'valid_loose': loose_b.mean(),
      'valid_strict': self.valid(measured, STRICT).mean(),
      'coverage': self._coverage(measured, loose_b),
      'permanent': (measured.present_b == 1).mean(),
    }
    limited = [field.name for field in dataclasses.fields(Tier)]
    for name in ('present', 'iou', 'shape_switch', *limited):
      numbers[name] = getattr(measured, f'{name}_b').mean()
    if label_b is not None:
      right_b = measured.label_b == np.asarray(label_b)
      numbers['class_accuracy'] = right_b[loose_b].mean() if any(loose_b) else 0
      numbers['class_accuracy_all'] = right_b.mean()
      numbers['valid_and_right'] = (right_b & loose_b).mean()
    numbers |= self._accuracies(measured, label_b, factors)
    for factor, values in self.world.factors_kept.items():
      if len(values) > 1:
        count_k = np.bincount(measured.factors[factor] + 1)[1:]
        numbers[f'variety_{factor}'] = stats.entropy(count_k) / np.log(
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

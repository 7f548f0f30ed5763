"""Verification of videos: whether they could be clips of `World`.

Any single feature can be satisfied by a wrong clip: a static clip follows a
perfect line, noise has constant colour, a blurred object keeps its path. So a
clip is *valid* only if every feature, in its worst frame, is within a limit.
There are two tiers of limits: a strict one, which real clips and few others
pass, and a loose one, for models that are still being trained. Anything in a
frame that an ideal object does not explain is an error, wherever it is.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.world import features as features_lib
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tiers
from vgen_jax.synthetic.world import tracking

LOOSE, STRICT, Tier = tiers.LOOSE, tiers.STRICT, tiers.Tier
ClipFeatures = features_lib.ClipFeatures

# Features whose means are reported, without their suffix.
_MEANS = (
  'object_presence',
  'shape_iou',
  'shape_switch_fraction',
  *(field.name for field in dataclasses.fields(Tier)),
)
_BATCH = 8  # Clips at a time, so that they fit in the cache of a CPU.


class Verifier:
  """Checks clips against the rules of a `World`.

  Frames of 16 x 16 pixels are large enough for all shapes and sizes; in smaller
  ones, small objects have too few pixels to be distinguished.

  Attributes:
    world: Dataset that defines the rules; clips must have its shape.
  """

  def __init__(self, world: world_lib.World):
    self.world = world

  def features(self, video_bthwc: np.ndarray) -> ClipFeatures:
    """Returns the features of clips, independent of what was requested.

    Args:
      video_bthwc: Clips, uint8, or floats in [-1, 1]; NaN counts as grey.

    Raises:
      TypeError: If the data type is another one.
      ValueError: If there is no clip, or clips have another shape than those of
        the dataset.
    """
    video_bthwc = np.asarray(video_bthwc)
    if video_bthwc.shape[1:] != self.world.clip_shape or not len(video_bthwc):
      raise ValueError(
        f'There are {len(video_bthwc)} clips of shape {video_bthwc.shape[1:]};'
        f' those of the dataset have shape {self.world.clip_shape}. Pass one'
        ' clip or more, and use a dataset of the same shape.'
      )
    batches = [
      tracking.track(
        saturation.to_levels(video_bthwc[i : i + _BATCH]), self.world
      )
      for i in range(0, len(video_bthwc), _BATCH)
    ]
    track = tracking.Track(*map(np.concatenate, zip(*batches, strict=True)))
    return features_lib.of_track(track, self.world)

  def valid(self, features: ClipFeatures, tier: Tier) -> np.ndarray:
    """Returns which clips are within all limits of a tier, bool `[b]`."""
    return tiers.is_valid(features, tier, self.world)

  def report(
    self,
    video_bthwc: np.ndarray,
    label_b: np.ndarray | None = None,
    *,
    factors: Sequence[Mapping[str, str]] | None = None,
    real: ClipFeatures | None = None,
  ) -> dict[str, float]:
    """Returns the `numbers` of clips and, if requested, their Frechet distance.

    Args:
      video_bthwc: Clips, as in `features`.
      label_b: Requested classes, as in `numbers`.
      factors: Requested factors, as in `numbers`.
      real: Features of real clips, ideally of the same number. With them the
        report has `verifier_frechet`, the `features.feature_distance` to them,
        and its standard deviation `verifier_frechet_deviation`.

    Raises:
      ValueError: As do `features` and `numbers`.
    """
    features = self.features(video_bthwc)
    numbers = self.numbers(features, label_b, factors=factors)
    if real is not None:
      distance = features_lib.feature_distance(features, real, self.world)
      numbers['verifier_frechet'] = distance.value
      numbers['verifier_frechet_deviation'] = distance.deviation
    return numbers

  def numbers(
    self,
    features: ClipFeatures,
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
      features: Features of the clips.
      label_b: Requested classes. Without them no class numbers are returned.
      factors: All requested factors of each clip, as from `world.factors`.

    Raises:
      ValueError: If the number of labels or factors is not that of the clips.
    """
    from scipy import stats

    loose_b = self.valid(features, LOOSE)
    for name, requested in (('labels', label_b), ('factors', factors)):
      if requested is not None and np.shape(requested) != loose_b.shape:
        raise ValueError(
          f'The {name} have shape {np.shape(requested)} for {len(loose_b)}'
          ' clips; give one for each clip.'
        )
    numbers = {
      'validity_loose': loose_b.mean(),
      'validity_strict': self.valid(features, STRICT).mean(),
      'coverage': self._coverage(features, loose_b),
      'object_permanence': (features.object_presence_b == 1).mean(),
    }
    for name in _MEANS:
      numbers[name] = getattr(features, f'{name}_b').mean()
    if label_b is not None:
      correct_b = features.label_b == np.asarray(label_b)
      numbers['class_accuracy_valid'] = (
        correct_b[loose_b].mean() if any(loose_b) else 0
      )
      numbers['class_accuracy_all'] = correct_b.mean()
      numbers['valid_and_correct'] = (correct_b & loose_b).mean()
    numbers |= self._accuracies(features, label_b, factors)
    for factor, values in self.world.factors_kept.items():
      if len(values) > 1:
        count_k = np.bincount(features.factors[factor] + 1)[1:]
        entropy = stats.entropy(count_k) / np.log(len(values))
        numbers[f'entropy_{factor}'] = entropy
    return {name: float(number) for name, number in numbers.items()}

  def _accuracies(
    self,
    features: ClipFeatures,
    label_b: np.ndarray | None,
    factors: Sequence[Mapping[str, str]] | None,
  ) -> dict[str, float]:
    """Returns the accuracy of each requested factor, and of all together."""
    kept, requested = self.world.factors_kept, {}
    if factors is not None:
      for factor, values in kept.items():
        indices = {value: index for index, value in enumerate(values)}
        # -2 matches no feature: clips never show values that are not kept.
        requested[factor] = np.array(
          [indices.get(x[factor], -2) for x in factors]
        )
    elif label_b is not None:
      rest_b = np.asarray(label_b)
      for factor in reversed(self.world.label[1:]):
        rest_b, requested[factor] = np.divmod(rest_b, len(kept[factor]))
      if self.world.label:
        requested[self.world.label[0]] = rest_b
    # Factors with a single value need not be requested.
    known = {f: 0 for f, values in kept.items() if len(values) == 1} | requested
    correct = {f: features.factors[f] == index for f, index in known.items()}
    numbers = {f'accuracy_{f}': correct[f].mean() for f in requested}
    if requested and len(known) == len(kept):
      numbers['caption_accuracy'] = np.all(list(correct.values()), 0).mean()
    return numbers

  def _coverage(self, features: ClipFeatures, valid_b: np.ndarray) -> float:
    kept = self.world.factors_kept
    index_b5 = np.column_stack([features.factors[f][valid_b] for f in kept])
    num_shown = sum(
      self.world.occurs({f: kept[f][i] for f, i in zip(kept, row, strict=True)})
      for row in np.unique(index_b5, axis=0).tolist()
    )
    num_all = self.world.num_combinations
    # Expected number of combinations among as many random clips.
    expected = num_all * -np.expm1(len(valid_b) * np.log1p(-1 / num_all))
    return num_shown / expected

"""Finds which futures samples show, and how often they show each.

In datasets with a fork (`synthetic/two_futures/source.py`) one past has several
futures. A sample may show one of them, or a mixture of several: then it is
ambiguous. No single number proves that a model is right. A model that always
continues to the left is never ambiguous; one that chooses a future at random
for each past, and repeats it in all samples, has the right frequencies; one
that has access to the true future may have the right frequencies and entropy.
So `report` returns all of these numbers, and the agreement with the true
futures, which no model can predict.
"""

import numpy as np

from vgen_jax.core import shapes
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.two_futures import source

Forked = source.TwoFutures | source.ThreeFutures

AMBIGUOUS = -1
# Fraction of a sample's saturation that must be near the path of one future. A
# mixture of two futures has half of it near each.
_MIN_FRACTION = 0.75
_NAMES = {2: ('left', 'right'), 3: ('straight', 'down', 'up')}


def compute_features(
  world: Forked, index_b: np.ndarray, sample_bnthwc: np.ndarray
) -> np.ndarray:
  """Returns the index of the future that each sample shows, int `[b, n]`.

  A sample shows a future if enough of its saturation is near the path of that
  future, averaged over the frames in which the futures are apart, and if the
  total saturation is between 0.5 and 1.5 times that of one object. The index of
  other samples is AMBIGUOUS.

  Args:
    world: Dataset that defines the futures.
    index_b: Indices of the clips whose pasts were continued.
    sample_bnthwc: n samples for each past; uint8, or floats in [-1, 1]. If t is
      less than that of the dataset, they are the last t frames.

  Raises:
    ValueError: If samples do not have the shape stated above, a past includes
      the fork, or the futures of a clip are never far enough apart.
  """
  b, n, t = shapes.sizes('bnt', sample_bnthwc=sample_bnthwc)
  if len(index_b) != b or sample_bnthwc.shape[3:] != world.clip_shape[1:]:
    raise ValueError(
      f'Samples have shape {sample_bnthwc.shape} for {len(index_b)} clips; they'
      f' must have shape (b, n, t, *{world.clip_shape[1:]}) for b clips.'
    )
  branch_bn = np.full((b, n), AMBIGUOUS)
  for i, index in enumerate(index_b):
    fraction_nk = _fractions(world, int(index), sample_bnthwc[i], t)
    is_clear_n = fraction_nk.max(1) >= _MIN_FRACTION
    branch_bn[i] = np.where(is_clear_n, fraction_nk.argmax(1), AMBIGUOUS)
  return branch_bn


def report(
  world: Forked, index_b: np.ndarray, sample_bnthwc: np.ndarray
) -> dict[str, float]:
  """Returns numbers that describe the futures in a set of samples.

  * `fraction_left`, `fraction_right`, or `fraction_straight`, `fraction_down`,
    `fraction_up`, and `fraction_ambiguous`: fractions of all samples; they add
    up to 1.
  * `total_variation`: distance of these fractions to the dataset's
    probabilities, in [0, 1].
  * `mode_coverage`: fraction of the futures that at least one sample of a past
    shows.
  * `mode_entropy`: entropy of the futures among the samples of a past, relative
    to a uniform distribution, averaged over pasts; ambiguous samples are left
    out.
  * `mode_coverage_expected`, `mode_entropy_expected`: expected values for n
    samples of the dataset itself.
  * `leakage`: agreement with the true futures beyond chance; 1 if complete.
  * `leakage_z_score`: the same in standard deviations under chance.
  * `leakage_detected`: 1 if `leakage_z_score` is above 4: the model has access
    to the frames that it predicts.

  The arguments are those of `compute_features`.
  """
  branch_bn = compute_features(world, index_b, sample_bnthwc)
  return summarize(world, index_b, branch_bn)


def summarize(
  world: Forked, index_b: np.ndarray, branch_bn: np.ndarray
) -> dict[str, float]:
  """Returns the numbers that `report` returns, given the shown futures.

  Args:
    world: Dataset that defines the futures.
    index_b: Indices of the clips whose pasts were continued.
    branch_bn: Future that each sample shows, from `compute_features`.
  """
  from scipy import stats

  weight_k = np.array(world.weights)
  num = len(weight_k)
  _, n = shapes.sizes('bn', branch_bn=branch_bn)
  count_bk = (branch_bn[..., None] == np.arange(num)).sum(1)
  fraction_k = count_bk.mean(0) / n
  ambiguous = 1 - fraction_k.sum()
  fraction_bk = count_bk / np.maximum(count_bk.sum(1, keepdims=True), 1)
  true_b = np.array([world.branch(int(i)) for i in index_b])
  leakage, z_score = _leakage(count_bk / n, true_b, weight_k)
  count_n1 = np.arange(n + 1)[:, None]
  probability_nk = stats.binom.pmf(count_n1, n, weight_k)
  expected_entropy = (probability_nk * _entropy_terms(count_n1 / n, num)).sum()
  numbers = {
    **{
      f'fraction_{name}': fraction
      for name, fraction in zip(_NAMES[num], fraction_k, strict=True)
    },
    'fraction_ambiguous': ambiguous,
    'total_variation': (np.abs(fraction_k - weight_k).sum() + ambiguous) / 2,
    'mode_coverage': (count_bk > 0).mean(),
    'mode_coverage_expected': np.mean(1 - (1 - weight_k) ** n),
    'mode_entropy': _entropy_terms(fraction_bk, num).sum(1).mean(),
    'mode_entropy_expected': expected_entropy,
    'leakage': leakage,
    'leakage_z_score': z_score,
    'leakage_detected': z_score > 4,
  }
  return {name: float(number) for name, number in numbers.items()}


def _fractions(
  world: Forked, index: int, sample_nthwc: np.ndarray, num_frames: int
) -> np.ndarray:
  """Returns the fraction of the samples' mass near each future, `[n, k]`."""
  fork = world.truth(index).fork
  first = world.clip_shape[0] - num_frames
  if first < 0:
    raise ValueError(
      f'Samples have {num_frames} frames; clips of the dataset have'
      f' {world.clip_shape[0]}. Cut the samples, or verify with a dataset of'
      ' longer clips.'
    )
  if first > fork:
    raise ValueError(
      f'Samples have {num_frames} frames, so {first} frames of clip {index} are'
      f' known; but the clip forks at frame {fork}. Condition the model on'
      f' {fork} frames or fewer.'
    )
  futures = [world.future(index, k)[fork:] for k in range(len(world.weights))]
  region = saturation.locate(np.stack(futures))
  distance_kkt = np.linalg.norm(
    region.center_bt2[:, None] - region.center_bt2[None], axis=-1
  )
  other_kk = ~np.eye(len(world.weights), dtype=bool)
  apart_t = (distance_kkt[other_kk] >= 2 * world.radius).all(0)
  if not apart_t.any():
    raise ValueError(
      f'The futures of clip {index} are never apart; take a larger clip_shape'
      f' than {world.clip_shape}.'
    )
  # Pixels whose nearest future is k, and within reach of it.
  h, w = world.clip_shape[1:3]
  center_kt2 = region.center_bt2[:, apart_t]
  x_ktw = np.arange(w) - center_kt2[..., :1]
  y_kth = np.arange(h) - center_kt2[..., 1:]
  distance_kthw = np.hypot(x_ktw[:, :, None], y_kth[..., None])
  reach = world.radius + max(1.5, 0.05 * world.side)
  future_k111 = np.arange(len(distance_kthw))[:, None, None, None]
  near_kthw = distance_kthw.argmin(0) == future_k111
  near_kthw &= distance_kthw <= reach

  mass_nthw = saturation.saturation(sample_nthwc[:, fork - first :][:, apart_t])
  near_nkt = np.einsum('nthw,kthw->nkt', mass_nthw, near_kthw)
  mass_nt = mass_nthw.sum((2, 3))
  fraction_nk = (near_nkt / np.maximum(mass_nt, 1)[:, None]).mean(2)
  amount_n = (mass_nt / region.mass_bt[:, apart_t].mean(0)).mean(1)
  is_one_object_n = (amount_n >= 0.5) & (amount_n <= 1.5)
  return fraction_nk * is_one_object_n[:, None]


def _entropy_terms(fraction: np.ndarray, base: int) -> np.ndarray:
  """Returns the term of each fraction in an entropy to this base."""
  logarithm = np.log(np.where(fraction > 0, fraction, 1))
  return -fraction * logarithm / np.log(base)


def _leakage(
  fraction_bk: np.ndarray, true_b: np.ndarray, weight_k: np.ndarray
) -> tuple[float, float]:
  """Returns the agreement with the truth beyond chance, and its z-score.

  Unless the samples depend on the truth, its distribution given the samples is
  that of the weights. This determines mean and variance of the agreement for
  any model.

  Args:
    fraction_bk: Fraction of the samples of a past that show each future.
    true_b: True futures.
    weight_k: Probability of each future.
  """
  agree_b = fraction_bk[np.arange(len(true_b)), true_b]
  mean_b = fraction_bk @ weight_k
  variance = (fraction_bk**2 @ weight_k - mean_b**2).sum()
  excess = (agree_b - mean_b).sum()
  max_excess = (fraction_bk.sum(1) - mean_b).sum()
  if max_excess < 1e-9 or variance < 1e-9:
    return 0.0, 0.0
  return excess / max_excess, excess / np.sqrt(variance)

"""Which of a world's futures samples show, and how often each.

In a world that forks (`synthetic/two_futures/source.py`) one past has a few
futures. A model may draw one of them, or a ghost of several at once: then the
sample is ambiguous. No number alone says that a model is right. One that always
goes left is never ambiguous; one that tosses a coin for a clip and keeps to it
has the right odds; one that was shown the future may have odds and entropy
right. So `report` gives all these, and agreement with what nobody can know.
"""

import numpy as np

from vgen_jax.core import shapes
from vgen_jax.synthetic.two_futures import source
from vgen_jax.synthetic.world import spots

Forked = source.TwoFutures | source.ThreeFutures

AMBIGUOUS = -1
# Of a sample's mass, what must be nearest to one future's path. Ghosts of two
# futures have a half at each.
_MOST = 0.75
_NAMES = {2: ('left', 'right'), 3: ('straight', 'down', 'up')}


def shown(
  world: Forked, index_b: np.ndarray, sample_bnthwc: np.ndarray
) -> np.ndarray:
  """Returns the branch that each sample shows, `[b, n]`, or AMBIGUOUS.

  A sample shows a branch if the mass of what is colourful is near that branch's
  path, averaged over the frames in which the futures lie apart, and is as much
  as one object has: no less than half, no more than half as much again.

  Args:
    world: Whose futures.
    index_b: Clips whose pasts were continued.
    sample_bnthwc: n samples for each past; uint8, or floats in [-1, 1]. If t is
      less than the world's, they are the last t frames.

  Raises:
    ValueError: If shapes differ, or a past shows which future it has.
  """
  b, n, t = shapes.sizes('bnt', sample_bnthwc=sample_bnthwc)
  if len(index_b) != b or sample_bnthwc.shape[3:] != world.clip_shape[1:]:
    raise ValueError(
      f'Samples are {sample_bnthwc.shape} for {len(index_b)} clips; the world'
      f' needs (b, n, t, *{world.clip_shape[1:]}) for b clips.'
    )
  branch_bn = np.full((b, n), AMBIGUOUS)
  for i, index in enumerate(index_b):
    near_nk = _near(world, int(index), sample_bnthwc[i], t)
    found_n = near_nk.argmax(1)
    clear_n = near_nk.max(1) >= _MOST
    branch_bn[i] = np.where(clear_n, found_n, AMBIGUOUS)
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

  Args: as those of `shown`.
  """
  return summary(world, index_b, shown(world, index_b, sample_bnthwc))


def summary(
  world: Forked, index_b: np.ndarray, branch_bn: np.ndarray
) -> dict[str, float]:
  """Returns the numbers of `report` about branches that are `shown`."""
  from scipy import stats

  weight_k = np.array(world.weights)
  num = len(weight_k)
  _, n = shapes.sizes('bn', branch_bn=branch_bn)
  count_bk = (branch_bn[..., None] == np.arange(num)).sum(1)
  share_k = count_bk.mean(0) / n
  ambiguous = 1 - share_k.sum()
  share_bk = count_bk / np.maximum(count_bk.sum(1, keepdims=True), 1)
  true_b = np.array([world.branch(int(i)) for i in index_b])
  leak, leakage_z_score = _leak(count_bk / n, true_b, weight_k)
  drawn_n1 = np.arange(n + 1)[:, None]
  odds_nk = stats.binom.pmf(drawn_n1, n, weight_k)
  numbers = {
    **{
      f'fraction_{name}': p
      for name, p in zip(_NAMES[num], share_k, strict=True)
    },
    'fraction_ambiguous': ambiguous,
    'total_variation': (np.abs(share_k - weight_k).sum() + ambiguous) / 2,
    'mode_coverage': (count_bk > 0).mean(),
    'mode_coverage_expected': np.mean(1 - (1 - weight_k) ** n),
    'mode_entropy': _surprise(share_bk, num).sum(1).mean(),
    'mode_entropy_expected': (odds_nk * _surprise(drawn_n1 / n, num)).sum(),
    'leakage': leak,
    'leakage_z_score': leakage_z_score,
    'leakage_detected': leakage_z_score > 4,
  }
  return {name: float(number) for name, number in numbers.items()}


def _near(
  world: Forked, index: int, sample_nthwc: np.ndarray, num_frames: int
) -> np.ndarray:
  """Returns the share of the samples' mass near each future, `[n, k]`."""
  fork = world.truth(index).fork
  first = world.clip_shape[0] - num_frames
  if not 0 <= first <= fork:
    raise ValueError(
      f'Samples have {num_frames} frames, so that {first} are known of clip'
      f' {index}; it forks at frame {fork}: give the model {fork} or fewer.'
    )
  real = [world.future(index, k)[fork:] for k in range(len(world.weights))]
  real = spots.track(np.stack(real))
  gap_kkt = np.linalg.norm(
    real.center_bt2[:, None] - real.center_bt2[None], axis=-1
  )
  other_kk = ~np.eye(len(world.weights), dtype=bool)
  radius = world.truth(index).radius
  apart_t = (gap_kkt[other_kk] >= 2 * radius).all(0)
  if not apart_t.any():
    raise ValueError(
      f'The futures of clip {index} never lie apart; take a larger clip_shape'
      f' than {world.clip_shape}.'
    )
  # Which future each pixel is nearest to, and within reach of.
  h, w = world.clip_shape[1:3]
  center_kt2 = real.center_bt2[:, apart_t]
  x_ktw = np.arange(w) - center_kt2[..., :1]
  y_kth = np.arange(h) - center_kt2[..., 1:]
  far_kthw = np.hypot(x_ktw[:, :, None], y_kth[..., None])
  reach = radius + max(1.5, 0.05 * world.side)
  region_kthw = (
    far_kthw.argmin(0) == np.arange(len(far_kthw))[:, None, None, None]
  )
  region_kthw &= far_kthw <= reach

  mass_nthw = spots.saturation(sample_nthwc[:, fork - first :][:, apart_t])
  part_nkt = np.einsum('nthw,kthw->nkt', mass_nthw, region_kthw)
  mass_nt = mass_nthw.sum((2, 3))
  near_nk = (part_nkt / np.maximum(mass_nt, 1)[:, None]).mean(2)
  amount_n = (mass_nt / real.mass_bt[:, apart_t].mean(0)).mean(1)
  one_n = (amount_n >= 0.5) & (amount_n <= 1.5)
  return near_nk * one_n[:, None]


def _surprise(share: np.ndarray, base: int) -> np.ndarray:
  """Returns each share's part in an entropy of `base` equal shares at most."""
  return -share * np.log(np.where(share > 0, share, 1)) / np.log(base)


def _leak(
  share_bk: np.ndarray, true_b: np.ndarray, weight_k: np.ndarray
) -> tuple[float, float]:
  """Returns agreement with the truth beyond chance, and how unlikely it is.

  Given the samples, the truth is still drawn by the weights alone, unless they
  know of it: that gives mean and variance of the agreement, whatever the model.
  """
  agree_b = share_bk[np.arange(len(true_b)), true_b]
  mean_b = share_bk @ weight_k
  variance = (share_bk**2 @ weight_k - mean_b**2).sum()
  excess = (agree_b - mean_b).sum()
  room = (share_bk.sum(1) - mean_b).sum()
  if room < 1e-9 or variance < 1e-9:
    return 0.0, 0.0
  return excess / room, excess / np.sqrt(variance)

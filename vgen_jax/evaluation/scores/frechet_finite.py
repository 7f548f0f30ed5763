"""The Frechet distance of finite sets: interval, floor and limit.

The distance of finite sets is too large by about c / n, even for two samples of
one distribution. So report it with n, with its floor (the distance of two sets
of real clips of this size), and with its interval.

Sets are `[n, d]`, with one row of d features for each of n clips, or
`[n, f, d]`, with one row for each of the f frames of n clips. Frames of one
clip are similar, so they stay together when a set is split.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vgen_jax.evaluation.scores import frechet


class Estimate(NamedTuple):
  """A distance with its uncertainty.

  Attributes:
    value: Distance.
    deviation: Standard deviation between repetitions of the whole experiment.
    num_a: Number of clips of the first set.
    num_b: Number of clips of the second set.
    ddof: 1 if covariances divide by n - 1, 0 if they divide by n.
  """

  value: float
  deviation: float
  num_a: int
  num_b: int
  ddof: int


def estimate(
  a_nd: np.ndarray,
  b_md: np.ndarray,
  *,
  ddof: int = 1,
  num_splits: int = 20,
  seed: int = 0,
) -> Estimate:
  """Returns the distance with its standard deviation, by half-sampling.

  Each split divides both sets into halves without common clips, and compares
  the distances of the halves. Half of their variance is the variance of the
  whole sets. This is exact if the distributions differ; if they are equal, the
  variance falls faster than 1 / n and the estimate is up to twice too large.
  The bootstrap is not suitable, because repeated clips increase the distance.

  Args:
    a_nd: One set.
    b_md: The other set.
    ddof: As in `frechet.distance`.
    num_splits: Number of splits to average the variance over.
    seed: Seed of the splits.

  Raises:
    ValueError: If a set has fewer than four clips.
  """
  if min(len(a_nd), len(b_md)) < 4:
    raise ValueError(
      f'The sets have {len(a_nd)} and {len(b_md)} clips; each needs 4 or more,'
      ' because the covariance of each half is computed. Use more clips.'
    )
  rng = np.random.default_rng(seed)
  squares = []
  for _ in range(num_splits):
    (a1, a2), (b1, b2) = _halves(a_nd, rng), _halves(b_md, rng)
    one = _distance(a1, b1, ddof=ddof)
    two = _distance(a2, b2, ddof=ddof)
    # The variance of one half is half of the mean squared difference.
    squares.append((one - two) ** 2 / 2)
  value = _distance(a_nd, b_md, ddof=ddof)
  deviation = float(np.sqrt(np.mean(squares) / 2))
  return Estimate(value, deviation, len(a_nd), len(b_md), ddof)


def floor(
  real_nd: np.ndarray,
  size: int | None = None,
  *,
  ddof: int = 1,
  num_repeats: int = 4,
  seed: int = 0,
) -> Estimate:
  """Returns the floor: the distance of real clips to other real clips.

  Args:
    real_nd: Features of real clips.
    size: Number of clips in each of two disjoint sets, which should be the
      number of generated clips; None for half of all clips.
    ddof: As in `frechet.distance`.
    num_repeats: Number of pairs of sets to average over.
    seed: Seed of the sets.

  Raises:
    ValueError: If `size` is below 2 or above half of the number of clips.
  """
  size = len(real_nd) // 2 if size is None else size
  if not 2 <= size <= len(real_nd) // 2:
    raise ValueError(
      f'size is {size}; for two disjoint sets out of {len(real_nd)} clips it'
      f' must be from 2 to {len(real_nd) // 2}. Use more real clips or a'
      ' smaller size.'
    )
  rng = np.random.default_rng(seed)
  values = []
  for _ in range(num_repeats):
    order_n = rng.permutation(len(real_nd))
    one, two = real_nd[order_n[:size]], real_nd[order_n[size : 2 * size]]
    values.append(_distance(one, two, ddof=ddof))
  return Estimate(
    float(np.mean(values)), float(np.std(values, ddof=1)), size, size, ddof
  )


def at_infinity(
  a_nd: np.ndarray,
  b_md: np.ndarray,
  *,
  sizes: Sequence[int] | None = None,
  ddof: int = 1,
  num_repeats: int = 4,
  seed: int = 0,
) -> float:
  """Returns the distance extrapolated to infinitely many clips.

  Fits a line in 1 / n to distances of random subsets and evaluates it at 0, as
  in Chong and Forsyth, "Effectively Unbiased FID and Inception Score and where
  to find them", 2020; here subsets of both sets are taken, since both are
  finite. The relation is linear for subsets with more rows than features; with
  fewer, the result may be below 0.

  Args:
    a_nd: One set.
    b_md: The other set.
    sizes: Numbers of clips of subsets; None for 6 numbers from a quarter of the
      smaller set to all of it, evenly spaced in 1 / n.
    ddof: As in `frechet.distance`.
    num_repeats: Number of subsets of each size, whose distances are averaged.
    seed: Seed of the subsets.

  Raises:
    ValueError: If there are fewer than two different sizes, or one is below 2
      or above the number of clips of a set.
  """
  most = min(len(a_nd), len(b_md))
  if sizes is None:
    sizes = np.unique(np.int64(most / np.linspace(4, 1, 6))).tolist()
  if len(set(sizes)) < 2 or max(sizes) > most or min(sizes) < 2:
    raise ValueError(
      f'sizes are {tuple(sizes)}; they must be two or more different numbers'
      f' from 2 to {most}, the number of clips of the smaller set.'
    )
  rng = np.random.default_rng(seed)
  subset = lambda x, size: x[rng.permutation(len(x))[:size]]
  one = lambda n: _distance(subset(a_nd, n), subset(b_md, n), ddof=ddof)
  values = [np.mean([one(n) for _ in range(num_repeats)]) for n in sizes]
  return float(np.polyfit(1 / np.asarray(sizes, np.float64), values, 1)[1])


def _distance(a: np.ndarray, b: np.ndarray, *, ddof: int) -> float:
  rows = lambda x: x.reshape(-1, x.shape[-1])
  return frechet.distance_of_features(rows(a), rows(b), ddof=ddof)


def _halves(x: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
  order_n = rng.permutation(len(x))
  middle = len(x) // 2
  return [x[order_n[:middle]], x[order_n[middle : 2 * middle]]]

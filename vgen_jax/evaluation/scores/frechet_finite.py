"""The Frechet distance of finite sets: its interval, its floor, its limit.

The distance of finite sets is too big by about c / n, even for two draws of one
distribution. So a number means little without n, without its floor (the
distance real-vs-real at this n), and without its interval.

Sets are `[n, d]`, or `[n, f, d]` with f rows for each of n clips, its frames:
those of a clip are alike, so they stay together whenever a set is cut.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vgen_jax.evaluation.scores import frechet


class Estimate(NamedTuple):
  """A number with what it takes to believe it.

  Attributes:
    value: The distance.
    deviation: Its standard deviation between repeats of the whole experiment.
    num_a: Rows of the first set.
    num_b: Rows of the second set.
    ddof: 1 if covariances are unbiased (over n - 1), 0 if biased (over n).
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

  Each split cuts both sets in two and compares the distances of the halves,
  which share no row. Their variance, halved, is that of the whole: exactly so
  if the sets differ, and up to twice too much if they do not, where it falls
  faster than 1 / n. Drawing with replacement (the bootstrap) will not do:
  repeated rows raise the distance itself.

  Args:
    a_nd: One set.
    b_md: The other set.
    ddof: As in `frechet.distance`.
    num_splits: Splits to average the variance over.
    seed: Of the splits.

  Raises:
    ValueError: If a set has fewer than four rows.
  """
  if min(len(a_nd), len(b_md)) < 4:
    raise ValueError(
      f'The sets have {len(a_nd)} and {len(b_md)} rows; each needs 4 or more,'
      ' to be cut in halves that have a covariance.'
    )
  rng = np.random.default_rng(seed)
  squares = []
  for _ in range(num_splits):
    (a1, a2), (b1, b2) = _halves(a_nd, rng), _halves(b_md, rng)
    one = _distance(a1, b1, ddof=ddof)
    two = _distance(a2, b2, ddof=ddof)
    # The variance of one half is half of the mean square difference.
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
  """Returns the distance real-vs-real, below which nothing can be seen.

  Args:
    real_nd: Features of real clips.
    size: Rows of each of the two disjoint sets: those that a report has. None
      takes half of all.
    ddof: As in `frechet.distance`.
    num_repeats: Pairs of sets to average over.
    seed: Of the sets.

  Raises:
    ValueError: If there are fewer rows than two sets need.
  """
  size = len(real_nd) // 2 if size is None else size
  if not 2 <= size <= len(real_nd) // 2:
    raise ValueError(
      f'size is {size}; two disjoint sets of {len(real_nd)} rows have from 2 to'
      f' {len(real_nd) // 2}. Give more real clips, or take a smaller size.'
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
  """Returns the distance that endless sets would have.

  Fits a line in 1 / n to distances of random subsets and reads it at 0, after
  Chong and Forsyth, "Effectively Unbiased FID and Inception Score and where to
  find them", 2020; here both sets shrink, as both are finite. A line it is for
  subsets of more rows than features; of fewer, it may well end below 0.

  Args:
    a_nd: One set.
    b_md: The other set.
    sizes: Sizes of subsets; None takes 6 from a quarter to all, even in 1 / n.
    ddof: As in `frechet.distance`.
    num_repeats: Subsets of each size; distances of one size are averaged.
    seed: Of the subsets.

  Raises:
    ValueError: If fewer than two sizes are given, or one exceeds a set.
  """
  most = min(len(a_nd), len(b_md))
  if sizes is None:
    sizes = np.unique(np.int64(most / np.linspace(4, 1, 6))).tolist()
  if len(set(sizes)) < 2 or max(sizes) > most or min(sizes) < 2:
    raise ValueError(
      f'sizes are {tuple(sizes)}; a line needs two or more different ones from'
      f' 2 to {most}, the rows of the smaller set.'
    )
  rng = np.random.default_rng(seed)
  draw = lambda x, size: x[rng.permutation(len(x))[:size]]
  one = lambda n: _distance(draw(a_nd, n), draw(b_md, n), ddof=ddof)
  values = [np.mean([one(n) for _ in range(num_repeats)]) for n in sizes]
  return float(np.polyfit(1 / np.asarray(sizes, np.float64), values, 1)[1])


def _distance(a: np.ndarray, b: np.ndarray, *, ddof: int) -> float:
  rows = lambda x: x.reshape(-1, x.shape[-1])
  return frechet.distance_of_features(rows(a), rows(b), ddof=ddof)


def _halves(x: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
  order_n = rng.permutation(len(x))
  middle = len(x) // 2
  return [x[order_n[:middle]], x[order_n[middle : 2 * middle]]]

"""The kernel distance (KID), and the Inception Score.

The kernel distance is unbiased: its mean does not depend on the number of
samples and is 0 for two samples of one distribution, so it can be negative.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.core import shapes


class Estimate(NamedTuple):
  """A mean over parts with their standard deviation, as papers report it.

  Attributes:
    value: Mean over the parts.
    deviation: Standard deviation of the parts, not of their mean.
    num_parts: Number of subsets or splits.
    part_size: Number of rows of each part of each set.
  """

  value: float
  deviation: float
  num_parts: int
  part_size: int


def mmd(a_nd: np.ndarray, b_md: np.ndarray, *, degree: int = 3) -> float:
  """Returns the unbiased squared maximum mean discrepancy of two sets.

  The kernel is (x . y / d + 1)^degree; with degree 3 the distance depends on
  means, covariances and third moments. Binkowski et al., "Demystifying MMD
  GANs", 2018. Computed in float64.

  Args:
    a_nd: One set, n rows.
    b_md: The other set, m rows.
    degree: Degree of the kernel.

  Raises:
    ValueError: If a set has fewer than two rows.
  """
  n, m, d = shapes.sizes('nmd', a_nd=a_nd, b_md=b_md)
  if min(n, m) < 2:
    raise ValueError(
      f'The sets have {n} and {m} rows; each needs 2 or more, because a row is'
      ' not compared with itself. Use more clips.'
    )
  a_nd, b_md = np.asarray(a_nd, np.float64), np.asarray(b_md, np.float64)
  kernel = lambda x, y: (x @ y.T / d + 1) ** degree

  def within(x):
    k = kernel(x, x)
    return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1))

  return float(within(a_nd) + within(b_md) - 2 * kernel(a_nd, b_md).mean())


def distance(
  a_nd: np.ndarray,
  b_md: np.ndarray,
  *,
  num_subsets: int = 100,
  subset_size: int = 1000,
  seed: int = 0,
) -> Estimate:
  """Returns KID: the mean of `mmd` over random subsets of both sets.

  Subsets overlap, so their deviation is not a standard error; `block_error`
  returns one.

  Args:
    a_nd: One set.
    b_md: The other set.
    num_subsets: Number of subsets.
    subset_size: Rows of each subset, without replacement.
    seed: Seed of the subsets.

  Raises:
    ValueError: If a set has fewer rows than a subset, or a subset has fewer
      than 2.
  """
  most = min(len(a_nd), len(b_md))
  if not 2 <= subset_size <= most:
    raise ValueError(
      f'subset_size is {subset_size}; it must be from 2 to {most}, the number'
      ' of rows of the smaller set. Use smaller subsets or more samples.'
    )
  rng = np.random.default_rng(seed)
  subset = lambda x: x[rng.permutation(len(x))[:subset_size]]
  values = [mmd(subset(a_nd), subset(b_md)) for _ in range(num_subsets)]
  return Estimate(
    float(np.mean(values)), float(np.std(values)), num_subsets, subset_size
  )


def block_error(
  a_nd: np.ndarray, b_md: np.ndarray, *, num_blocks: int = 8, seed: int = 0
) -> float:
  """Returns the standard error of `mmd` of all rows, from disjoint blocks.

  Args:
    a_nd: Features of one set.
    b_md: Features of another set.
    num_blocks: Number of blocks into which each set is split, 2 or more.
    seed: Seed of the random order of rows.
  """
  rng = np.random.default_rng(seed)
  blocks = lambda x: np.array_split(x[rng.permutation(len(x))], num_blocks)
  values = [mmd(x, y) for x, y in zip(blocks(a_nd), blocks(b_md), strict=True)]
  return float(np.std(values, ddof=1) / np.sqrt(num_blocks))


def inception_score(
  probability_nk: np.ndarray, *, num_splits: int = 10, seed: int | None = 0
) -> Estimate:
  """Returns exp of the mean KL divergence of p(class | clip) from p(class).

  Salimans et al., "Improved Techniques for Training GANs", 2016. The score is
  from 1 to the number of classes. It is biased low if splits have few clips per
  class, so scores are comparable only for equal numbers of splits and clips.

  Args:
    probability_nk: Probabilities of the classes; each row sums to 1.
    num_splits: Number of consecutive parts; the score is the mean over parts.
    seed: Seed of the shuffle before splitting; None keeps the order, which is
      wrong if clips are sorted by class.

  Raises:
    ValueError: If rows are not probabilities, or there are too few of them.
  """
  (n,) = shapes.sizes('n', probability_nk=probability_nk)
  p_nk = np.asarray(probability_nk, np.float64)
  if not 1 <= num_splits <= n:
    raise ValueError(
      f'num_splits is {num_splits} for {n} clips; it must be from 1 to {n}.'
    )
  worst = np.abs(p_nk.sum(1) - 1).max()
  if not (worst < 1e-3 and p_nk.min() >= 0):
    raise ValueError(
      f'The sums of rows differ from 1 by up to {worst:.2g}, and the smallest'
      f' probability is {p_nk.min():.2g}; apply the softmax to logits first.'
    )
  if seed is not None:
    p_nk = p_nk[np.random.default_rng(seed).permutation(n)]
  values = [_score(part) for part in np.array_split(p_nk, num_splits)]
  return Estimate(
    float(np.mean(values)), float(np.std(values)), num_splits, n // num_splits
  )


def _score(p_nk: np.ndarray) -> float:
  tiny = np.finfo(np.float64).tiny
  ratio_nk = np.maximum(p_nk, tiny) / np.maximum(p_nk.mean(0), tiny)[None]
  return float(np.exp((p_nk * np.log(ratio_nk)).sum(1).mean()))

"""Distances without a Gaussian (KID), and the Inception Score.

The kernel distance is unbiased: its mean is the same at each number of samples,
and 0 for two draws of one distribution; so it may come out below 0.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.core import shapes


class Estimate(NamedTuple):
  """A mean with the standard deviation over its parts, as papers print it.

  Attributes:
    value: Mean over the parts.
    deviation: Standard deviation between parts, not of their mean.
    num_parts: Subsets or splits that the mean is over.
    part_size: Rows of each part, of each set.
  """

  value: float
  deviation: float
  num_parts: int
  part_size: int


def mmd(a_nd: np.ndarray, b_md: np.ndarray, *, degree: int = 3) -> float:
  """Returns the unbiased squared maximum mean discrepancy of two sets.

  With the kernel (x . y / d + 1)^degree; for degree 3 it sees means,
  covariances and third moments. Binkowski et al., "Demystifying MMD GANs",
  2018; in float64.

  Raises:
    ValueError: If a set has fewer than two rows.
  """
  n, m, d = shapes.sizes('nmd', a_nd=a_nd, b_md=b_md)
  if min(n, m) < 2:
    raise ValueError(
      f'The sets have {n} and {m} rows; each needs 2 or more, since a row is'
      ' never compared with itself.'
    )
  a_nd, b_md = np.asarray(a_nd, np.float64), np.asarray(b_md, np.float64)
  kernel = lambda x, y: (x @ y.T / d + 1) ** degree

  def among(x):
    k = kernel(x, x)
    return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1))

  return float(among(a_nd) + among(b_md) - 2 * kernel(a_nd, b_md).mean())


def distance(
  a_nd: np.ndarray,
  b_md: np.ndarray,
  *,
  num_subsets: int = 100,
  subset_size: int = 1000,
  seed: int = 0,
) -> Estimate:
  """Returns KID: `mmd` averaged over random subsets of both sets.

  Subsets overlap, so their deviation is no standard error; `block_error` is.

  Args:
    a_nd: One set.
    b_md: The other set.
    num_subsets: Subsets to average over.
    subset_size: Rows of each, drawn without replacement.
    seed: Of the subsets.

  Raises:
    ValueError: If a set has fewer rows than a subset.
  """
  most = min(len(a_nd), len(b_md))
  if not 2 <= subset_size <= most:
    raise ValueError(
      f'subset_size is {subset_size}; it must be from 2 to {most}, the rows of'
      ' the smaller set. Take a smaller subset or more samples.'
    )
  rng = np.random.default_rng(seed)
  draw = lambda x: x[rng.permutation(len(x))[:subset_size]]
  values = [mmd(draw(a_nd), draw(b_md)) for _ in range(num_subsets)]
  return Estimate(
    float(np.mean(values)), float(np.std(values)), num_subsets, subset_size
  )


def block_error(
  a_nd: np.ndarray, b_md: np.ndarray, *, num_blocks: int = 8, seed: int = 0
) -> float:
  """Returns the standard error of `mmd` of all rows, from disjoint blocks."""
  rng = np.random.default_rng(seed)
  blocks = lambda x: np.array_split(x[rng.permutation(len(x))], num_blocks)
  values = [mmd(x, y) for x, y in zip(blocks(a_nd), blocks(b_md), strict=True)]
  return float(np.std(values, ddof=1) / np.sqrt(num_blocks))


def inception_score(
  probability_nk: np.ndarray, *, num_splits: int = 10, seed: int | None = 0
) -> Estimate:
  """Returns exp of the mean KL divergence of p(class | clip) from p(class).

  Salimans et al., "Improved Techniques for Training GANs", 2016. From 1 to the
  number of classes. It is biased low for splits of few clips a class, so
  numbers are comparable only at one number of splits and of clips.

  Args:
    probability_nk: Probabilities of the classes; each row sums to 1.
    num_splits: Parts to take the score of, one after the other.
    seed: Of the shuffle before splitting; None keeps the order, which is wrong
      for clips in order of their classes.

  Raises:
    ValueError: If rows are no probabilities, or there are too few of them.
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
      f'Rows of probabilities sum to 1 only within {worst:.2g}, their least is'
      f' {p_nk.min():.2g}; take the softmax of logits first.'
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

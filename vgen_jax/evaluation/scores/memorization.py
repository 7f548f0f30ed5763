"""Finds generated clips that are copies of training data.

A clip is compared by a small, blurred form of it: a few frames of a few pixels,
each the mean of a box. That is robust to noise, blur and shifts by less than a
box, and to nothing more: a crop, a change of speed, another colour, upside down
or backwards pass unseen, and so does a copied object on another ground. Frames
of 16 pixels have boxes of one: there a shift by a pixel passes, too.

What is "near" is told by clips held out from training, which nobody can have
copied: a sample is a copy if it is nearer to its nearest training clip than all
but 1 % of them are. So about 1 % of a model that copies nothing is flagged.
"""

from typing import NamedTuple

import numpy as np
import scipy.stats

from vgen_jax.core import shapes


class Memorization(NamedTuple):
  """Which samples are copies, and of what.

  Attributes:
    rate: Share of the samples that are copies.
    copied_n: Whether a sample is one.
    nearest_n: Place of the nearest training clip.
    flipped_n: Whether it is nearest when mirrored.
    distance_n: Root mean square difference to it, in units of the features.
    threshold: Distance below which a sample is a copy.
  """

  rate: float
  copied_n: np.ndarray
  nearest_n: np.ndarray
  flipped_n: np.ndarray
  distance_n: np.ndarray
  threshold: float


def thumbnails(
  video_bthwc: np.ndarray, size: tuple[int, int, int] = (8, 16, 16)
) -> np.ndarray:
  """Returns clips reduced to `size` (t, h, w) by means of boxes, float32.

  An axis that is shorter than its size is left as it is.
  """
  shapes.sizes('', video_bthwc=video_bthwc)
  out = np.asarray(video_bthwc, np.float32)
  for axis, length in enumerate(size, start=1):
    length = min(length, out.shape[axis])
    edges = np.linspace(0, out.shape[axis], length + 1).round().astype(int)
    total = np.add.reduceat(out, edges[:-1], axis)
    width = np.diff(edges).astype(np.float32)
    out = total / np.expand_dims(width, [i for i in range(5) if i != axis])
  return out


def copies(
  sample_bthwc: np.ndarray,
  train_bthwc: np.ndarray,
  held_out_bthwc: np.ndarray,
  *,
  quantile: float = 0.01,
  size: tuple[int, int, int] = (8, 16, 16),
) -> Memorization:
  """Returns which samples are copies of training clips, mirrored or not.

  Args:
    sample_bthwc: Generated clips. All three sets are in one range, and may be
      `thumbnails` already, for sets too large to hold in memory as they are.
    train_bthwc: All clips that the model was trained on.
    held_out_bthwc: Clips of the same source, none of them in training, nor
      from the same film: else the threshold is that of copies.
    quantile: Share of held-out clips that are nearer than the threshold.
    size: As in `thumbnails`.

  Raises:
    ValueError: If shapes differ, a set is empty or not finite, or too few clips
      are held out for the quantile to mean anything.
  """
  _check(sample_bthwc, train_bthwc, held_out_bthwc)
  if not 0 < quantile < 1:
    raise ValueError(f'quantile is {quantile}; it must be between 0 and 1.')
  if len(held_out_bthwc) * quantile < 1:
    raise ValueError(
      f'{len(held_out_bthwc)} clips are held out; a quantile of {quantile}'
      f' needs {int(np.ceil(1 / quantile))} or more.'
    )
  train = thumbnails(train_bthwc, size)
  usual_n, *_ = nearest(thumbnails(held_out_bthwc, size), train)
  threshold = float(np.quantile(usual_n, quantile))
  distance_n, nearest_n, flipped_n = nearest(
    thumbnails(sample_bthwc, size), train
  )
  copied_n = distance_n < threshold
  return Memorization(
    float(copied_n.mean()),
    copied_n,
    nearest_n,
    flipped_n,
    distance_n,
    threshold,
  )


def copying(
  sample_bthwc: np.ndarray,
  train_bthwc: np.ndarray,
  held_out_bthwc: np.ndarray,
  *,
  num_cells: int = 1,
  least: int = 20,
  size: tuple[int, int, int] = (8, 16, 16),
) -> float:
  """Returns C_T: how much nearer to training samples are than held-out clips.

  About normal with deviation 1 or less if samples are as far as clips held out;
  below -3 they are copies, above 3 they are unlike the data. In each cell of
  the space it is the z-score of the Mann-Whitney U of the distances to the
  nearest training clip; C_T is their mean, weighted by the held-out clips in a
  cell. With several cells, a model that draws too often where training clips
  lie dense is not taken for one that copies.

  Meehan, Chaudhuri and Dasgupta, "A Non-Parametric Test to Detect Data-Copying
  in Generative Models", 2020, https://arxiv.org/abs/2004.05675. Unlike theirs,
  mirrored clips count as near, and so are always in one cell; the nearest clip
  may lie in another cell than its copy.

  Args:
    sample_bthwc: As in `copies`.
    train_bthwc: As in `copies`.
    held_out_bthwc: As in `copies`.
    num_cells: Cells to divide the space into, by k-means of training clips.
    least: A cell of fewer samples, or held-out clips, is left out.
    size: As in `thumbnails`.

  Raises:
    ValueError: If shapes differ, a set is empty or not finite, or no cell has
      enough clips.
  """
  _check(sample_bthwc, train_bthwc, held_out_bthwc)
  sample, train, held_out = (
    thumbnails(x, size) for x in (sample_bthwc, train_bthwc, held_out_bthwc)
  )
  center_kd = _means(_alike(train), num_cells)
  far = [nearest(x, train)[0] for x in (sample, held_out)]
  cell = [
    _distances(_alike(x), center_kd).argmin(1) for x in (sample, held_out)
  ]
  scores, weights = [], []
  for k in range(num_cells):
    near_n, usual_m = (d[c == k] for d, c in zip(far, cell, strict=True))
    n, m = len(near_n), len(usual_m)
    if min(n, m) >= least:
      u = scipy.stats.rankdata(np.concatenate([near_n, usual_m]))[:n].sum()
      u -= n * (n + 1) / 2 + n * m / 2
      scores.append(u / np.sqrt(n * m * (n + m + 1) / 12))
      weights.append(m)
  if not scores:
    raise ValueError(
      f'No cell of {num_cells} has {least} samples and held-out clips, out of'
      f' {len(sample)} and {len(held_out)}; take fewer cells.'
    )
  return float(np.average(scores, weights=weights))


def nearest(
  query_bthwc: np.ndarray, index_bthwc: np.ndarray, *, block: int = 4096
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns distance, place and mirroring of the nearest clip in an index.

  Args:
    query_bthwc: Clips to look for.
    index_bthwc: Clips to look among, as they are and mirrored left to right.
    block: Clips of the index compared at a time; bounds the memory.
  """
  flat = lambda x: np.ascontiguousarray(x).reshape(len(x), -1)
  # About one common centre, or the difference of large squares is rounding.
  center_thwc = index_bthwc.mean(0, keepdims=True)
  query_nd = flat(query_bthwc - center_thwc)
  n, d = query_nd.shape
  best_n = np.full(n, np.inf)
  place_n, flipped_n = np.zeros(n, int), np.zeros(n, bool)
  square_n = (query_nd**2).sum(1, dtype=np.float64)
  for start in range(0, len(index_bthwc), block):
    part = index_bthwc[start : start + block]
    for flip in (False, True):
      part_md = flat((part[:, :, :, ::-1] if flip else part) - center_thwc)
      square_nm = (
        square_n[:, None]
        + (part_md**2).sum(1, dtype=np.float64)[None]
        - 2 * (query_nd @ part_md.T)
      )
      found_n = square_nm.argmin(1)
      value_n = square_nm[np.arange(n), found_n]
      better_n = value_n < best_n
      best_n = np.where(better_n, value_n, best_n)
      place_n = np.where(better_n, start + found_n, place_n)
      flipped_n = np.where(better_n, flip, flipped_n)
  return np.sqrt(np.maximum(best_n, 0) / d), place_n, flipped_n


def _check(
  sample_bthwc: np.ndarray, train_bthwc: np.ndarray, held_out_bthwc: np.ndarray
) -> None:
  wanted = train_bthwc.shape[1:]
  for name, x in (
    ('samples', sample_bthwc),
    ('held-out', held_out_bthwc),
    ('training set', train_bthwc),
  ):
    if not len(x):
      raise ValueError(f'There are no clips in the {name}; give one or more.')
    # A pixel that is no number would put a copy far from all clips.
    if not np.isfinite(x).all():
      raise ValueError(
        f'Clips in the {name} are not all finite; no copies are found of those.'
      )
    if x.shape[1:] != wanted:
      raise ValueError(
        f'A clip of the {name} is {x.shape[1:]}, one of training {wanted};'
        ' bring them to one shape.'
      )


def _alike(small_bthwc: np.ndarray) -> np.ndarray:
  """Returns what a clip and its mirror image have in common, `[b, d]`."""
  return (small_bthwc + small_bthwc[:, :, :, ::-1]).reshape(
    len(small_bthwc), -1
  )


def _distances(one_nd: np.ndarray, other_kd: np.ndarray) -> np.ndarray:
  """Returns squared distances, less the square of the one; for their order."""
  return (other_kd**2).sum(1) - 2 * (one_nd @ other_kd.T)


def _means(clip_nd: np.ndarray, num_means: int) -> np.ndarray:
  """Returns means of clusters, `[k, d]`, always the same of the same clips."""
  if not 1 <= num_means <= len(clip_nd):
    raise ValueError(
      f'num_cells is {num_means}; it must be from 1 to the number of training'
      f' clips, {len(clip_nd)}.'
    )
  start = np.random.default_rng(0).permutation(len(clip_nd))[:num_means]
  mean_kd = clip_nd[start]
  for _ in range(10):
    cell_n = _distances(clip_nd, mean_kd).argmin(1)
    for k in np.unique(cell_n):
      mean_kd[k] = clip_nd[cell_n == k].mean(0)
  return mean_kd

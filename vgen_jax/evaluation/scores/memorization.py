"""Finds generated clips that are copies of training clips.

Clips are compared as thumbnails: a few frames of a few pixels, each the mean of
a box. This is robust to noise, blur, and shifts by less than a box, and to
nothing else. It does not find crops, changes of speed or colour, vertical
flips, reversed clips, or an object that is copied to another background. For
frames of 16 pixels a box is one pixel, so it does not find shifts by a pixel.

Clips held out from training, which cannot be copies, define which distance is
small: a generated clip is a copy if its distance to the nearest training clip
is below that of 99 % of the held-out clips. So about 1 % of the clips of a
model that copies nothing are flagged.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.core import shapes


class Memorization(NamedTuple):
  """Result of the search for copies of training clips.

  Attributes:
    rate: Proportion of the samples that are copies.
    copied_n: Whether a sample is a copy, bool.
    nearest_n: Index of the training clip nearest to a sample, int.
    flipped_n: Whether that clip is nearest when mirrored left to right, bool.
    distance_n: Root mean square difference of the thumbnails of a sample and of
      that clip, in the unit of the clips' values.
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
  """Returns clips downsampled to `size` by means over boxes, float32.

  Args:
    video_bthwc: Clips.
    size: Frames, rows and columns of the result. An axis that is shorter stays
      as it is.
  """
  shapes.sizes('', video_bthwc=video_bthwc)
  out = np.asarray(video_bthwc, np.float32)
  for axis, length in enumerate(size, start=1):
    if length >= out.shape[axis]:
      continue
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

  A sample is a copy if its distance to the nearest training clip is below a
  threshold: the `quantile` of the same distances of the held-out clips.

  Args:
    sample_bthwc: Generated clips. All three sets have the same range of values;
      they may be `thumbnails` already, if full clips do not fit in memory.
    train_bthwc: All clips that the model was trained on.
    held_out_bthwc: Clips of the same dataset that are not in the training set,
      and do not come from the same raw videos as training clips.
    quantile: Proportion of the held-out clips below the threshold.
    size: Size of thumbnails, as in `thumbnails`.

  Raises:
    ValueError: If shapes differ, a set is empty or not finite, or there are too
      few held-out clips for the quantile.
  """
  _check(sample_bthwc, train_bthwc, held_out_bthwc)
  if not 0 < quantile < 1:
    raise ValueError(f'quantile is {quantile}; it must be between 0 and 1.')
  if len(held_out_bthwc) * quantile < 1:
    raise ValueError(
      f'There are {len(held_out_bthwc)} held-out clips; a quantile of'
      f' {quantile} needs {int(np.ceil(1 / quantile))} or more.'
    )
  train = thumbnails(train_bthwc, size)
  held_out_m, *_ = nearest(thumbnails(held_out_bthwc, size), train)
  threshold = float(np.quantile(held_out_m, quantile))
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


def data_copying_score(
  sample_bthwc: np.ndarray,
  train_bthwc: np.ndarray,
  held_out_bthwc: np.ndarray,
  *,
  num_cells: int = 1,
  min_clips: int = 20,
  size: tuple[int, int, int] = (8, 16, 16),
) -> float:
  """Returns C_T: whether samples are nearer to training than held-out clips.

  C_T is about normally distributed with mean 0 and a standard deviation of 1 or
  less if samples are as far from training clips as held-out clips are. Below -3
  the samples are copies; above 3 they are unlike the data. The score of a cell
  of the space is the z-score of the Mann-Whitney U statistic of the distances
  to the nearest training clip; C_T is the mean over cells, weighted by their
  numbers of held-out clips. With several cells, a model that generates too many
  clips in dense regions is not mistaken for one that copies.

  Meehan, Chaudhuri and Dasgupta, "A Non-Parametric Test to Detect Data-Copying
  in Generative Models", 2020, https://arxiv.org/abs/2004.05675. Unlike in the
  paper, a clip and its mirror image are always in the same cell and equally
  near, and the nearest clip may lie in another cell.

  Args:
    sample_bthwc: As in `copies`.
    train_bthwc: As in `copies`.
    held_out_bthwc: As in `copies`.
    num_cells: Number of cells, by k-means of the training clips.
    min_clips: Smallest number of samples, and of held-out clips, in a cell;
      cells with fewer are left out.
    size: As in `thumbnails`.

  Raises:
    ValueError: If shapes differ, a set is empty or not finite, or no cell has
      enough clips.
  """
  from scipy import stats

  _check(sample_bthwc, train_bthwc, held_out_bthwc)
  sample, train, held_out = (
    thumbnails(x, size) for x in (sample_bthwc, train_bthwc, held_out_bthwc)
  )
  sets = sample, held_out
  distances = [nearest(x, train)[0] for x in sets]
  cells = _cells(train, num_cells, sets)
  scores, weights = [], []
  for k in range(num_cells):
    sample_n, held_out_m = (
      d[c == k] for d, c in zip(distances, cells, strict=True)
    )
    n, m = len(sample_n), len(held_out_m)
    if min(n, m) >= min_clips:
      test = stats.mannwhitneyu(sample_n, held_out_m, method='asymptotic')
      deviation = np.sqrt(n * m * (n + m + 1) / 12)
      scores.append((test.statistic - n * m / 2) / deviation)
      weights.append(m)
  if not scores:
    raise ValueError(
      f'None of {num_cells} cells has {min_clips} samples and as many held-out'
      f' clips; there are {len(sample)} and {len(held_out)} in all. Use fewer'
      ' cells.'
    )
  return float(np.average(scores, weights=weights))


def nearest(
  query_bthwc: np.ndarray, index_bthwc: np.ndarray, *, block: int = 4096
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns the nearest clip to each of b clips.

  sklearn's NearestNeighbors would need a mirrored copy of the whole index, and
  its distances differ from these in the sixth digit.

  Args:
    query_bthwc: Clips to search for.
    index_bthwc: Clips to search among, as they are and mirrored left to right.
    block: Clips of the index to compare at a time; it bounds the memory.

  Returns:
    Root mean square differences to the nearest clips, float `[b]`; indices of
    the nearest clips, int `[b]`; and whether they are mirrored, bool `[b]`.
  """
  flat = lambda x: np.ascontiguousarray(x).reshape(len(x), -1)
  # Centred, because differences of large squares would lose precision.
  center_thwc = index_bthwc.mean(0, keepdims=True)
  query_nd = flat(query_bthwc - center_thwc)
  n, d = query_nd.shape
  best_n = np.full(n, np.inf)
  index_n, flipped_n = np.zeros(n, int), np.zeros(n, bool)
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
      index_n = np.where(better_n, start + found_n, index_n)
      flipped_n = np.where(better_n, flip, flipped_n)
  return np.sqrt(np.maximum(best_n, 0) / d), index_n, flipped_n


def _check(
  sample_bthwc: np.ndarray, train_bthwc: np.ndarray, held_out_bthwc: np.ndarray
) -> None:
  expected = train_bthwc.shape[1:]
  for name, x in (
    ('samples', sample_bthwc),
    ('held-out set', held_out_bthwc),
    ('training set', train_bthwc),
  ):
    if not len(x):
      raise ValueError(f'There are no clips in the {name}; give one or more.')
    # With NaN the distance of a copy would be NaN, and so never small.
    if not np.isfinite(x).all():
      raise ValueError(
        f'Clips in the {name} are not all finite; remove those with NaN or'
        ' infinite values.'
      )
    if x.shape[1:] != expected:
      raise ValueError(
        f'A clip of the {name} has shape {x.shape[1:]}, but one of the training'
        f' set {expected}; resize them to one shape.'
      )


def _cells(
  train_bthwc: np.ndarray, num_cells: int, sets: tuple[np.ndarray, ...]
) -> list[np.ndarray]:
  """Returns the cell of each clip of some sets, by k-means of training clips.

  The result is deterministic.
  """
  from sklearn import cluster

  if not 1 <= num_cells <= len(train_bthwc):
    raise ValueError(
      f'num_cells is {num_cells}; it must be from 1 to the number of training'
      f' clips, {len(train_bthwc)}.'
    )
  train_nd = _symmetric(train_bthwc)
  order_n = np.random.default_rng(0).permutation(len(train_nd))
  means = cluster.KMeans(
    num_cells, init=train_nd[order_n[:num_cells]], n_init=1, max_iter=10, tol=0
  )
  means.fit(train_nd)
  return [means.predict(_symmetric(x)) for x in sets]


def _symmetric(thumbnail_bthwc: np.ndarray) -> np.ndarray:
  """Returns features that are equal for a clip and its mirror image."""
  mirrored_bthwc = thumbnail_bthwc[:, :, :, ::-1]
  return (thumbnail_bthwc + mirrored_bthwc).reshape(len(thumbnail_bthwc), -1)

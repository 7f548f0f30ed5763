"""Frechet distance between two sets of features, accumulated in batches.

Fits a Gaussian to each set and gives the squared 2-Wasserstein distance of the
two (Dowson and Landau, "The Frechet distance between multivariate normal
distributions", 1982), as FID and FVD do with features of a network:

  |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))

Moments are accumulated on the devices, batch by batch and always centred,
because raw second moments in float32 lose all precision for features far from
0. The matrix square root is computed on the host in float64, because float32
is not precise enough.

The distance of finite sets is biased; see frechet_finite.py.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import shapes
from vgen_jax.core.types import Array


class Moments(NamedTuple):
  """Moments of the features so far; a pytree.

  Attributes:
    count: Number of rows, float32, exact up to 2^24.
    mean_d: Mean of the rows.
    scatter_de: Sum of outer products of deviations from the mean (d = e).
  """

  count: Array
  mean_d: Array
  scatter_de: Array


def empty(width: int) -> Moments:
  """Returns the moments of no rows of `width` numbers."""
  return Moments(jnp.zeros(()), jnp.zeros(width), jnp.zeros((width, width)))


def update(
  moments: Moments, features_bd: Array, mask_b: Array | None = None
) -> Moments:
  """Returns the moments with one more batch.

  Under jit, with a batch sharded over devices, the sums become all-reduces, so
  that the result equals that of one device.

  Args:
    moments: Moments of the rows before; `empty(d)` at first.
    features_bd: Rows to add.
    mask_b: Bool, False for padding rows of the last batch, which may contain
      any values, including NaN. None if all rows count.
  """
  b, _ = shapes.sizes('bd', features_bd=features_bd, mean_d=moments.mean_d)
  if mask_b is None:
    mask_b = jnp.ones(b, bool)
  shapes.sizes('', features_bd=features_bd, mask_b=mask_b)
  valid_bx = mask_b.astype(bool)[:, None]
  features_bd = jnp.where(valid_bx, features_bd.astype(jnp.float32), 0)
  count = jnp.sum(mask_b.astype(jnp.float32))
  mean_d = jnp.sum(features_bd, 0) / jnp.maximum(count, 1)
  centred_bd = jnp.where(valid_bx, features_bd - mean_d[None], 0)
  # Remove the rounding error of a mean far from 0.
  residual_d = jnp.sum(centred_bd, 0) / jnp.maximum(count, 1)
  centred_bd = jnp.where(valid_bx, centred_bd - residual_d[None], 0)
  # The default precision on accelerators is 8 to 11 bits, which is too low.
  scatter_de = jnp.einsum(
    'bd,be->de', centred_bd, centred_bd, precision=jax.lax.Precision.HIGHEST
  )
  return merge(moments, Moments(count, mean_d + residual_d, scatter_de))


def merge(a: Moments, b: Moments) -> Moments:
  """Returns the moments of the union of two sets.

  Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
  computing sample variances", 1979.
  """
  count = a.count + b.count
  fraction = b.count / jnp.maximum(count, 1)
  delta_d = b.mean_d - a.mean_d
  return Moments(
    count,
    a.mean_d + delta_d * fraction,
    a.scatter_de
    + b.scatter_de
    + jnp.outer(delta_d, delta_d) * (a.count * fraction),
  )


def of_features(features_nd: np.ndarray) -> Moments:
  """Returns moments in float64, on the host, of features that fit in memory."""
  features_nd = np.asarray(features_nd, np.float64)
  mean_d = features_nd.mean(0)
  centred_nd = features_nd - mean_d
  return Moments(
    np.float64(len(features_nd)), mean_d, centred_nd.T @ centred_nd
  )


def distance(a: Moments, b: Moments, *, ddof: int = 1) -> float:
  """Returns the Frechet distance, computed on the host in float64.

  Args:
    a: Moments of one set.
    b: Moments of the other set; the distance is symmetric.
    ddof: 1 divides scatters by n - 1, 0 by n. Papers differ, so report it.

  Raises:
    ValueError: If a set has `ddof` rows or fewer, the widths differ, or the
      features are not finite.
  """
  mean_a, cov_a = _gaussian(a, ddof)
  mean_b, cov_b = _gaussian(b, ddof)
  shapes.sizes('', mean_d=mean_a, other_d=mean_b)
  # With S_a = A A^T and S_b = B B^T, the trace of (S_a S_b)^(1/2) is the sum of
  # the singular values of A^T B. They are not computed as the square roots of
  # the eigenvalues of A^T S_b A, whose rounding errors would hide directions of
  # 1e-8 of the largest spread.
  product_dd = _root(cov_a).T @ _root(cov_b)
  overlap = np.linalg.svd(product_dd, compute_uv=False).sum()
  spread = np.trace(cov_a) + np.trace(cov_b) - 2 * overlap
  return float(np.sum((mean_a - mean_b) ** 2) + spread)


def distance_of_features(
  a_nd: np.ndarray, b_md: np.ndarray, *, ddof: int = 1
) -> float:
  """Returns the Frechet distance of features that fit in memory.

  If both sets have fewer rows than columns, the trace of (S_a S_b)^(1/2) is
  computed as the sum of the singular values of the [n, m] matrix of inner
  products of rows, which is smaller and has no noise from a singular
  covariance.

  Args:
    a_nd: One set, n rows.
    b_md: The other set, m rows.
    ddof: As in `distance`.

  Raises:
    ValueError: As does `distance`.
  """
  shapes.sizes('', a_nd=a_nd, b_md=b_md)
  if max(len(a_nd), len(b_md)) >= a_nd.shape[1]:
    return distance(of_features(a_nd), of_features(b_md), ddof=ddof)
  mean_a, a_nd = _scaled(a_nd, ddof)
  mean_b, b_md = _scaled(b_md, ddof)
  overlap = np.linalg.svd(a_nd @ b_md.T, compute_uv=False).sum()
  spread = np.sum(a_nd**2) + np.sum(b_md**2) - 2 * overlap
  return float(np.sum((mean_a - mean_b) ** 2) + spread)


def _check_count(count: int, ddof: int) -> None:
  """Raises ValueError if a set has too few rows for a covariance."""
  if count <= ddof:
    raise ValueError(
      f'A set has {count} rows; a covariance with ddof {ddof} needs {ddof + 1}'
      ' or more. Use more clips.'
    )


def _gaussian(moments: Moments, ddof: int) -> tuple[np.ndarray, np.ndarray]:
  count, mean_d, scatter_de = (np.asarray(x, np.float64) for x in moments)
  _check_count(int(count), ddof)
  _check_finite(mean_d, scatter_de)
  return mean_d, (scatter_de + scatter_de.T) / (2 * (count - ddof))


def _scaled(x_nd: np.ndarray, ddof: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns the mean, and rows whose scatter matrix is the covariance."""
  _check_count(len(x_nd), ddof)
  _check_finite(x_nd)
  x_nd = np.asarray(x_nd, np.float64)
  mean_d = x_nd.mean(0)
  return mean_d, (x_nd - mean_d) / np.sqrt(len(x_nd) - ddof)


def _root(cov_dd: np.ndarray) -> np.ndarray:
  """Returns a matrix A with A A^T equal to the covariance."""
  values_d, vectors_dd = np.linalg.eigh(cov_dd)
  # The square root would amplify noise of 1e-16 to 1e-8.
  noise = len(values_d) * np.finfo(np.float64).eps * np.abs(values_d).max()
  return vectors_dd * np.sqrt(np.where(values_d > noise, values_d, 0))


def _check_finite(*arrays: np.ndarray) -> None:
  if not all(np.isfinite(x).all() for x in arrays):
    raise ValueError(
      'Features are not all finite; check the clips and the network that'
      ' computed the features.'
    )

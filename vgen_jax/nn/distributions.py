"""Probability distributions that networks output.

Variables are independent. Logarithms are natural, so results are in nats.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array

_MAX_LOG_VARIANCE = 10.0


class Gaussian(NamedTuple):
  """Normal distributions.

  Attributes:
    mean: Means, of any shape `[b, ...]`.
    log_variance: Logarithms of the variances, of the same shape or one that
      broadcasts to it.
  """

  mean: Array
  log_variance: Array

  def sample(self, key_b: Array) -> Array:
    """Returns samples, differentiable with respect to mean and log-variance.

    Args:
      key_b: Random key of each clip.
    """
    return self.from_noise(random.normal(key_b, self.mean.shape[1:]))

  def from_noise(self, noise: Array) -> Array:
    """Returns mean + deviation * noise, for noise from N(0, 1)."""
    return self.mean + jnp.exp(self.log_variance / 2) * noise

  def log_prob(self, x: Array) -> Array:
    """Returns the log-density of each value."""
    square = jnp.square(x - self.mean) * jnp.exp(-self.log_variance)
    return -0.5 * (square + self.log_variance + math.log(2 * math.pi))

  def entropy(self) -> Array:
    """Returns the differential entropy of each variable, in nats."""
    return 0.5 * (self.log_variance + math.log(2 * math.pi * math.e))

  def divergence(self, other: 'Gaussian | None' = None) -> Array:
    """Returns KL(self || other) of each variable, in nats.

    Args:
      other: Normal distributions of shapes that broadcast to those of `self`;
        None for N(0, 1).
    """
    if other is None:
      other = Gaussian(jnp.zeros(()), jnp.zeros(()))
    log_ratio = self.log_variance - other.log_variance
    square = jnp.square(self.mean - other.mean) * jnp.exp(-other.log_variance)
    return 0.5 * (jnp.exp(log_ratio) + square - 1 - log_ratio)


def bounded_gaussian(mean: Array, log_variance: Array) -> Gaussian:
  """Returns normal distributions for the outputs of a network.

  Args:
    mean: Means.
    log_variance: Logarithms of the variances, which are clipped to [-10, 10]
      against overflow.
  """
  return Gaussian(
    mean, log_variance.clip(-_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE)
  )


def standard_normal(shape: tuple[int, ...]) -> Gaussian:
  """Returns N(0, 1) for each variable of an array of this shape."""
  return Gaussian(jnp.zeros(shape), jnp.zeros(shape))


class GaussianMixture(NamedTuple):
  """A mixture of multivariate normal distributions of d variables.

  Attributes:
    logit_k: Unnormalized logarithms of the probabilities of the components.
    mean_kd: Means of the components.
    whitening_kdd: Lower triangular matrix W of each component, with a positive
      diagonal. W (x - mean) has the covariance 1, so that of x is
      inverse(W^T W).
  """

  logit_k: Array
  mean_kd: Array
  whitening_kdd: Array

  def sample(self, key_b: Array, shape: tuple[int, ...]) -> Array:
    """Returns independent samples, `[b, *shape, d]`, one row per key."""
    pick = lambda key: jax.random.categorical(key, self.logit_k, shape=shape)
    index = jax.vmap(pick)(random.fold_in(key_b, 0))
    noise = random.normal(
      random.fold_in(key_b, 1), (*shape, self.mean_kd.shape[-1])
    )
    offset = jax.scipy.linalg.solve_triangular(
      self.whitening_kdd[index], noise[..., None], lower=True
    )
    return self.mean_kd[index] + offset[..., 0]

  def log_prob(self, x: Array) -> Array:
    """Returns the log-density of vectors.

    Args:
      x: Vectors, of any shape `[..., d]`.
    """
    x_nd = x.reshape(-1, x.shape[-1])
    # The default precision on accelerators is too low for narrow components.
    white_nkd = jnp.einsum(
      'kij,nkj->nki',
      self.whitening_kdd,
      x_nd[:, None] - self.mean_kd[None],
      precision='highest',
    )
    log_prob_nk = standard_normal(white_nkd.shape).log_prob(white_nkd).sum(-1)
    diagonal_kd = jnp.diagonal(self.whitening_kdd, axis1=1, axis2=2)
    weight_k = jax.nn.log_softmax(self.logit_k) + jnp.log(diagonal_kd).sum(-1)
    result_n = jax.nn.logsumexp(log_prob_nk + weight_k[None], axis=-1)
    return result_n.reshape(x.shape[:-1])


class Laplace(NamedTuple):
  """Laplace distributions: the density is exp(-|x - mean| / scale) / (2 scale).

  Attributes:
    mean: Means, of any shape `[b, ...]`.
    log_scale: Logarithms of the scales, of the same shape or a scalar. The
      scale is the mean absolute deviation.
  """

  mean: Array
  log_scale: Array

  def log_prob(self, x: Array) -> Array:
    """Returns the log-density of each value."""
    distance = jnp.abs(x - self.mean) * jnp.exp(-self.log_scale)
    return -distance - self.log_scale - math.log(2)


class DiscretizedLogistic(NamedTuple):
  """Logistic distributions, discretized to a number of levels.

  Levels are evenly spaced over [-1, 1]. The probability of a level is the
  integral of the density over the interval around it. The lowest level also
  gets the probability of all smaller values, and the highest level that of all
  larger values, so that probabilities sum to 1. As in Salimans et al.,
  "PixelCNN++", 2017, https://arxiv.org/abs/1701.05517, but with one logistic
  distribution instead of a mixture.

  Attributes:
    mean: Means, of any shape `[b, ...]`.
    log_scale: Logarithms of the scales, of the same shape or a scalar.
    num_levels: Number of levels; 256 for pixels that were uint8.
  """

  mean: Array
  log_scale: Array
  num_levels: int = 256

  def log_prob(self, x: Array) -> Array:
    """Returns the log-probability of the level that is nearest to each value.

    Args:
      x: Values in [-1, 1].
    """
    last = self.num_levels - 1
    level = jnp.rint((x + 1) / 2 * last)
    sharpness = jnp.exp(-self.log_scale)
    half = sharpness / last  # Half the distance between levels, in scales.
    center = (level * 2 / last - 1 - self.mean) * sharpness
    below = jax.nn.log_sigmoid(center + half)  # Log-CDF at the upper bound.
    above = jax.nn.log_sigmoid(half - center)  # log(1 - CDF) at the lower one.
    # sigmoid(p) - sigmoid(q) = sigmoid(p) sigmoid(-q) (1 - exp(q - p)).
    within = below + above + jnp.log(-jnp.expm1(-2 * half))
    return jnp.where(level == 0, below, jnp.where(level == last, above, within))

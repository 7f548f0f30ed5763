"""Distributions that networks give out, and what one asks of them.

Variables are independent. Logarithms are natural, so amounts are in nats.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array


class Gaussian(NamedTuple):
  """Normal variables.

  Attributes:
    mean: Of any shape `[b, ...]`.
    log_variance: Of the same shape, or one that it broadcasts.
  """

  mean: Array
  log_variance: Array

  def draw(self, key_b: Array) -> Array:
    """Draws by mean + deviation * noise, so that gradients reach both."""
    noise = random.normal(key_b, self.mean.shape[1:])
    return self.mean + jnp.exp(self.log_variance / 2) * noise

  def log_prob(self, x: Array) -> Array:
    """Returns the log-density of each value."""
    square = jnp.square(x - self.mean) * jnp.exp(-self.log_variance)
    return -0.5 * (square + self.log_variance + math.log(2 * math.pi))

  def divergence(self) -> Array:
    """Returns KL(self || N(0, 1)) of each variable, in nats."""
    return 0.5 * (
      jnp.exp(self.log_variance) + jnp.square(self.mean) - 1 - self.log_variance
    )


class Laplace(NamedTuple):
  """Variables whose log-density falls in straight lines from the mean.

  Attributes:
    mean: Of any shape `[b, ...]`.
    log_scale: Of the mean distance from it; of the same shape, or a scalar.
  """

  mean: Array
  log_scale: Array

  def log_prob(self, x: Array) -> Array:
    """Returns the log-density of each value."""
    distance = jnp.abs(x - self.mean) * jnp.exp(-self.log_scale)
    return -distance - self.log_scale - math.log(2)


class DiscretizedLogistic(NamedTuple):
  """Pixels of a few levels, each with what a logistic density has around it.

  Levels are evenly spread over [-1, 1]. The lowest one gets all that lies
  below, and the highest all above, so that probabilities sum to 1. As in
  Salimans et al., "PixelCNN++", 2017, https://arxiv.org/abs/1701.05517, but of
  one logistic alone.

  Attributes:
    mean: Of any shape `[b, ...]`.
    log_scale: Of the logistic; of the same shape, or a scalar.
    num_levels: 256 for pixels that were uint8.
  """

  mean: Array
  log_scale: Array
  num_levels: int = 256

  def log_prob(self, x: Array) -> Array:
    """Returns the log-probability of each value, taken for the nearest level.

    Args:
      x: Values in [-1, 1].
    """
    last = self.num_levels - 1
    level = jnp.rint((x + 1) / 2 * last)
    sharpness = jnp.exp(-self.log_scale)
    half = sharpness / last  # Half the distance between levels, in scales.
    centre = (level * 2 / last - 1 - self.mean) * sharpness
    below = jax.nn.log_sigmoid(centre + half)  # All up to the upper border.
    above = jax.nn.log_sigmoid(half - centre)  # All from the lower border on.
    # sigmoid(p) - sigmoid(q) = sigmoid(p) sigmoid(-q) (1 - exp(q - p)).
    within = below + above + jnp.log(-jnp.expm1(-2 * half))
    return jnp.where(level == 0, below, jnp.where(level == last, above, within))

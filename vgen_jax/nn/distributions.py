"""Distributions that networks give out, and what one asks of them."""

from typing import NamedTuple

import jax.numpy as jnp

from vgen_jax.nn import random
from vgen_jax.types import Array


class Gaussian(NamedTuple):
  """Independent normal variables; `log_variance` is natural.

  Attributes:
    mean: Of any shape `[b, ...]`.
    log_variance: Of the same shape.
  """

  mean: Array
  log_variance: Array

  def draw(self, key_b: Array) -> Array:
    """Draws by mean + deviation * noise, so that gradients reach both."""
    noise = random.normal(key_b, self.mean.shape[1:])
    return self.mean + jnp.exp(self.log_variance / 2) * noise

  def divergence(self) -> Array:
    """Returns KL(self || N(0, 1)) of each variable, in nats."""
    return 0.5 * (
      jnp.exp(self.log_variance) + jnp.square(self.mean) - 1 - self.log_variance
    )

"""Priors of continuous latents that are learned with an autoencoder."""

import abc
import math

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Positive
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import distributions

_MAX_LOG_SCALE = 5.0  # Scales are between exp(-5) and exp(5).
_SCALES = (0.01, 100.0)  # Allowed scales before training.


class Prior(nn.Module):
  """Base class of learned priors."""

  @abc.abstractmethod
  def __call__(self, width: int) -> distributions.GaussianMixture:
    """Returns the distribution of the `width` channels of a latent."""
    raise NotImplementedError


class Mixture(Prior):
  """A mixture of normal distributions, whose parameters are all learned.

  It suits clips that differ in discrete factors, such as a colour. The density
  of N(0, 1) has no gaps, so some of its samples lie between the latents of two
  colours, and are decoded to a colour that no clip has. A mixture is also a
  baseline in Tomczak and Welling, "VAE with a VampPrior", 2018,
  https://arxiv.org/abs/1705.07120.

  The channels of a latent may be correlated within a component. Latents at
  different positions are independent, so that each of them may have another
  component: this prior suits one latent per clip, with a few channels.

  Attributes:
    num_components: Number of normal distributions.
    spread: Standard deviation of the means of components before training, for
      each channel.
    scale: Standard deviation of each channel in a component before training,
      0.01 to 100. Scales stay between exp(-5) and exp(5).
  """

  num_components: Size = 128
  spread: Positive = 1.0
  scale: float = 0.5

  def __post_init__(self):
    super().__post_init__()
    checks.at_least('num_components', self.num_components, 1)
    checks.positive('spread', self.spread)
    checks.in_range('scale', self.scale, *_SCALES)

  @nn.compact
  def __call__(self, width: int) -> distributions.GaussianMixture:
    k, d = self.num_components, width
    mean_kd = self.param('mean', nn.initializers.normal(self.spread), (k, d))
    # The tangent bounds scales, with a gradient everywhere.
    start = math.atanh(math.log(self.scale) / _MAX_LOG_SCALE) * _MAX_LOG_SCALE
    raw_kd = self.param('log_scale', nn.initializers.constant(start), (k, d))
    log_scale_kd = _MAX_LOG_SCALE * jnp.tanh(raw_kd / _MAX_LOG_SCALE)
    lower_kdd = self.param('lower', nn.initializers.zeros, (k, d, d))
    logit_k = self.param('logit', nn.initializers.zeros, (k,))
    # W[i, j] is lower[i, j] / scale[i] for j < i, and W[i, i] is 1 / scale[i].
    unit_kdd = jnp.tril(lower_kdd, -1) + jnp.eye(d)[None]
    whitening_kdd = jnp.exp(-log_scale_kd)[..., None] * unit_kdd
    return distributions.GaussianMixture(
      *map(batch_sharding.gather, (logit_k, mean_kd, whitening_kdd))
    )

"""Likelihoods of clips given a decoder's output, for vae.py.

Each is a module `(decoded_bthwc, video_bthwc) -> log_prob_bthwc`, in nats, with
one scale for all pixels. The scale is fixed, or a learned parameter.
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import distributions


class _Likelihood(nn.Module):
  """The base class of likelihoods.

  Attributes:
    scale: Scale of the distribution around the decoder's output, in units of
      pixels in [-1, 1]; the initial value if it is learned.
    learned: Whether the scale is learned. It then balances reconstruction and
      divergence, as in Rybkin et al., "Simple and Effective VAE Training with
      Calibrated Decoders", 2020, https://arxiv.org/abs/2006.13202.
  """

  scale: float = 0.1
  learned: bool = False

  # Whether values are probabilities of 256 levels, and not densities.
  is_discrete = False

  def __post_init__(self):
    super().__post_init__()
    if self.scale <= 0:
      raise ValueError(
        f'scale is {self.scale}; the scale of {type(self).__name__} must be'
        ' positive, such as 0.1.'
      )

  @nn.compact
  def log_scale(self) -> Array:
    """Returns the logarithm of the scale, a scalar."""
    start = math.log(self.scale)
    if not self.learned:
      return jnp.asarray(start)
    return self.param('log_scale', nn.initializers.constant(start), ())


class Gaussian(_Likelihood):
  """A normal density, whose standard deviation is the scale.

  With scale 1 / sqrt(2), -log p is the squared error plus a constant.
  """

  def __call__(self, decoded_bthwc: Array, video_bthwc: Array) -> Array:
    return distributions.Gaussian(decoded_bthwc, 2 * self.log_scale()).log_prob(
      video_bthwc
    )


class Laplace(_Likelihood):
  """A Laplace density; -log p grows with the absolute error.

  It is therefore less sensitive to outliers than a normal density.
  """

  def __call__(self, decoded_bthwc: Array, video_bthwc: Array) -> Array:
    return distributions.Laplace(decoded_bthwc, self.log_scale()).log_prob(
      video_bthwc
    )


class DiscretizedLogistic(_Likelihood):
  """A logistic distribution, discretized to the 256 levels of a pixel."""

  is_discrete = True

  def __call__(self, decoded_bthwc: Array, video_bthwc: Array) -> Array:
    return distributions.DiscretizedLogistic(
      decoded_bthwc, self.log_scale()
    ).log_prob(video_bthwc)

"""How likely clips are around what a decoder says: data beside vae.py.

Each is a module `(decoded_bthwc, video_bthwc) -> log_prob_bthwc`, in nats, with
one scale for all pixels. The scale is fixed, or a parameter that learns.
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import distributions


class _Likelihood(nn.Module):
  """Fields of all likelihoods.

  Attributes:
    scale: Of pixels around the decoder's, which go from -1 to 1; if it learns,
      where it starts.
    learned: Whether it learns. It can balance the pixels and the divergence by
      itself, as in Rybkin et al., "Simple and Effective VAE Training with
      Calibrated Decoders", 2020, https://arxiv.org/abs/2006.13202.
  """

  scale: float = 0.1
  learned: bool = False

  # Whether values are pixels of 256 levels, and no densities.
  is_discrete = False

  def __post_init__(self):
    super().__post_init__()
    if self.scale <= 0:
      raise ValueError(f'scale is {self.scale}; it must be positive.')

  @nn.compact
  def log_scale(self) -> Array:
    """Returns the logarithm of the scale, a scalar."""
    start = math.log(self.scale)
    if not self.learned:
      return jnp.asarray(start)
    return self.param('log_scale', nn.initializers.constant(start), ())


class Gaussian(_Likelihood):
  """Normal pixels; with scale 1/sqrt(2), squared errors, but for a constant."""

  def __call__(self, decoded_bthwc: Array, video_bthwc: Array) -> Array:
    return distributions.Gaussian(decoded_bthwc, 2 * self.log_scale()).log_prob(
      video_bthwc
    )


class Laplace(_Likelihood):
  """Pixels at absolute distances, which blame outliers less."""

  def __call__(self, decoded_bthwc: Array, video_bthwc: Array) -> Array:
    return distributions.Laplace(decoded_bthwc, self.log_scale()).log_prob(
      video_bthwc
    )


class DiscretizedLogistic(_Likelihood):
  """Pixels of 256 levels, so that bits per pixel mean something."""

  is_discrete = True

  def __call__(self, decoded_bthwc: Array, video_bthwc: Array) -> Array:
    return distributions.DiscretizedLogistic(
      decoded_bthwc, self.log_scale()
    ).log_prob(video_bthwc)

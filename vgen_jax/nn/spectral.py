"""Spectral norm: layers whose kernels have a spectral norm of about 1."""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array


def apply(
  layer: nn.Module, x: Array, *, normed: bool = True, train: bool
) -> Array:
  """Returns `layer(x)` with the layer's kernels divided by their spectral norm.

  A kernel is treated as a matrix of its last axis (outputs) by all others. Its
  norm is estimated by one step of power iteration, from a vector in the
  collection 'batch_stats'; the estimate is never above the true norm. Biases
  are not changed. Call it in a compact method, once for each layer.

  Args:
    layer: An unbound layer, such as `conv.Conv3D(...)`.
    x: Input of the layer.
    normed: Whether to normalize; the parameters are the same without.
    train: Whether the vectors of the power iteration are updated.

  Reference: Miyato et al., "Spectral Normalization for Generative Adversarial
  Networks", 2018, https://arxiv.org/abs/1802.05957
  """
  if not normed:
    return layer(x)
  return nn.SpectralNorm(layer)(x, update_stats=train)


def norm(kernel: Array) -> Array:
  """Returns the exact spectral norm of a kernel, a scalar.

  The kernel is treated as a matrix, as in `apply`.
  """
  return jnp.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2)

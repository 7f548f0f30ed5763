"""Spectral norm: layers whose kernels have a top singular value of about 1."""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array


def apply(
  layer: nn.Module, x: Array, *, normed: bool = True, train: bool
) -> Array:
  """Returns `layer(x)`, the layer's kernels divided by their spectral norm.

  A kernel counts as the matrix of its last axis (outputs) by all others. Its
  norm is estimated by one step of power iteration, from a vector kept in the
  collection 'batch_stats'; the estimate is never above the true norm.
  Vectors move on only if `train`, so calls without it are functions of
  parameters and vectors; biases stay as they are. To be called in a compact
  method, once for each layer.

  Args:
    layer: A layer that is not bound yet, such as `conv.Conv3D(...)`.
    x: Its input.
    normed: False leaves the layer as it is, with the same parameters.
    train: Whether vectors move on.

  Reference: Miyato et al., "Spectral Normalization for Generative Adversarial
  Networks", 2018, https://arxiv.org/abs/1802.05957
  """
  if not normed:
    return layer(x)
  return nn.SpectralNorm(layer)(x, update_stats=train)


def norm(kernel: Array) -> Array:
  """Returns the true spectral norm of a kernel, as the matrix above."""
  return jnp.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2)

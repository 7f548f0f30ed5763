"""Projections of a critic's parameters that bound its Lipschitz constant.

A projection is applied after an update of the critic (`Update.constraint`), as
a Wasserstein critic needs. Penalties on gradients (lipschitz.py) and spectral
norm (nn/spectral.py) are alternatives.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array

KINDS = ('clip_weights', 'clip_singular_values')

# Least scale of batch norm, in standard deviations, as in TGAN.
_LEAST_SCALE = 0.01
_EPSILON = 1e-5  # Added to the variance by batch norm in Flax.

Tree = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Constraint:
  """A projection of parameters, as a function for `Update.constraint`.

  Attributes:
    kind: One of KINDS, the name of a function of this module.
    limit: Limit that the projection enforces, above 0.
    every: Period in steps: the projection is made in steps every - 1,
      2 * every - 1, ..., with steps numbered from 0.
  """

  kind: str
  limit: float
  every: int = 1

  def __post_init__(self):
    checks.one_of('model.constraint_kind', self.kind, KINDS)
    checks.at_least('model.constraint_every', self.every, 1)
    if not (math.isfinite(self.limit) and self.limit > 0):
      raise ValueError(
        f'model.constraint_limit is {self.limit}; it must be finite and above'
        ' 0.'
      )

  def __call__(self, params: Tree, stats: Tree, step: int | Array) -> Tree:
    """Returns the parameters of a player after its update in step `step`.

    Args:
      params: Tree of parameters.
      stats: Statistics of the player, {collection: tree}.
      step: Number of steps completed before this one.
    """
    batch_stats = stats.get('batch_stats', {})
    project = lambda params: _FUNCTIONS[self.kind](
      params, batch_stats, self.limit
    )
    if self.every == 1:
      return project(params)
    is_due = (step + 1) % self.every == 0
    return jax.lax.cond(is_due, project, lambda params: params, params)


def clip_weights(params: Tree, batch_stats: Tree, limit: float) -> Tree:
  """Returns parameters with every entry clipped to [-limit, limit].

  Args:
    params: Tree of parameters.
    batch_stats: Not used.
    limit: Largest absolute value; 0.01 in the paper.

  Reference: Arjovsky et al., "Wasserstein GAN", 2017,
  https://arxiv.org/abs/1701.07875, algorithm 1.
  """
  del batch_stats
  return jax.tree.map(lambda x: jnp.clip(x, -limit, limit), params)


def clip_singular_values(params: Tree, batch_stats: Tree, limit: float) -> Tree:
  """Returns parameters with the singular values of each kernel clipped.

  A kernel is treated as a matrix of its last axis (outputs) by all others. The
  scales of batch norm are clipped to between 0.01 and 1 times the running
  standard deviation, so that batch norm does not amplify either. Biases do not
  change.

  Args:
    params: Tree of parameters; kernels are leaves named 'kernel', with two axes
      or more.
    batch_stats: Running statistics of batch norm, with the same paths.
    limit: Largest singular value; 1 in the paper.

  Reference: Saito et al., "Temporal Generative Adversarial Nets with Singular
  Value Clipping", 2017, https://arxiv.org/abs/1611.06624
  """
  projected: dict[str, Any] = {}
  for name, value in params.items():
    stats = batch_stats.get(name, {})
    if isinstance(value, Mapping):
      projected[name] = clip_singular_values(value, stats, limit)
    elif name == 'kernel' and value.ndim > 1:
      projected[name] = _clip_kernel(value, limit)
    elif name == 'scale' and 'var' in batch_stats:
      deviation = jnp.sqrt(batch_stats['var'] + _EPSILON)
      projected[name] = jnp.clip(value, _LEAST_SCALE * deviation, deviation)
    else:
      projected[name] = value
  return projected


def _clip_kernel(kernel: Array, limit: float) -> Array:
  """Returns a kernel whose singular values are at most `limit`."""
  matrix = kernel.reshape(-1, kernel.shape[-1]).astype(jnp.float32)
  left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
  clipped = (left * jnp.minimum(values, limit)[None]) @ right
  return clipped.reshape(kernel.shape).astype(kernel.dtype)


_FUNCTIONS = {
  'clip_weights': clip_weights,
  'clip_singular_values': clip_singular_values,
}

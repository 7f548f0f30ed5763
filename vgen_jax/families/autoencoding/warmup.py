"""Warm-up of the weight of a divergence, also called KL annealing."""

import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch


def weight(
  final: float,
  batch: Batch,
  *,
  initial: float = 0.0,
  start: int = 0,
  num_steps: int = 0,
) -> Array:
  """Returns the weight of the divergence in this step, a scalar.

  The weight has its initial value until `start`, and then changes linearly to
  its final value. Outside of training, where batches have no 'step', it has
  the final value.

  Args:
    final: Weight after the change.
    batch: Batch that may have 'step', the number of completed steps, int32
      `[b]`, all equal.
    initial: Weight before the change.
    start: Step of the start of the change.
    num_steps: Number of steps of the change; 0 for a jump at `start`.
  """
  if 'step' not in batch or not (start or num_steps):
    return jnp.asarray(final)
  since = batch['step'][0] - start
  # A jump is a change within one step that ends at `start`.
  part = since / num_steps if num_steps else since + 1.0
  return initial + (final - initial) * jnp.clip(part, 0, 1)

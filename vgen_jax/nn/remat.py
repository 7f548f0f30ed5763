"""Rematerialization: what a layer keeps for its backward pass."""

from typing import Any

import flax.linen as nn
import jax

from vgen_jax.core import checks

_POLICIES = {
  'none': None,
  'full': 'nothing_saveable',
  'dots': 'dots_saveable',
  'weight_dots': 'dots_with_no_batch_dims_saveable',
}


def wrap(layer: type[nn.Module], policy: str, **kwargs: Any) -> type[nn.Module]:
  """Returns a layer class that recomputes values in the backward pass.

  The class uses less memory and more time; results and gradients are the same.

  Args:
    layer: Class of a layer; its parameters keep their names.
    policy: What to keep. 'none' keeps all values, so nothing is recomputed;
      'full' keeps only the inputs, 'dots' the results of matrix products, and
      'weight_dots' the results of matrix products with weights, which excludes
      the logits of attention.
    **kwargs: Further arguments of `nn.remat`.

  Raises:
    ValueError: If policy is unknown.
  """
  checks.one_of('remat', policy, _POLICIES)
  if policy == 'none':
    return layer
  return nn.remat(
    layer, policy=getattr(jax.checkpoint_policies, _POLICIES[policy]), **kwargs
  )

"""What a layer keeps for its backward pass, by the name of a policy."""

import difflib

import flax.linen as nn
import jax

_POLICIES = {
  'none': None,
  'full': 'nothing_saveable',
  'dots': 'dots_saveable',
  'weight_dots': 'dots_with_no_batch_dims_saveable',
}


def wrap(layer: type[nn.Module], policy: str, **kwargs) -> type[nn.Module]:
  """Returns a layer like `layer` that computes again what it did not keep.

  Results and gradients are the same; memory is traded for time.

  Args:
    layer: Class of a layer; its parameters keep their names.
    policy: 'none' keeps all, 'full' only the inputs, 'dots' the results of
      products, 'weight_dots' those of products with weights (so not the logits
      of attention).
    **kwargs: Further arguments of `nn.remat`.

  Raises:
    ValueError: If there is no such policy.
  """
  if policy not in _POLICIES:
    close = difflib.get_close_matches(policy, _POLICIES, n=1)
    hint = f' Did you mean {close[0]!r}?' if close else ''
    raise ValueError(
      f'remat is {policy!r}; it must be one of {tuple(_POLICIES)}.{hint}'
    )
  if policy == 'none':
    return layer
  return nn.remat(
    layer, policy=getattr(jax.checkpoint_policies, _POLICIES[policy]), **kwargs
  )

"""Turns a state dict of PyTorch into variables of linen.

Layers keep their names; what differs is what a layer calls its arrays, and the
order of a kernel's axes: PyTorch has the channels first.
"""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax
import numpy as np

_OF_BATCH_NORM = {
  'weight': ('params', 'scale'),
  'bias': ('params', 'bias'),
  'running_mean': ('batch_stats', 'mean'),
  'running_var': ('batch_stats', 'var'),
}


def variables(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Returns `{'params': ..., 'batch_stats': ...}`, float32.

  Args:
    arrays: By dotted names: kernels and biases of convolutions and dense
      layers, and what a batch norm has.
  """
  flat = {}
  for name, array in arrays.items():
    *path, leaf = name.split('.')
    if leaf == 'num_batches_tracked':
      continue
    place, new_leaf = _OF_BATCH_NORM.get(leaf, ('params', leaf))
    if array.ndim > 1:
      new_leaf = 'kernel'
      array = array.transpose(*range(2, array.ndim), 1, 0)
    flat[(place, *path, new_leaf)] = np.asarray(array, np.float32)
  return traverse_util.unflatten_dict(flat)


def fitting(network: nn.Module, found: Any, *args: Any) -> Any:
  """Returns variables, once they are sure to be all that a network has.

  Args:
    network: That they are of.
    found: As from `variables`.
    *args: Shapes of what the network is called with.

  Raises:
    ValueError: With names that are missing, too many, or of other shapes.
  """
  wanted = jax.eval_shape(network.init, jax.random.key(0), *args)
  there, needed = (
    {
      '/'.join(key): array.shape
      for key, array in traverse_util.flatten_dict(tree).items()
    }
    for tree in (found, wanted)
  )
  faults = [
    f'{name} is {there.get(name, "missing")}, but'
    f' {needed.get(name, "unknown")} in the network'
    for name in sorted({*there, *needed})
    if there.get(name) != needed.get(name)
  ]
  if faults:
    raise ValueError(
      f'{len(faults)} arrays do not fit {type(network).__name__}:'
      f' {"; ".join(faults[:4])}. The file is of another network.'
    )
  return found

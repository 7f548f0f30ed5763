"""Converts a state dict of PyTorch to variables of Flax linen.

Layers keep their names. The names of their arrays and the order of the axes of
kernels differ: PyTorch has the channels first.
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
    arrays: {dotted name: array}: kernels and biases of convolutions and dense
      layers, and the arrays of batch norms.
  """
  flat = {}
  for name, array in arrays.items():
    *path, leaf = name.split('.')
    if leaf == 'num_batches_tracked':
      continue
    collection, new_leaf = _OF_BATCH_NORM.get(leaf, ('params', leaf))
    if array.ndim > 1:
      new_leaf = 'kernel'
      array = array.transpose(*range(2, array.ndim), 1, 0)
    flat[(collection, *path, new_leaf)] = np.asarray(array, np.float32)
  return traverse_util.unflatten_dict(flat)


def check_variables(network: nn.Module, found: Any, *args: Any) -> Any:
  """Returns `found` unchanged if it has exactly the variables of a network.

  Args:
    network: Network.
    found: Variables as returned by `variables`.
    *args: Shapes of the arguments of the network.

  Raises:
    ValueError: If variables are missing, unknown or have other shapes; the
      message names them.
  """
  wanted = jax.eval_shape(network.init, jax.random.key(0), *args)
  given, needed = (
    {
      '/'.join(key): array.shape
      for key, array in traverse_util.flatten_dict(tree).items()
    }
    for tree in (found, wanted)
  )
  faults = [
    f'{name} is {given.get(name, "missing")}, but'
    f' {needed.get(name, "unknown")} in the network'
    for name in sorted({*given, *needed})
    if given.get(name) != needed.get(name)
  ]
  if faults:
    raise ValueError(
      f'{len(faults)} arrays do not fit {type(network).__name__}:'
      f' {"; ".join(faults[:4])}. The file belongs to another network; use one'
      f' with weights of {type(network).__name__}.'
    )
  return found

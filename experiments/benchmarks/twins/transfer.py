"""Parameters of Flax layers in the layout of PyTorch, without PyTorch.

A layer of Flax and its twin have the same name, so that trees correspond. The
kinds of layers are the keys of `KINDS`.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import numpy as np

_LSTM_GATES = 'ifgo'  # In the order of PyTorch.
_GRU_GATES = 'rzn'

Tree = Mapping[str, Any]


def check_fields(module: nn.Module, read: Iterable[str]) -> None:
  """Raises ValueError if a field that a twin does not read has been set.

  Args:
    module: Network or family of vgen_jax.
    read: Names of the fields that the twin reads, or that do not influence
      what is compared, such as initializers.
  """
  for field in dataclasses.fields(module):
    if field.name in (*read, 'parent', 'name') or not field.init:
      continue
    value = getattr(module, field.name)
    if value != field.default:
      raise ValueError(
        f'{field.name} of {type(module).__name__} is {value!r}; its twin in'
        f' PyTorch only has {field.default!r}.'
      )


def check_value(module: nn.Module, name: str, allowed: Iterable[Any]) -> Any:
  """Returns a field of a module; raises ValueError if its twin lacks it.

  Args:
    module: Network or family of vgen_jax.
    name: Name of the field.
    allowed: Values that the twin supports.
  """
  value = getattr(module, name)
  if value not in (allowed := tuple(allowed)):
    raise ValueError(
      f'{name} of {type(module).__name__} is {value!r}; its twin in PyTorch has'
      f' only {", ".join(map(repr, allowed))}.'
    )
  return value


def convolution(params: Tree, num_axes: int) -> dict[str, np.ndarray]:
  """Returns the weight `[o, i, ...]` and the bias of a convolution.

  Args:
    params: Kernel `[..., i, o]`, and a bias if there is one.
    num_axes: 3, or 2 for images. A kernel of one frame may become one of
      images.
  """
  kernel = _kernel(params, num_axes)
  weight = np.moveaxis(kernel, (-1, -2), (0, 1))
  return {'weight': weight, **_bias(params)}


def transposed(params: Tree, num_axes: int) -> dict[str, np.ndarray]:
  """Returns the weight `[i, o, ...]` and the bias of a transposed convolution.

  The kernel is reversed along all its sides: that of lax is correlated with the
  dilated input, that of PyTorch is placed at every pixel of the input.
  """
  kernel = np.flip(_kernel(params, num_axes), tuple(range(num_axes)))
  weight = np.moveaxis(kernel, (-2, -1), (0, 1))
  return {'weight': weight, **_bias(params)}


def dense(params: Tree) -> dict[str, np.ndarray]:
  """Returns the weight `[o, i]` and the bias of a dense layer."""
  return {'weight': np.asarray(params['kernel']).T, **_bias(params)}


def batch_norm(params: Tree) -> dict[str, np.ndarray]:
  """Returns the weight and the bias of batch norm."""
  return {'weight': np.asarray(params['scale']), **_bias(params)}


def gru(params: Tree) -> dict[str, np.ndarray]:
  """Returns the parameters of a GRU; biases that Flax lacks are 0."""
  zeros = np.zeros_like(np.asarray(params['hn']['bias']))
  return {
    'weight_ih_l0': _gates(params, 'i', _GRU_GATES),
    'weight_hh_l0': _gates(params, 'h', _GRU_GATES),
    'bias_ih_l0': _biases(params, 'i', _GRU_GATES),
    'bias_hh_l0': np.concatenate([zeros, zeros, params['hn']['bias']]),
  }


def lstm(params: Tree) -> dict[str, np.ndarray]:
  """Returns the parameters of an LSTM; the biases of inputs are 0."""
  bias = _biases(params, 'h', _LSTM_GATES)
  return {
    'weight_ih_l0': _gates(params, 'i', _LSTM_GATES),
    'weight_hh_l0': _gates(params, 'h', _LSTM_GATES),
    'bias_ih_l0': np.zeros_like(bias),
    'bias_hh_l0': bias,
  }


# {class of torch.nn: (conversion, number of vectors, each as long as the state,
# that PyTorch has in addition)}
KINDS: dict[str, tuple[Callable[[Tree], dict[str, np.ndarray]], int]] = {
  'Conv2d': (lambda params: convolution(params, 2), 0),
  'Conv3d': (lambda params: convolution(params, 3), 0),
  'ConvTranspose2d': (lambda params: transposed(params, 2), 0),
  'ConvTranspose3d': (lambda params: transposed(params, 3), 0),
  'Linear': (dense, 0),
  'BatchNorm2d': (batch_norm, 0),
  'BatchNorm3d': (batch_norm, 0),
  'GRU': (gru, 2),
  'LSTM': (lstm, 4),
}


def to_twin(params: Tree, twin: Any, path: str = '') -> dict[str, np.ndarray]:
  """Returns the parameters of a twin, {name: array}, with the values of Flax.

  Args:
    params: Parameters of the network of Flax.
    twin: `torch.nn.Module` with children of the same names.
    path: Prefix of the names.

  Raises:
    ValueError: If the names of layers differ.
  """
  kind = type(twin).__name__
  if kind in KINDS:
    arrays = KINDS[kind][0](params)
    return {f'{path}{name}': np.asarray(x) for name, x in arrays.items()}
  children = dict(twin.named_children())
  if set(children) != set(params):
    raise ValueError(
      f'The layers of the network at {path!r} are {sorted(params)}, and those'
      f' of its twin {sorted(children)}.'
    )
  found: dict[str, np.ndarray] = {}
  for name, child in children.items():
    found |= to_twin(params[name], child, f'{path}{name}.')
  return found


def additional(twin: Any) -> dict[str, int]:
  """Returns how many numbers layers have only in PyTorch, {layer: number}."""
  found = {}
  for name, layer in twin.named_modules():
    number = KINDS.get(type(layer).__name__, (None, 0))[1]
    if number:
      found[name] = number * layer.hidden_size
  return found


def _kernel(params: Tree, num_axes: int) -> np.ndarray:
  kernel = np.asarray(params['kernel'])
  if kernel.ndim == num_axes + 3 and len(kernel) == 1:
    kernel = kernel[0]
  if kernel.ndim != num_axes + 2:
    raise ValueError(
      f'A kernel has shape {kernel.shape}; it must have {num_axes + 2} axes.'
    )
  return kernel


def _bias(params: Tree) -> dict[str, np.ndarray]:
  return {'bias': np.asarray(params['bias'])} if 'bias' in params else {}


def _gates(params: Tree, source: str, gates: str) -> np.ndarray:
  return np.concatenate(
    [np.asarray(params[source + gate]['kernel']).T for gate in gates]
  )


def _biases(params: Tree, source: str, gates: str) -> np.ndarray:
  return np.concatenate([params[source + gate]['bias'] for gate in gates])

"""Unpickles tensors of PyTorch without PyTorch, and without running code.

A pickle may call any function by its name. The unpickler here only knows the
few names that tensors are made of, and refuses all others. It also refuses
tensors that reach outside their storage.
"""

import collections
from collections.abc import Callable
import pickle
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

_DTYPES = {
  'BFloat16Storage': ml_dtypes.bfloat16,
  'BoolStorage': np.bool_,
  'ByteStorage': np.uint8,
  'CharStorage': np.int8,
  'DoubleStorage': np.float64,
  'FloatStorage': np.float32,
  'HalfStorage': np.float16,
  'IntStorage': np.int32,
  'LongStorage': np.int64,
  'ShortStorage': np.int16,
}


class Sealed:
  """A value that a pickle can call or return, but not change."""

  __slots__ = ('value',)

  def __init__(self, value: Any):
    self.value = value

  def __call__(self, *args: Any) -> Any:
    return self.value(*args)

  def __setstate__(self, state: Any):
    raise pickle.UnpicklingError(
      'it would change a value that must not change.'
    )


class Unpickler(pickle.Unpickler):
  """Unpickler that only knows the names that tensors are made of."""

  def __init__(self, file: BinaryIO, load: Callable[..., Any] | None = None):
    """Initializes the unpickler.

    Args:
      file: File to read from.
      load: Function that returns the storage, as `Sealed`, for a dtype and the
        other parts of its persistent id. With None, storages are refused.
    """
    super().__init__(file)
    self._load = load

  def find_class(self, module: str, name: str) -> Any:
    if module in ('torch', 'torch.cuda') and name in _DTYPES:
      return Sealed(np.dtype(_DTYPES[name]))
    if module.split('.')[0] == '__torch__':
      return _Script
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if (module, name) in _NAMES:
      return Sealed(_NAMES[module, name])
    raise pickle.UnpicklingError(
      f'it refers to {module}.{name}, which is refused. Only tensors are read;'
      ' save a state dict.'
    )

  def persistent_load(self, pid: Any) -> Any:
    if self._load is None or pid[0] != 'storage':
      raise pickle.UnpicklingError(f'{pid!r} is not a storage of numbers.')
    _, dtype, *rest = pid
    return self._load(dtype.value, *rest)


class _Script(dict):
  """Attributes of a module of TorchScript, without its code."""

  def __setstate__(self, state: Any):
    self.update(state if isinstance(state, dict) else {})


def _tensor(
  storage: Sealed, offset: int, size: tuple, stride: tuple, *_: Any
) -> np.ndarray:
  """Returns a read-only view of a storage, after a check of its bounds.

  Storages are sealed, so that a tensor cannot be passed as a storage: its
  strides may claim more elements than there is memory.
  """
  storage = storage.value
  last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
  is_inside = min((offset, *size, *stride)) >= 0 and last < len(storage)
  if 0 not in size and not is_inside:
    raise ValueError(
      f'a tensor of size {size}, stride {stride} at {offset} reaches outside'
      f' its storage of {len(storage)} values.'
    )
  if 0 in size:
    return np.zeros(size, storage.dtype)
  strides = [step * storage.itemsize for step in stride]
  view = np.lib.stride_tricks.as_strided
  return view(storage[offset:], size, strides, writeable=False)


_first = lambda value, *_: value
_NAMES = {
  ('torch._utils', '_rebuild_parameter'): _first,
  ('torch._utils', '_rebuild_tensor'): _tensor,
  ('torch._utils', '_rebuild_tensor_v2'): _tensor,
  **{
    ('torch.jit._pickle', name): _first
    for name in (
      *('build_boollist', 'build_doublelist', 'build_intlist'),
      *('build_tensorlist', 'restore_type_tag'),
    )
  },
}

"""Unpickles tensors of PyTorch without PyTorch, and without running code.

A pickle may call any function by its name. The unpickler here only knows the
few names that tensors are made of, and refuses all others. It also refuses
tensors that reach outside their storage.

A few bytes can build a list of two references to a list of two references, and
so on: to compare, hash, print or list its content never ends. Values of a
pickle are therefore only hashed or printed after their types were checked. The
unpickler extends the one of the standard library that is written in Python,
because the one written in C hashes keys without a check, and allocates memory
for any index in a pickle.
"""

import collections
from collections.abc import Callable
import pickle
from typing import Any, BinaryIO, ClassVar

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
      'it would change a function, dtype or storage; save a state dict.'
    )


class Unpickler(pickle._Unpickler):
  """Unpickler that only knows the names that tensors are made of."""

  dispatch: ClassVar[dict] = dict(pickle._Unpickler.dispatch)

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
    if (module, name) in _NAMES:
      return Sealed(_NAMES[module, name])
    raise pickle.UnpicklingError(
      f'it refers to {module}.{name}, which is refused. Only tensors are read;'
      ' save a state dict.'
    )

  def persistent_load(self, pid: Any) -> Any:
    is_storage = (
      self._load is not None
      and type(pid) is tuple
      and len(pid) >= 5
      and type(pid[0]) is str
      and pid[0] == 'storage'
      and type(pid[1]) is Sealed
      and isinstance(pid[1].value, np.dtype)
      and type(pid[2]) in (str, int)
      and type(pid[4]) is int
    )
    if not is_storage or self._load is None:
      raise pickle.UnpicklingError('it has an invalid reference to a storage.')
    _, dtype, *rest = pid
    return self._load(dtype.value, *rest)

  def _check_keys(self) -> None:
    """Raises an error unless the keys on the stack are plain."""
    for key in self.stack[::2]:
      check_key(key)

  def load_setitem(self) -> None:
    check_key(self.stack[-2])
    super().load_setitem()

  def load_setitems(self) -> None:
    self._check_keys()
    super().load_setitems()

  def load_dict(self) -> None:
    self._check_keys()
    super().load_dict()

  def load_set(self) -> None:
    raise pickle.UnpicklingError('it has a set; save a state dict.')

  dispatch[pickle.SETITEM[0]] = load_setitem
  dispatch[pickle.SETITEMS[0]] = load_setitems
  dispatch[pickle.DICT[0]] = load_dict
  dispatch[pickle.ADDITEMS[0]] = load_set
  dispatch[pickle.FROZENSET[0]] = load_set


def check_key(key: Any) -> None:
  """Raises UnpicklingError unless a key can be hashed at once."""
  if type(key) not in (str, int, float, bool, bytes, type(None)):
    raise pickle.UnpicklingError(
      f'it has a key of type {type(key).__name__}; save a state dict, whose'
      ' keys are strings.'
    )


def _dict(items: Any = ()) -> collections.OrderedDict:
  if type(items) not in (list, tuple, dict, collections.OrderedDict):
    raise pickle.UnpicklingError('it has a dict whose items are not pairs.')
  pairs = items.items() if isinstance(items, dict) else items
  found = collections.OrderedDict()
  for pair in pairs:
    if type(pair) not in (list, tuple) or len(pair) != 2:
      raise pickle.UnpicklingError('it has a dict whose items are not pairs.')
    check_key(pair[0])
    found[pair[0]] = pair[1]
  return found


class _Script(dict):
  """Attributes of a module of TorchScript, without its code."""

  def __init__(self, *_: Any):
    super().__init__()

  def __setstate__(self, state: Any):
    self.update(state if isinstance(state, dict) else {})


def _tensor(
  storage: Sealed, offset: int, size: tuple, stride: tuple, *_: Any
) -> np.ndarray:
  """Returns a read-only view of a storage, after a check of its bounds.

  Offset, size and stride are in values, as in PyTorch.

  Storages are sealed, so that a tensor cannot be passed as a storage: its
  strides may claim more elements than there is memory.
  """
  if type(storage) is not Sealed or not isinstance(storage.value, np.ndarray):
    raise ValueError('a tensor has no storage.')
  storage = storage.value
  if type(size) is not tuple or type(stride) is not tuple or len(size) > 64:
    raise ValueError('the size or stride of a tensor is not a tuple.')
  if any(type(number) is not int for number in (offset, *size, *stride)):
    raise ValueError(
      'the offset, size or stride of a tensor is not of integers.'
    )
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
  ('collections', 'OrderedDict'): _dict,
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

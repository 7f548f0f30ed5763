"""Reads arrays out of files of PyTorch, without PyTorch and without running it.

Three formats: zip archives of `torch.save` (`.pt`), the format before those
(`.pth`), and TorchScript archives. All are pickles, and a pickle may call any
function by its name; here it gets the few names that tensors are made of, and
anything else is refused. A tensor that reaches outside its storage is refused
too. Size and hash of a file are checked before its first byte is parsed.
"""

import ast
import collections
from collections.abc import Callable, Iterable, Iterator
import dataclasses
import os
import pickle
import struct
from typing import Any, BinaryIO
import zipfile
import zlib

import ml_dtypes
import numpy as np

from vgen_jax.pretrained import identity

# What the format before zip archives begins with, and its version.
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY = 1001
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
# What reading a file that is broken, or made to do harm, ends in.
_FAULTS = (
  *(AttributeError, EOFError, LookupError, MemoryError, OverflowError),
  *(RuntimeError, SyntaxError, TypeError, ValueError, struct.error),
  *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error),
)
# By how much a zip archive may shrink what it holds: PyTorch packs code alone.
_MOST_PACKED = 100
# Where `torch.batch_norm` and its form in `torch.nn.functional` have their eps.
_PLACE_OF_EPS = 7


@dataclasses.dataclass(frozen=True)
class File:
  """What a file holds.

  Attributes:
    arrays: All tensors, by their dotted names; read-only. What else there is in
      a file, such as a number of epochs, is left out.
    sha256: Of the file.
    batch_norm_eps: What the batch norms in the code of a TorchScript archive
      add to variances; None for other files, which do not say it.
  """

  arrays: dict[str, np.ndarray]
  sha256: str
  batch_norm_eps: frozenset[float] | None


def read(
  path: str | os.PathLike, identities: Iterable[identity.Identity] | None = None
) -> File:
  """Returns the arrays of a file.

  Args:
    path: Of a zip archive, a legacy file or a TorchScript archive.
    identities: The files it may be; None reads a file of yours, of which
      nothing is known.

  Raises:
    identity.WrongFileError: If it is none of those; it was not parsed then.
    ValueError: If it is in no such format, holds anything but tensors and
      plain values, or a tensor reaches outside its storage.
  """
  # One handle for the hash and the arrays: they are of the same bytes.
  with open(path, 'rb') as file:
    found = identity.of(file)
    if identities is not None:
      identity.check(found, identities, path)
    try:
      file.seek(0)
      is_zip = file.read(4) == b'PK\3\4'
      file.seek(0)
      if is_zip:
        archive = zipfile.ZipFile(file)
        content = _read_zip(archive, found.size)
        eps = _batch_norm_eps(archive)
      else:
        content, eps = _read_legacy(file), None
      return File(dict(_flat(content)), found.sha256, eps)
    except _FAULTS as error:
      raise ValueError(f'{path} is no file of tensors: {error}') from error


class _Script(dict):
  """A module of TorchScript: its attributes, and nothing to run."""

  def __setstate__(self, state: Any):
    self.update(state if isinstance(state, dict) else {})


class _Sealed:
  """What a pickle may call, or hand back, but not change."""

  __slots__ = ('value',)

  def __init__(self, value: Any):
    self.value = value

  def __call__(self, *args: Any) -> Any:
    return self.value(*args)

  def __setstate__(self, state: Any):
    raise pickle.UnpicklingError('it changes what it was given.')


class _Unpickler(pickle.Unpickler):
  """Knows the names that tensors are made of, and no others."""

  def __init__(self, file: BinaryIO, load: Callable[..., Any] | None = None):
    super().__init__(file)
    self._load = load

  def find_class(self, module: str, name: str) -> Any:
    if module in ('torch', 'torch.cuda') and name in _DTYPES:
      return _Sealed(np.dtype(_DTYPES[name]))
    if module.split('.')[0] == '__torch__':
      return _Script
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if (module, name) in _NAMES:
      return _Sealed(_NAMES[module, name])
    raise pickle.UnpicklingError(
      f'it asks for {module}.{name}, which is refused. Only tensors are read;'
      ' save a state dict.'
    )

  def persistent_load(self, pid: Any) -> Any:
    if self._load is None or pid[0] != 'storage':
      raise pickle.UnpicklingError(f'{pid!r} is no storage of numbers.')
    _, dtype, *rest = pid
    return self._load(dtype.value, *rest)


def _read_zip(archive: zipfile.ZipFile, num_bytes: int) -> Any:
  """Returns the content of a zip archive, TorchScript or not."""
  size = sum(info.file_size for info in archive.infolist())
  if size > _MOST_PACKED * num_bytes:
    raise ValueError(f'its {num_bytes:,} bytes would unpack to {size:,}.')
  names = archive.namelist()
  roots = [n.removesuffix('data.pkl') for n in names if n.endswith('/data.pkl')]
  if len(roots) != 1:
    raise ValueError('it is a zip archive, but not one of PyTorch.')
  root = roots[0]
  if f'{root}byteorder' in names:
    _check_order(archive.read(f'{root}byteorder') == b'little')
  storages = {}

  def load(dtype, key, _, num_values):
    if key not in storages:
      info = archive.getinfo(f'{root}data/{key}')
      if info.file_size < num_values * dtype.itemsize:
        raise ValueError(f'storage {key} is shorter than it should be.')
      storages[key] = np.frombuffer(archive.read(info), dtype, num_values)
    return _Sealed(storages[key].view(dtype))

  with archive.open(f'{root}data.pkl') as file:
    return _Unpickler(file, load).load()


def _read_legacy(file: BinaryIO) -> Any:
  """Returns the content of a file from before zip archives.

  A pickle of tensors comes first, and the numbers after it: it is read twice,
  first to learn which storages there are.
  """
  if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _LEGACY:
    raise ValueError('it begins like no file of PyTorch.')
  _check_order(_Unpickler(file).load()['little_endian'])
  start, kinds, storages = file.tell(), {}, {}

  def load(dtype, key, _, num_values, view):
    kinds[key] = dtype
    if key not in storages:  # The first time; no memory is behind this.
      return _Sealed(np.broadcast_to(np.zeros((), dtype), (num_values,)))
    first, count = view[1:3] if view else (0, num_values)
    return _Sealed(storages[key][first : first + count])

  _Unpickler(file, load).load()
  for key in _Unpickler(file).load():
    (num_values,) = struct.unpack('<q', file.read(8))
    content = file.read(num_values * kinds[key].itemsize)
    storages[key] = np.frombuffer(content, kinds[key], num_values)
  file.seek(start)
  return _Unpickler(file, load).load()


def _check_order(is_little: bool) -> None:
  if not is_little:
    raise ValueError('its numbers are big-endian; save it anew elsewhere.')


def _tensor(
  storage: _Sealed, offset: int, size: tuple, stride: tuple, *_: Any
) -> np.ndarray:
  """Returns a view of a storage, once it is sure to lie within.

  Storages are sealed, so that no other tensor is taken for one: it may be
  longer than the memory behind it.
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


def _flat(content: Any, path: str = '') -> Iterator[tuple[str, np.ndarray]]:
  """Yields arrays under dotted names, out of nested dicts and lists."""
  if isinstance(content, np.ndarray):
    yield path, content
  elif isinstance(content, list | tuple):
    content = dict(enumerate(content))
  if isinstance(content, dict):
    for key, value in content.items():
      yield from _flat(value, f'{path}.{key}' if path else str(key))


def _batch_norm_eps(archive: zipfile.ZipFile) -> frozenset[float] | None:
  """Returns each eps that the code in an archive gives to a batch norm.

  The code is parsed, not run. None if there is no code.
  """
  names = [
    name
    for name in archive.namelist()
    if '/code/' in name and name.endswith('.py')
  ]
  found = set()
  for name in names:
    tree = ast.parse(archive.read(name).decode())
    # Functions are called by short names: _0 = __torch__...batch_norm.
    called = {
      ast.unparse(node.targets[0]): ast.unparse(node.value)
      for node in ast.walk(tree)
      if isinstance(node, ast.Assign)
    }
    for node in ast.walk(tree):
      if isinstance(node, ast.Call) and len(node.args) > _PLACE_OF_EPS:
        function = ast.unparse(node.func)
        function = called.get(function, function)
        eps = node.args[_PLACE_OF_EPS]
        is_literal = isinstance(eps, ast.Constant)
        if function.endswith('.batch_norm') and is_literal:
          found.add(float(eps.value))
  return frozenset(found) if names else None

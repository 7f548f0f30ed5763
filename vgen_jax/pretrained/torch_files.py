"""Reads arrays from files of PyTorch, without PyTorch.

There are three formats: zip archives of `torch.save` (`.pt`), the legacy format
(`.pth`), and TorchScript archives. All contain pickles; torch_pickle.py reads
them without running code. The size and the hash of a file are checked before
any of it is parsed.
"""

import ast
from collections.abc import Iterable
import dataclasses
import os
import pickle
import struct
from typing import Any, BinaryIO
import zipfile
import zlib

import numpy as np

from vgen_jax.pretrained import identity
from vgen_jax.pretrained import torch_pickle

# First pickles of the legacy format: magic number and version.
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY = 1001
# Exceptions from reading a file that is broken or malicious.
_FAULTS = (
  *(AttributeError, EOFError, LookupError, MemoryError, OverflowError),
  *(RuntimeError, SyntaxError, TypeError, ValueError, struct.error),
  *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error),
  *(EOFError, NotImplementedError, AssertionError),
)
# Largest compression ratio of a zip archive; PyTorch compresses only code.
_MAX_COMPRESSION = 100
# Index of the argument eps of `torch.batch_norm` and of the function of
# `torch.nn.functional`.
_EPS_ARGUMENT = 7
# Largest number of values in a file. Lists that share their content may have
# more values than there are atoms.
_MAX_VALUES = 10**5
_MAX_NAME = 2000  # Largest length of a dotted name, in characters.


@dataclasses.dataclass(frozen=True)
class File:
  """Content of a file.

  Attributes:
    arrays: All tensors by their dotted names; read-only. Other values, such as
      a number of epochs, are ignored.
    sha256: Hash of the file.
    batch_norm_eps: All numbers that the code of a TorchScript archive adds to
      variances in batch norms; None for other files, which have no code.
  """

  arrays: dict[str, np.ndarray]
  sha256: str
  batch_norm_eps: frozenset[float] | None


def read(
  path: str | os.PathLike, identities: Iterable[identity.Identity] | None = None
) -> File:
  """Returns the arrays of a file.

  Args:
    path: Path of a zip archive, a legacy file or a TorchScript archive.
    identities: Identities of the files that it may be; None reads any file.

  Raises:
    FileNotFoundError: If there is no file at the path.
    identity.WrongFileError: If the file has none of the identities; then it was
      not parsed.
    ValueError: If the file has another format, contains anything but tensors
      and plain values, or a tensor reaches outside its storage.
  """
  # One handle for the hash and the arrays, so that both are of the same bytes.
  if not os.path.isfile(path):  # A pipe would never end.
    raise FileNotFoundError(
      f'{path} is not a file; give the path of a file that PyTorch has saved.'
    )
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
      return File(_flat(content), found.sha256, eps)
    except _FAULTS as error:
      reason = str(error) or type(error).__name__
      raise ValueError(
        f'{path} is not a file of tensors, as torch.save or torch.jit.save'
        f' writes it: {reason}'
      ) from error


def _read_zip(archive: zipfile.ZipFile, num_bytes: int) -> Any:
  """Returns the content of a zip archive, with or without TorchScript."""
  size = sum(info.file_size for info in archive.infolist())
  if size > _MAX_COMPRESSION * num_bytes:
    raise ValueError(
      f'its {num_bytes:,} bytes would unpack to {size:,}, and at most'
      f' {_MAX_COMPRESSION} times its size is allowed.'
    )
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
    return torch_pickle.Sealed(storages[key].view(dtype))

  with archive.open(f'{root}data.pkl') as file:
    return torch_pickle.Unpickler(file, load).load()


def _read_legacy(file: BinaryIO) -> Any:
  """Returns the content of a file in the legacy format.

  A pickle of tensors comes first, and the values of the tensors after it. The
  pickle is read twice, the first time to find the storages.
  """
  unpickle = lambda load=None: torch_pickle.Unpickler(file, load).load()
  for number in (_MAGIC, _LEGACY):
    value = unpickle()
    if type(value) is not int or value != number:
      raise ValueError('it does not begin like a file of PyTorch.')
  _check_order(unpickle()['little_endian'] is True)
  start, kinds, storages = file.tell(), {}, {}

  def load(dtype, key, _, num_values, view):
    kinds[key] = dtype
    if key not in storages:  # The first time: a placeholder without memory.
      placeholder = np.broadcast_to(np.zeros((), dtype), (num_values,))
      return torch_pickle.Sealed(placeholder)
    first, count = view[1:3] if view else (0, num_values)
    return torch_pickle.Sealed(storages[key][first : first + count])

  unpickle(load)
  keys = unpickle()
  if type(keys) is not list or any(type(key) not in (str, int) for key in keys):
    raise ValueError('it has no list of storages.')
  for key in keys:
    if key not in kinds:
      raise ValueError('it lists a storage that no tensor has.')
    (num_values,) = struct.unpack('<q', file.read(8))
    content = file.read(num_values * kinds[key].itemsize)
    storages[key] = np.frombuffer(content, kinds[key], num_values)
  file.seek(start)
  return unpickle(load)


def _check_order(is_little: bool) -> None:
  if not is_little:
    raise ValueError(
      'its numbers are big-endian; save it on a little-endian machine.'
    )


def _flat(content: Any) -> dict[str, np.ndarray]:
  """Returns {dotted name: array} of all arrays in nested dicts and lists."""
  arrays, waiting, num_values = {}, [('', content)], 0
  while waiting:
    path, value = waiting.pop()
    num_values += 1
    if num_values > _MAX_VALUES:
      raise ValueError(f'it has more than {_MAX_VALUES:,} values.')
    if isinstance(value, np.ndarray):
      arrays[path] = value
    elif isinstance(value, list | tuple):
      value = dict(enumerate(value))
    if isinstance(value, dict):
      if len(path) > _MAX_NAME:
        raise ValueError(
          f'a name of a value has more than {_MAX_NAME} characters.'
        )
      parts = [(f'{path}.{k}' if path else str(k), x) for k, x in value.items()]
      waiting.extend(reversed(parts))
  return arrays


def _batch_norm_eps(archive: zipfile.ZipFile) -> frozenset[float] | None:
  """Returns each eps that the code in an archive passes to a batch norm.

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
    # Functions have short names: _0 = __torch__...batch_norm.
    called = {
      ast.unparse(node.targets[0]): ast.unparse(node.value)
      for node in ast.walk(tree)
      if isinstance(node, ast.Assign)
    }
    for node in ast.walk(tree):
      if isinstance(node, ast.Call) and len(node.args) > _EPS_ARGUMENT:
        function = ast.unparse(node.func)
        function = called.get(function, function)
        eps = node.args[_EPS_ARGUMENT]
        is_literal = isinstance(eps, ast.Constant)
        if function.endswith('.batch_norm') and is_literal:
          found.add(float(eps.value))
  return frozenset(found) if names else None

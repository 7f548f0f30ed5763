"""Comparison of the inputs of all processes of one job.

Each process of a pod computes its part of every step. With another config,
other data or other code in one of them, replicas would differ, or processes
would wait for each other forever, without an error.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import importlib.metadata
import json
import pathlib
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np

from vgen_jax.core import digests
from vgen_jax.data import identity
from vgen_jax.data import pipeline

_PACKAGES = ('av', 'flax', 'jax', 'jaxlib', 'numpy', 'optax')
# Options of JAX that change the numbers of a program.
_OPTIONS = (
  'jax_default_matmul_precision',
  'jax_default_prng_impl',
  'jax_enable_x64',
  'jax_numpy_dtype_promotion',
  'jax_threefry_partitionable',
)
_NUM_NAMED = 5  # Further fields in a message.
_NUM_FILES = 32  # Files of which a part of the content is compared.
_BLOCK = 1 << 16  # Bytes of each of three blocks of such a file.


class DisagreementError(ValueError):
  """Processes of one job were started with different inputs."""


def check(values: Mapping[str, Any]) -> None:
  """Raises an error unless all processes have the same values.

  The code of vgen_jax, the versions of packages and the options of JAX are
  compared, too. All processes must call this at the same point of the program,
  and all of them raise the error. With one process nothing is compared.

  Args:
    values: Values that must be the same, as nested dicts of plain values.

  Raises:
    DisagreementError: If a value differs; the message names the field.
  """
  if jax.process_count() == 1:
    return
  # The text of an object may have its address, which differs.
  kind = lambda x: getattr(x, '__qualname__', type(x).__qualname__)
  own = json.dumps({**_environment(), **values}, default=kind)
  message = disagreement([json.loads(text) for text in _gathered(own)])
  if message:
    raise DisagreementError(message)


def check_data(source: Callable[[], pipeline.Source], name: str) -> None:
  """Raises an error unless all processes have the same data.

  The names and sizes of all files, the contents of tables, and parts of the
  contents of some other files are compared. Modification times may differ,
  because hosts may have copies.

  Args:
    source: Function that returns the source. It is called only if there are
      several processes, since it may have to open the data.
    name: Name of the data in the message, such as 'data'.

  Raises:
    DisagreementError: If the data differ.
  """
  if jax.process_count() == 1:
    return
  opened = source()
  found = identity.of(opened)
  check(
    {
      f'{name}.code': found.code,
      f'{name}.num_clips': found.num_clips,
      f'{name}.num_files': found.num_files,
      f'{name}.names_and_sizes_of_files': found.content,
      f'{name}.contents_of_files': content(getattr(opened, 'files', dict)()),
    }
  )


def content(files: Mapping[str, pathlib.Path]) -> str:
  """Returns a digest of parts of some files.

  At most 32 files are read, evenly spaced by name, and of each of them the
  first, the middle and the last 64 KiB.

  Args:
    files: Files by name. A file that does not exist is left out.
  """
  names = sorted(files)
  chosen = np.linspace(0, len(names) - 1, min(len(names), _NUM_FILES))
  parts = []
  for name in (names[int(i)] for i in chosen):
    path = pathlib.Path(files[name])
    if not path.is_file():
      continue
    with path.open('rb') as opened:
      size = path.stat().st_size
      for start in (0, size // 2, max(size - _BLOCK, 0)):
        opened.seek(start)
        parts.append(digests.text(opened.read(_BLOCK).hex()))
  return digests.text(' '.join(parts))


def disagreement(processes: Sequence[Any]) -> str:
  """Returns which field differs between processes, as an error; '' if none.

  Args:
    processes: Values of each process, as nested dicts of plain JSON values.
  """
  first, *others = processes
  for i, other in enumerate(others, 1):
    differing = list(_differences(first, other, ''))
    if differing:
      (path, one, two), *rest = differing
      names = [name for name, _, _ in rest[:_NUM_NAMED]]
      names += ['...'] if rest[_NUM_NAMED:] else []
      return (
        f'{path} is {one!r} in process 0, but {two!r} in process {i} of this'
        ' job. Start all processes with the same command, config, data and'
        ' versions of packages.'
        + (f' Other fields that differ: {", ".join(names)}.' if names else '')
      )
  return ''


class _Absent:
  """Stands for the value of a field that a process does not have."""

  def __repr__(self) -> str:
    return 'not set'


_ABSENT = _Absent()


def _differences(
  one: Any, two: Any, path: str
) -> Iterator[tuple[str, Any, Any]]:
  """Yields the path and both values of each field that differs."""
  if isinstance(one, Mapping) and isinstance(two, Mapping):
    for key in {**one, **two}:
      values = one.get(key, _ABSENT), two.get(key, _ABSENT)
      yield from _differences(*values, f'{path}.{key}' if path else key)
  elif repr(one) != repr(two):  # NaN is equal to itself here, unlike with `!=`.
    yield path, one, two


def _environment() -> dict[str, Any]:
  """Returns the inputs of a computation other than the values of `check`."""
  versions = {}
  for name in _PACKAGES:
    try:
      versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      versions[name] = None
  options = {name: getattr(jax.config, name, None) for name in _OPTIONS}
  return {'code of vgen_jax': digests.code(), 'version': versions} | options


def _gathered(own: str) -> list[str]:
  """Returns a text of each process."""
  bytes_n = np.frombuffer(own.encode(), np.uint8)
  size_p = multihost_utils.process_allgather(np.int32(len(bytes_n)))
  padded_n = np.zeros(int(np.max(size_p)), np.uint8)
  padded_n[: len(bytes_n)] = bytes_n
  rows_pn = np.asarray(multihost_utils.process_allgather(padded_n))
  return [
    row[:size].tobytes().decode()
    for row, size in zip(rows_pn, np.asarray(size_p), strict=True)
  ]

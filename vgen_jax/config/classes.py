"""Finds the classes that specs name, in this package and in other packages."""

import ast
from collections.abc import Mapping
import contextlib
import importlib
import importlib.util
import inspect
import pathlib
import pkgutil
from typing import Any

import flax.linen as nn

from vgen_jax.core import checks
from vgen_jax.core import digests

ROOT = 'vgen_jax'
MODEL_PACKAGES = ('families', 'models', 'nn', 'pretrained')
DATA_PACKAGES = ('data', 'synthetic')


def resolve(packages: tuple[str, ...], name: str, path: str) -> type:
  """Returns the class of a spec.

  Args:
    packages: Names of the sub-packages of vgen_jax in which it may be.
    name: Path of the class, 'package.file.Class'.
    path: Path of the spec in the config, for errors.

  Raises:
    ValueError: If there is no such class, it is not allowed, or it is a base
      class that lacks methods.
  """
  found = _resolve(packages, name, path)
  if getattr(found, '_is_protocol', False):
    raise ValueError(
      f'{path}.name is {name!r}; this is a protocol. Name a class that has its'
      ' methods.'
    )
  if missing := _missing(found):
    names = ', '.join(_derived(packages, found))
    raise ValueError(
      f'{path}.name is {name!r}; this is a base class, which does not define'
      f' {", ".join(missing)}. Name a class that is derived from it'
      f'{names and ": "}{names}.'
    )
  return found


def _resolve(packages: tuple[str, ...], name: str, path: str) -> type:
  """Returns the class of a spec, as `resolve`, or a base class."""
  *files, cls = name.split('.')
  if not files or files[0] not in packages:
    return _external(packages, name, path)
  module_name = ROOT
  for file in files:
    known = _files(module_name)
    if file not in known:
      raise ValueError(
        f'{path}.name is {name!r}: there is no file {file!r} in'
        f' {module_name}.{checks.hint(file, known)}'
      )
    module_name = f'{module_name}.{file}'
  return _class(module_name, cls, path, name)


def code_of_others(specs: Any) -> dict[str, str]:
  """Returns digests of the files of classes outside the package.

  What a class computes depends on its code, so results that are stored, and
  processes that must be equal, have these digests as a part of their identity.

  Args:
    specs: Nested dicts and lists with specs, {'name': 'package.file.Class'}.

  Returns:
    {'package.file': digest of the file}; {} if all classes are in the package.
  """
  if isinstance(specs, list | tuple):
    parts = [code_of_others(x) for x in specs]
    return {name: digest for part in parts for name, digest in part.items()}
  if not isinstance(specs, Mapping):
    return {}
  found = code_of_others(list(specs.values()))
  name = specs.get('name')
  file = _external_file(name) if isinstance(name, str) else None
  return (
    found | {name.rpartition('.')[0]: digests.file(file)} if file else found
  )


def _external_file(name: str) -> pathlib.Path | None:
  """Returns the Python file of a class outside the package, if it exists.

  The file is not imported, only the packages that it is in.
  """
  *files, cls = name.split('.')
  if (
    not files
    or not all(part.isidentifier() for part in (*files, cls))
    or files[0] in (ROOT, *MODEL_PACKAGES, *DATA_PACKAGES)
  ):
    return None
  try:
    found = importlib.util.find_spec('.'.join(files))
  except (ImportError, ValueError):  # The first of the files does not exist.
    return None
  if found is None or not found.has_location or not found.origin:
    return None
  file = pathlib.Path(found.origin)
  return file if file.suffix == '.py' and file.is_file() else None


def _external(packages: tuple[str, ...], name: str, path: str) -> type:
  """Returns a network or a subclass of a class of vgen_jax in another package.

  Other classes are refused, because their constructors might do anything and a
  config.json may come from another person. For the same reason, the module is
  imported only if its file defines a class of that name.
  """
  module_name, _, cls = name.rpartition('.')
  file = _external_file(name)
  if file is None:
    raise ValueError(
      f"{path}.name is {name!r}; it must be 'package.file.Class', where the"
      f' package is one of {list(packages)} or one that Python finds: install'
      ' it, or add its folder to PYTHONPATH.'
      f'{_with_package(packages, name)}'
    )
  try:
    nodes = ast.walk(ast.parse(file.read_bytes()))
  except (SyntaxError, ValueError) as error:
    raise ValueError(
      f'{path}.name is {name!r}: {file} is not valid Python: {error}.'
    ) from error
  classes = [node.name for node in nodes if isinstance(node, ast.ClassDef)]
  if cls not in classes:
    raise ValueError(
      f'{path}.name is {name!r}: there is no class {cls!r} in'
      f' {module_name}.{checks.hint(cls, classes)}'
    )
  found = _class(module_name, cls, path, name)
  if not any(
    base is nn.Module or base.__module__.startswith(f'{ROOT}.')
    for base in found.__mro__
  ):
    raise ValueError(
      f'{path}.name is {name!r}; a class outside {ROOT} must derive from'
      f' flax.linen.Module or from a class of {ROOT}.'
    )
  return found


def _class(module_name: str, cls: str, path: str, name: str) -> type:
  """Returns a public class of a module, after importing the module.

  Raises:
    ValueError: If the import fails, or the module defines no such class.
  """
  try:
    module = importlib.import_module(module_name)
  except ImportError as error:
    raise ValueError(
      f'{path}.name is {name!r}: the import of {module_name} fails: {error}.'
    ) from error
  classes = [
    name
    for name, value in inspect.getmembers(module, inspect.isclass)
    if value.__module__ == module.__name__  # Not imported from elsewhere.
    and not name.startswith('_')
  ]
  if cls not in classes:
    raise ValueError(
      f'{path}.name is {name!r}: there is no class {cls!r} in'
      f' {module_name}.{checks.hint(cls, classes or _files(module_name))}'
    )
  return getattr(module, cls)


def _missing(cls: type) -> list[str]:
  """Returns the methods that a class must define and does not."""
  of_class = lambda name: inspect.getattr_static(cls, name)
  is_missing = lambda name: getattr(
    of_class(name), '__isabstractmethod__', False
  )
  return sorted(filter(is_missing, dir(cls)))


def _derived(packages: tuple[str, ...], base: type) -> list[str]:
  """Returns the paths of the classes of the package that are of a base class.

  All files are imported, as a class is known only then.
  """
  for package in packages:
    paths = importlib.import_module(f'{ROOT}.{package}').__path__
    for module in pkgutil.walk_packages(paths, f'{ROOT}.{package}.'):
      with contextlib.suppress(ImportError):  # A package that is not installed.
        importlib.import_module(module.name)
  found, rest = set(), base.__subclasses__()
  while rest:
    cls = rest.pop()
    rest += cls.__subclasses__()
    path = f'{cls.__module__}.{cls.__name__}'
    is_public = path.startswith(f'{ROOT}.') and not cls.__name__.startswith('_')
    if is_public and not _missing(cls):
      found.add(path.removeprefix(f'{ROOT}.'))
  return sorted(found)


def _files(package: str) -> list[str]:
  paths = getattr(importlib.import_module(package), '__path__', ())
  return [module.name for module in pkgutil.iter_modules(paths)]


def _with_package(packages: tuple[str, ...], name: str) -> str:
  """Returns ' Did you mean ...?' for the path of a file in the wrong form."""
  name = name.removeprefix(f'{ROOT}.')
  if name.partition('.')[0] in packages:
    return f' Did you mean {name}?'
  for package in packages:
    paths = importlib.import_module(f'{ROOT}.{package}').__path__
    for module in pkgutil.walk_packages(paths, f'{package}.'):
      first, _, rest = name.partition('.')
      if module.name.rpartition('.')[2] == first:
        return f' Did you mean {module.name}.{rest}?'
  return ''

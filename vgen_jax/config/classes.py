"""Finds the classes that specs name, in this package and in other packages."""

import importlib
import importlib.util
import inspect
import pkgutil

import flax.linen as nn

from vgen_jax.core import checks

ROOT = 'vgen_jax'
MODEL_PACKAGES = ('families', 'models', 'nn', 'pretrained')
DATA_PACKAGES = ('data', 'synthetic')


def resolve(packages: tuple[str, ...], name: str, path: str) -> type:
  """Returns the class at the path `name`, 'package.file.Class'."""
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


def _external(packages: tuple[str, ...], name: str, path: str) -> type:
  """Returns a network or a subclass of a class of vgen_jax in another package.

  Other classes are refused, because their constructors might do anything and a
  config.json may come from another person.
  """
  *files, cls = name.split('.')
  known = (ROOT, *MODEL_PACKAGES, *DATA_PACKAGES)
  module_name = '.'.join(files)
  try:
    is_found = (
      bool(files)
      and all(part.isidentifier() for part in (*files, cls))
      and files[0] not in known
      and importlib.util.find_spec(module_name) is not None
    )
  except ImportError:  # The first of the files does not exist.
    is_found = False
  if not is_found:
    raise ValueError(
      f"{path}.name is {name!r}; it must be 'package.file.Class', where the"
      f' package is one of {list(packages)} or one that Python finds: install'
      ' it, or add its folder to PYTHONPATH.'
      f'{_with_package(packages, name)}'
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

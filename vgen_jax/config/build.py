"""Functions that build the objects described by the specs of a config.

A spec is a dict of a 'name', the path of a class within vgen_jax, and keyword
arguments of that class: `{'name': 'models.dit.VideoDiT', 'width': 64}` stands
for `vgen_jax.models.dit.VideoDiT(width=64)`. There is no registry: the name is
the path of the file. A class outside the package is named in the same way,
'mypkg.mynet.MyNet', if Python finds the module `mypkg` and the class derives
from `flax.linen.Module` or from a class of vgen_jax.

If a class has a parameter `clip_shape`, or one with the name of a size in
core/modalities.py (`num_classes`, `vocab_size`, ...), and its spec does not set
it, it is set from the data.
"""

from collections.abc import Mapping
import importlib
import importlib.util
import inspect
import pkgutil
from typing import Any

import flax.linen as nn

from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.core import modalities
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema

_ROOT = 'vgen_jax'
_MODEL_PACKAGES = ('families', 'models', 'nn', 'pretrained')
_DATA_PACKAGES = ('data', 'synthetic')


def model(spec: Mapping[str, Any], schema: Schema) -> Any:
  """Returns the family that `spec` describes, with its networks.

  Args:
    spec: Spec of the family, as in `config.model`.
    schema: Shapes and sizes of the clips that the model is for.

  Raises:
    ValueError: If a name or an argument does not exist, or a required argument
      is missing.
  """
  sizes = modalities.sizes(schema)
  _check_sizes(spec, sizes, 'config.model')
  context = {
    'clip_shape': tuple(schema.clip_shape),
    **{name: spec.get(name, size) for name, size in sizes.items()},
  }
  return _build(_MODEL_PACKAGES, spec, context, 'config.model')


def source(spec: Mapping[str, Any], clip_shape: ClipShape, **context) -> Any:
  """Returns the source of clips that `spec` describes.

  Args:
    spec: Spec of the source, as in `config.data`.
    clip_shape: (t, h, w, c) of the clips that the source returns.
    **context: Further arguments, such as `split`, for a class that has such
      parameters. Arguments in the spec take precedence.

  Raises:
    ValueError: If a name or an argument does not exist, or a required argument
      is missing.
  """
  context = {'clip_shape': tuple(clip_shape), **context}
  return _build(_DATA_PACKAGES, spec, context, 'config.data')


def check_source(spec: Mapping[str, Any], path: str = 'config.data') -> None:
  """Checks names and arguments in the spec of a source, which is not opened.

  Args:
    spec: Spec of the source, as in `config.data`.
    path: Path of the spec, for messages.

  Raises:
    ValueError: If a name or an argument does not exist.
  """
  _class_of(_DATA_PACKAGES, spec, path)
  for key, value in spec.items():
    if isinstance(value, Mapping) and 'name' in value:
      check_source(value, f'{path}.{key}')


def annotations(section: str, spec: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the annotations of the arguments that a spec may have.

  Args:
    section: 'data' or 'model', the section of the config with the spec.
    spec: Spec, whose `name` is that of a class.

  Returns:
    {argument: annotation}; {} if the name is missing or that of no class, which
    raises an error when the object is built.
  """
  packages = _DATA_PACKAGES if section == 'data' else _MODEL_PACKAGES
  try:
    cls = _resolve(packages, spec.get('name', ''), f'config.{section}')
  except ValueError:
    return {}
  parameters = inspect.signature(cls).parameters
  return {name: p.annotation for name, p in parameters.items()}


def _build(
  packages: tuple[str, ...],
  spec: Mapping[str, Any],
  context: Mapping[str, Any],
  path: str,
) -> Any:
  """Returns an instance of the class of `spec`.

  Entries of `context` are passed where the class has such parameters.
  """
  cls, parameters = _class_of(packages, spec, path)
  kwargs = {
    k: _value(v, context, f'{path}.{k}', packages)
    for k, v in spec.items()
    if k != 'name'
  }
  for key, value in kwargs.items():
    is_path = 'path' in _marks(parameters[key].annotation)
    if is_path and isinstance(value, str):
      kwargs[key] = file_paths.expanded(value)
  kwargs = {k: v for k, v in context.items() if k in parameters} | kwargs
  missing = [
    k for k, p in parameters.items() if p.default is p.empty and k not in kwargs
  ]
  if missing:
    raise ValueError(
      f'{path}: {spec["name"]} also requires {missing}; add them.'
    )
  return cls(**kwargs)


def _class_of(
  packages: tuple[str, ...], spec: Mapping[str, Any], path: str
) -> tuple[type, dict[str, inspect.Parameter]]:
  """Returns the class of `spec` and its parameters, which include all keys."""
  if 'name' not in spec:
    raise ValueError(
      f"{path} has no 'name'; add the path of a class, 'package.file.Class'."
    )
  cls = _resolve(packages, spec['name'], path)
  parameters = {
    k: p
    for k, p in inspect.signature(cls).parameters.items()
    if not (issubclass(cls, nn.Module) and k in ('parent', 'name'))
  }
  for key in spec:
    if key != 'name' and key not in parameters:
      known = checks.hint(key, list(parameters))
      raise ValueError(
        f'{path}: {spec["name"]} has no argument {key!r}.{known}'
      )
  return cls, parameters


def _marks(annotation: Any) -> set[str]:
  """Returns the marks in an annotation, such as 'path' of `types.PathText`."""
  found = set(getattr(annotation, '__metadata__', ()))
  return found.union(*map(_marks, getattr(annotation, '__args__', ())))


def _check_sizes(
  spec: Mapping[str, Any], sizes: Mapping[str, int], path: str
) -> None:
  """Raises ValueError if a spec asks for a condition that the data lacks."""
  for key, value in spec.items():
    if isinstance(value, Mapping):
      _check_sizes(value, sizes, f'{path}.{key}')
    elif key in sizes and value not in (0, sizes[key]):
      of_data = f'{key} {sizes[key]}'
      if key == 'num_classes':
        of_data = f'{sizes[key]} classes'
      raise ValueError(
        f'{path}.{key} is {value}; the data has {of_data}. Leave the field out,'
        ' or set it to 0 so that the model does not use them.'
      )


def _value(
  value: Any, context: Mapping[str, Any], path: str, packages: tuple[str, ...]
) -> Any:
  """Returns a value in which objects replace specs."""
  if isinstance(value, list):
    return tuple(
      _value(v, context, f'{path}[{i}]', packages) for i, v in enumerate(value)
    )
  if not isinstance(value, Mapping):
    return value
  if 'name' in value:
    return _build(packages, value, context, path)
  return {
    k: _value(v, context, f'{path}.{k}', packages) for k, v in value.items()
  }


def _resolve(packages: tuple[str, ...], name: str, path: str) -> type:
  """Returns the class at the path `name`, 'package.file.Class'."""
  *files, cls = name.split('.')
  if not files or files[0] not in packages:
    return _external(packages, name, path)
  module_name = _ROOT
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
  """Returns a class outside the package; only networks and subclasses of ours.

  A config.json can name no other classes, whose construction might do anything.
  """
  *files, cls = name.split('.')
  known = (_ROOT, *_MODEL_PACKAGES, *_DATA_PACKAGES)
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
    base is nn.Module or base.__module__.startswith(f'{_ROOT}.')
    for base in found.__mro__
  ):
    raise ValueError(
      f'{path}.name is {name!r}; a class outside {_ROOT} must derive from'
      f' flax.linen.Module or from a class of {_ROOT}.'
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
  name = name.removeprefix(f'{_ROOT}.')
  if name.partition('.')[0] in packages:
    return f' Did you mean {name}?'
  for package in packages:
    paths = importlib.import_module(f'{_ROOT}.{package}').__path__
    for module in pkgutil.walk_packages(paths, f'{package}.'):
      first, _, rest = name.partition('.')
      if module.name.rpartition('.')[2] == first:
        return f' Did you mean {module.name}.{rest}?'
  return ''

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
import inspect
import typing
from typing import Any

import flax.linen as nn

from vgen_jax.config import classes
from vgen_jax.config import ranges
from vgen_jax.config import typed
from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.core import modalities
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Mark
from vgen_jax.core.types import Schema

# Values of fields with the name `dtype`, the dtypes of computations.
_DTYPES = ('bfloat16', 'float16', 'float32', 'float64')
_WITH_DTYPES = ('vgen_jax.models.', 'vgen_jax.nn.', 'vgen_jax.families.')


def model(spec: Mapping[str, Any], schema: Schema) -> Any:
  """Returns the family that `spec` describes, with its networks.

  Args:
    spec: Spec of the family, as in `config.model`.
    schema: Shapes and sizes of the clips that the model is for.

  Raises:
    ValueError: If a name or an argument does not exist, a required argument is
      missing, or a class refuses a value. The message names the path.
  """
  sizes = modalities.sizes(schema)
  _check_sizes(spec, sizes, 'config.model')
  context = {
    'clip_shape': tuple(schema.clip_shape),
    **{name: spec.get(name, size) for name, size in sizes.items()},
  }
  return _build(classes.MODEL_PACKAGES, spec, context, 'config.model')


def source(
  spec: Mapping[str, Any], clip_shape: ClipShape, **context: Any
) -> Any:
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
  return _build(classes.DATA_PACKAGES, spec, context, 'config.data')


def check_source(spec: Mapping[str, Any], path: str = 'config.data') -> None:
  """Checks names and arguments in the spec of a source, which is not opened.

  Args:
    spec: Spec of the source, as in `config.data`.
    path: Path of the spec, for messages.

  Raises:
    ValueError: If a name or an argument does not exist.
  """
  _class_of(classes.DATA_PACKAGES, spec, path)
  for key, value in spec.items():
    if isinstance(value, Mapping) and 'name' in value:
      check_source(value, f'{path}.{key}')


def annotations(section: str, spec: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the annotations of the arguments that a spec may have.

  Args:
    section: 'data' or 'model', the section of the config with the spec.
    spec: Spec, whose `name` is that of a class.

  Returns:
    {argument: annotation}; {} if the spec does not name an existing class,
    which is an error when the object is built.
  """
  packages = (
    classes.DATA_PACKAGES if section == 'data' else classes.MODEL_PACKAGES
  )
  try:
    cls = classes.resolve(packages, spec.get('name', ''), f'config.{section}')
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
    kind = parameters[key].annotation
    _check_type(f'{path}.{key}', value, kind)
    ranges.check(f'{path}.{key}', value, kind)
    is_of_network = cls.__module__.startswith(_WITH_DTYPES)
    if key == 'dtype' and is_of_network and isinstance(value, str):
      checks.one_of(f'{path}.dtype', value, _DTYPES)
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
  try:
    return cls(**kwargs)
  except ValueError as error:
    is_of_field = type(error) is ValueError and path.startswith('config.model')
    if not is_of_field or str(error).startswith(('config.', 'model.')):
      raise
    raise ValueError(f'{path}: {error}') from error


def _check_type(path: str, value: Any, kind: Any) -> None:
  """Raises ValueError if a value is not what an annotation states.

  Args:
    path: Path of the value, for messages.
    value: Plain value, or an object that was built from a spec.
    kind: Annotation of the argument.
  """
  if typed.fits(value, kind):
    return
  arguments = typing.get_args(kind)
  if (
    typing.get_origin(kind) is Mapping
    and isinstance(value, Mapping)
    and not typed.is_plain(kind)
  ):
    for name, entry in value.items():
      _check_type(f'{path}.{name}', entry, arguments[1])
  found = f'{value!r:.80}'
  if isinstance(value, nn.Module):
    found = f'an object of the class {type(value).__name__}'
  of_type = 'of type ' if typed.is_plain(kind) else ''
  raise ValueError(
    f'{path} is {found}; it must be {of_type}{typed.argument_words(kind)}.'
  )


def _class_of(
  packages: tuple[str, ...], spec: Mapping[str, Any], path: str
) -> tuple[type, dict[str, inspect.Parameter]]:
  """Returns the class of `spec` and its parameters, which include all keys."""
  if 'name' not in spec:
    raise ValueError(
      f"{path} has no 'name'; add the path of a class, 'package.file.Class'."
    )
  if not isinstance(spec['name'], str):
    raise ValueError(
      f'{path}.name is {spec["name"]!r:.80}; it must be text, the path of a'
      " class, such as 'models.dit.VideoDiT'."
    )
  cls = classes.resolve(packages, spec['name'], path)
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
  metadata = getattr(annotation, '__metadata__', ())
  found = {x.kind for x in metadata if isinstance(x, Mark)}
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
        ' or set it to 0 so that the model does not use this condition.'
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

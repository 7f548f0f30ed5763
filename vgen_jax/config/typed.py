"""Checks of plain values against type annotations.

A JSON file or a config can hold a value of any type in any field. These
functions compare values with the annotations of the fields, so that an error
names the field with the wrong value.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import inspect
import sys
import types
import typing
from typing import Any

import flax.linen as nn

from vgen_jax.core import checks
from vgen_jax.core import json_files

_MAX_FLOAT = sys.float_info.max
_SIMPLE = (int, float, bool, str)


def matches(value: Any, annotation: Any) -> bool:
  """Returns whether a value has the type that an annotation states.

  A list may stand for a tuple, an int for a float, and a dict for a dataclass,
  because JSON does not distinguish these types. A bool is not a number.
  Annotations other than plain types, unions, tuples, sequences, mappings and
  dataclasses match everything.

  Args:
    value: Plain value.
    annotation: Annotation of a field, such as `tuple[int, ...] | None`.
  """
  origin = typing.get_origin(annotation) or annotation
  arguments = typing.get_args(annotation)
  if origin is typing.Annotated:
    return matches(value, arguments[0])
  if origin in (typing.Union, types.UnionType):
    return any(matches(value, x) for x in arguments)
  if origin in (None, type(None)):
    return value is None
  if origin is float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # An int may be too large for a float.
    return is_number and (isinstance(value, float) or abs(value) < _MAX_FLOAT)
  if origin is int:
    return isinstance(value, int) and not isinstance(value, bool)
  if origin in (bool, str):
    return isinstance(value, origin)
  if not isinstance(origin, type):
    return True
  if dataclasses.is_dataclass(origin):
    return isinstance(value, origin | Mapping)
  if issubclass(origin, Mapping):
    return isinstance(value, Mapping) and (
      len(arguments) != 2
      or all(
        matches(k, arguments[0]) and matches(v, arguments[1])
        for k, v in value.items()
      )
    )
  if issubclass(origin, tuple | list) or origin is Sequence:
    return isinstance(value, list | tuple) and _items_match(value, arguments)
  return True


def is_plain(annotation: Any) -> bool:
  """Returns whether an annotation allows only plain values.

  Plain values are numbers, bools, strings, None, and tuples and mappings of
  these.
  """
  origin = typing.get_origin(annotation) or annotation
  arguments = [x for x in typing.get_args(annotation) if x is not Ellipsis]
  if origin is typing.Annotated:
    return is_plain(arguments[0])
  if origin in (*_SIMPLE, None, type(None)):
    return True
  containers = (typing.Union, types.UnionType, tuple, list, dict)
  is_container = origin in (*containers, Sequence, Mapping)
  return is_container and bool(arguments) and all(map(is_plain, arguments))


def fits(value: Any, annotation: Any) -> bool:
  """Returns whether a value may be an argument of a class in a config.

  Unlike in `matches`, the value may be an object that a spec describes: it must
  be an instance of the annotated class, or callable if the annotation states
  this. A protocol allows all objects but plain values. Missing annotations and
  those of other kinds, such as strings, `Any` and `pathlib.Path`, allow
  everything.

  Args:
    value: Plain value, or an object that was built from a spec.
    annotation: Annotation of the argument.
  """
  if annotation is Any or annotation is inspect.Parameter.empty:
    return True
  if is_plain(annotation):
    return matches(value, annotation)
  origin = typing.get_origin(annotation) or annotation
  arguments = typing.get_args(annotation)
  if origin is typing.Annotated:
    return fits(value, arguments[0])
  if origin in (typing.Union, types.UnionType):
    return any(fits(value, x) for x in arguments)
  if origin is Callable:
    return callable(value)
  if not isinstance(origin, type):
    return True
  if getattr(origin, '_is_protocol', False):
    return not isinstance(value, (*_SIMPLE, Mapping, type(None)))
  if issubclass(origin, Mapping):
    return isinstance(value, Mapping) and (
      len(arguments) != 2 or all(fits(x, arguments[1]) for x in value.values())
    )
  if issubclass(origin, tuple | list) or origin is Sequence:
    return isinstance(value, list | tuple)
  # Specs describe networks and objects of the package; other classes may
  # convert plain values.
  is_of_spec = issubclass(origin, nn.Module) or _is_of_package(origin)
  return isinstance(value, origin) if is_of_spec else True


def words(annotation: Any) -> str:
  """Returns an annotation in words, for an error message."""
  if annotation in _SIMPLE:
    return annotation.__name__
  arguments = typing.get_args(annotation)
  origin = typing.get_origin(annotation)
  if origin is typing.Annotated:
    return words(arguments[0])
  if origin in (typing.Union, types.UnionType):
    return ' or '.join(words(x) for x in arguments)
  if annotation in (None, type(None)):
    return 'None'
  if not origin:
    return str(getattr(annotation, '__name__', annotation))
  if origin is Callable:
    text = str(annotation).replace('collections.abc.', '')
    return text.replace('typing.', '')
  inner = ['...' if x is Ellipsis else words(x) for x in arguments]
  return f'{getattr(origin, "__name__", origin)}[{", ".join(inner)}]'


def argument_words(annotation: Any) -> str:
  """Returns in words what an argument in a config must be (see `fits`)."""
  if is_plain(annotation):
    return words(annotation)
  origin = typing.get_origin(annotation) or annotation
  arguments = typing.get_args(annotation)
  if origin is typing.Annotated:
    return argument_words(arguments[0])
  if origin in (typing.Union, types.UnionType):
    return ' or '.join(argument_words(x) for x in arguments)
  spec = "a spec, {'name': ...},"
  if origin is Callable:
    return f'{spec} of a function or network'
  if not isinstance(origin, type):
    return words(annotation)
  if issubclass(origin, Mapping):
    inner = argument_words(arguments[1]) if len(arguments) == 2 else 'a value'
    return f'a mapping with {inner} for each name'
  if issubclass(origin, tuple | list) or origin is Sequence:
    return 'a list'
  if origin is nn.Module:
    return f'{spec} of a network'
  name = f'{origin.__module__}.{origin.__qualname__}'.removeprefix('vgen_jax.')
  if getattr(origin, '_is_protocol', False):
    return f'{spec} of a class with the methods of {name}'
  return f'{spec} of {name} or a class derived from it'


def build(cls: Any, content: Any, name: str) -> Any:
  """Returns `cls(**content)` after a check of all fields.

  Args:
    cls: Dataclass.
    content: Object in JSON with a value for each field that has no default.
    name: Name of the file, for the message.

  Raises:
    BadFileError: If the content is not an object, or a field is unknown,
      missing or of the wrong kind.
  """
  json_files.of_kind(content, dict, name)
  kinds = typing.get_type_hints(cls)
  fields = {field.name: field for field in dataclasses.fields(cls)}
  for key, value in content.items():
    checks.known_key(name, key, fields)
    if not matches(value, kinds[key]):
      raise json_files.BadFileError(
        f'{name}: {key} is {value!r:.80}; it must be of type'
        f' {words(kinds[key])}.'
      )
  for key, field in fields.items():
    has_default = (
      field.default is not dataclasses.MISSING
      or field.default_factory is not dataclasses.MISSING
    )
    if key not in content and not has_default:
      raise json_files.BadFileError(f'{name}: key {key!r} is missing.')
  try:
    return cls(**content)
  except ValueError as error:
    raise json_files.BadFileError(f'{name}: {error}') from error


def _is_of_package(cls: type) -> bool:
  return cls.__module__.split('.')[0] == 'vgen_jax'


def _items_match(value: Sequence[Any], arguments: tuple[Any, ...]) -> bool:
  """Returns whether the items of a list match the arguments of its type."""
  if (len(arguments) == 2 and arguments[1] is Ellipsis) or len(arguments) == 1:
    return all(matches(x, arguments[0]) for x in value)
  return not arguments or (
    len(value) == len(arguments)
    and all(matches(x, a) for x, a in zip(value, arguments, strict=True))
  )

"""Types of config fields, by which values on the command line are parsed.

`--config.data.folder=2024_11_15` is the string '2024_11_15' and not the number
20241115, because the folder is a string, and `--config.num_steps=1_000` is a
number.
"""

import ast
from collections.abc import Mapping, Sequence
import dataclasses
import inspect
import types
from typing import Annotated, Any, get_args, get_origin, Union

from vgen_jax.config import build
from vgen_jax.config import settings as settings_lib

_TEXTS = {str}
_NUMBERS = {int, float, bool}


class Text(str):
  """Value of an override as it was typed, which has no type yet."""


def of_field(
  node: Mapping[str, Any], parents: Sequence[str], leaf: str
) -> set[Any]:
  """Returns the types that a field of a config may have; empty if unknown.

  Args:
    node: Dict of the config that has the field.
    parents: Keys that lead to the dict, such as ['model', 'solver'].
    leaf: Name of the field.
  """
  if not parents:
    return _of_class(settings_lib.Settings, leaf)
  section = parents[0]
  if len(parents) == 1 and section in settings_lib.SECTIONS:
    return _of_class(settings_lib.SECTIONS[section], leaf)
  if section in ('data', 'model'):
    return _types(build.annotations(section, node).get(leaf))
  if len(parents) == 1:  # The values of a dict, such as config.frozen.
    fields = {f.name: f.type for f in dataclasses.fields(settings_lib.Settings)}
    arguments = get_args(fields.get(section))
    return _types(arguments[1]) if len(arguments) == 2 else set()
  return set()


def parse(text: str, kinds: set[Any], old: Any) -> Any:
  """Returns the value for a string of the command line.

  Quotes around a string are removed. Apart from that, a field that only takes
  strings gets the string itself. Other fields get a Python literal, or the
  string if it is not a literal.

  Args:
    text: String as it was typed.
    kinds: Types that the field may have; if empty, the type of `old` is used.
    old: Value of the field so far; None if there is none.
  """
  if not kinds and old is not None:
    kinds = {type(old), tuple} if isinstance(old, str) else {type(old)}
  value = _literal(str(text))
  if not kinds & _TEXTS or kinds & _NUMBERS or isinstance(value, str):
    return value
  if value is None and type(None) in kinds:
    return None
  if isinstance(value, tuple | list | dict) and kinds - {str, type(None)}:
    return value
  return str(text)


def converted(new: Any, old: Any, path: str) -> Any:
  """Returns a new value of a field, converted to the type of the old value.

  A string may replace a tuple and the reverse, as an argument may be one name
  or several. A float may replace an int if it is a whole number.

  Args:
    new: New value.
    old: Old value; None allows any type.
    path: Path of the field in the config, for errors.

  Raises:
    ValueError: If the types do not fit.
  """
  if old is None or new is None:
    return new
  texts, numbers = (str, tuple), (int, float)
  if isinstance(new, list):
    new = tuple(new)
  if isinstance(old, bool) or isinstance(new, bool):
    fits = isinstance(old, bool) and isinstance(new, bool)
  elif isinstance(old, texts):
    new = str(new) if isinstance(new, numbers) else new
    fits = isinstance(new, texts)
  elif isinstance(old, numbers):
    fits = isinstance(new, numbers)
    if isinstance(new, numbers):
      if isinstance(old, int) and (isinstance(new, int) or new.is_integer()):
        new = int(new)
      elif isinstance(old, float):
        new = float(new)
  else:
    fits = isinstance(new, Mapping)
  if not fits:
    raise ValueError(
      f'{path} is {old!r}; {new!r} must be of the same type,'
      f' {type(old).__name__}.'
    )
  return new


def _of_class(cls: Any, name: str) -> set[Any]:
  """Returns the types of a field of a dataclass."""
  kinds = {f.name: f.type for f in dataclasses.fields(cls)}
  return _types(kinds.get(name))


def _types(annotation: Any) -> set[Any]:
  """Returns the types in an annotation, without their arguments."""
  if annotation in (None, Any, inspect.Parameter.empty):
    return set()
  origin = get_origin(annotation)
  if origin is Annotated:
    return _types(get_args(annotation)[0])
  if origin in (Union, types.UnionType):
    return set().union(
      *({x} if x is type(None) else _types(x) for x in get_args(annotation))
    )
  return {origin or annotation}


def _literal(text: str) -> Any:
  if text.lower() in ('true', 'false'):
    return text.lower() == 'true'
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
    return text

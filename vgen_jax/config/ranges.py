"""Checks of the numbers in specs against ranges in type annotations.

`num_heads: Size` in a network states that it has one head or more; these
annotations are defined in core/types.py. The check is made where an object is
built from its spec, so that the error states the path in the config.
"""

from collections.abc import Mapping
import types
import typing
from typing import Any

from vgen_jax.config import typed
from vgen_jax.core import checks
from vgen_jax.core.types import Mark

_CHECKS = {
  'size': lambda name, value: checks.at_least(name, value, 1),
  'count': lambda name, value: checks.at_least(name, value, 0),
  'rate': checks.rate,
  'positive': checks.positive,
  'not empty': checks.not_empty,
}


def check(path: str, value: Any, annotation: Any) -> None:
  """Raises ValueError if a value is not in the range of its annotation.

  Args:
    path: Path of the value, for messages.
    value: Plain value, or an object that was built from a spec. It fits the
      annotation as in `typed.fits`.
    annotation: Annotation of the argument, with the marks of core/types.py.
      Other annotations allow everything.
  """
  origin = typing.get_origin(annotation)
  arguments = typing.get_args(annotation)
  if origin is typing.Annotated:
    for mark in annotation.__metadata__:
      if isinstance(mark, Mark) and mark.kind in _CHECKS:
        _CHECKS[mark.kind](path, value)
    check(path, value, arguments[0])
  elif origin in (typing.Union, types.UnionType):
    kind = next((x for x in arguments if typed.fits(value, x)), Any)
    check(path, value, kind)
  elif isinstance(value, Mapping) and len(arguments) == 2:
    for key, entry in value.items():
      check(f'{path}.{key}', entry, arguments[1])
  elif isinstance(value, list | tuple) and arguments:
    kinds = arguments
    if len(arguments) == 1 or arguments[-1] is Ellipsis:
      kinds = arguments[:1] * len(value)
    for i, (entry, kind) in enumerate(zip(value, kinds, strict=False)):
      check(f'{path}[{i}]', entry, kind)

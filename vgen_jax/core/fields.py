"""Fields of config sections, with unit, range, and when they may change.

A section of a config is a frozen dataclass whose fields are made by `field`.
The rule of a field is used in four places: `check` compares the value with the
range, resuming a run refuses changes of fields that may not change, loading a
trained run refuses overrides in the same way, and `table` lists all fields for
the documentation.
"""

from collections.abc import Iterator
import dataclasses
import inspect
import re
from typing import Any, NamedTuple

from vgen_jax.core import checks

_MISSING = dataclasses.MISSING


@dataclasses.dataclass(frozen=True)
class Rule:
  """Properties of a field other than its type and its default.

  Attributes:
    unit: Unit of the value, such as 'steps'; '' if it has none.
    least: Smallest allowed value; None for no limit.
    most: Largest allowed value, used together with `least`; None for no limit.
    one_of: Allowed values; () for no such list.
    allowed: Further description of the allowed values, for the documentation.
    on_resume: Whether the value may change when a run is resumed. A tuple names
      the keys of a spec that may change.
    on_load: Whether the value may be overridden when a trained run is loaded.
  """

  unit: str = ''
  least: float | None = None
  most: float | None = None
  one_of: tuple[str, ...] = ()
  allowed: str = ''
  on_resume: bool | tuple[str, ...] = False
  on_load: bool = False

  def range(self) -> str:
    """Returns the allowed values in words; '' if there is no limit."""
    if self.one_of:
      return 'one of ' + ', '.join(map(repr, self.one_of))
    if self.least is not None and self.most is not None:
      return f'{self.least:.10g} to {self.most:.10g}'
    if self.least is not None:
      return f'{self.least:g} or more'
    return self.allowed


class Entry(NamedTuple):
  """One row of the table of fields.

  Attributes:
    path: Dotted path in a config, such as 'guard.policy'.
    type: Type of the value.
    default: Default value as Python code; '' if the field is required.
    unit: Unit of the value; '' if it has none.
    allowed: Allowed values in words; '' if there is no limit.
    on_resume: Whether it may change on resume: 'yes', 'no', or which keys may.
    on_load: Whether it may be overridden when a trained run is loaded.
    description: Text of the field in the docstring of its class.
  """

  path: str
  type: str
  default: str
  unit: str
  allowed: str
  on_resume: str
  on_load: bool
  description: str


def field(
  default: Any = _MISSING, *, default_factory: Any = _MISSING, **rule: Any
) -> Any:
  """Returns a dataclass field with a rule.

  Args:
    default: Default value; the field is required without it.
    default_factory: Function that returns the default value.
    **rule: Arguments of `Rule`.
  """
  metadata = {'rule': Rule(**rule)}
  if default_factory is not _MISSING:
    return dataclasses.field(default_factory=default_factory, metadata=metadata)
  return dataclasses.field(default=default, metadata=metadata)


def rules(cls: Any) -> dict[str, Rule]:
  """Returns the rule of each field of a section, {name: rule}."""
  return {
    f.name: f.metadata.get('rule', Rule()) for f in dataclasses.fields(cls)
  }


def check(section: Any, path: str) -> None:
  """Raises ValueError if a field of a section is out of its range.

  Args:
    section: Instance of a dataclass whose fields were made by `field`.
    path: Path of the section, such as 'config.guard', for the message.
  """
  for name, rule in rules(type(section)).items():
    value = getattr(section, name)
    if rule.one_of:
      checks.one_of(f'{path}.{name}', value, rule.one_of)
    elif rule.least is not None and rule.most is not None:
      checks.in_range(f'{path}.{name}', value, rule.least, rule.most)
    elif rule.least is not None:
      checks.at_least(f'{path}.{name}', value, rule.least)


def table(cls: Any) -> list[Entry]:
  """Returns a row for each field of a section and of the sections in it."""
  return list(_entries(cls, '', Rule()))


def _entries(cls: Any, path: str, parent: Rule) -> Iterator[Entry]:
  descriptions = _descriptions(cls)
  for f in dataclasses.fields(cls):
    rule = f.metadata.get('rule', Rule())
    rule = dataclasses.replace(
      rule,
      on_resume=rule.on_resume or parent.on_resume,
      on_load=rule.on_load or parent.on_load,
    )
    if dataclasses.is_dataclass(f.type):
      yield from _entries(f.type, f'{path}{f.name}.', rule)
      continue
    resume = {True: 'yes', False: 'no'}.get(rule.on_resume)
    yield Entry(
      path + f.name,
      _type_name(f.type),
      _default(f),
      rule.unit,
      rule.range(),
      resume or ', '.join(rule.on_resume),
      rule.on_load,
      descriptions.get(f.name, ''),
    )


def _type_name(kind: Any) -> str:
  is_plain = isinstance(kind, type) and not hasattr(kind, '__args__')
  return kind.__name__ if is_plain else str(kind)


def _default(f: dataclasses.Field) -> str:
  if f.default is not _MISSING:
    return repr(f.default)
  return '' if f.default_factory is _MISSING else repr(f.default_factory())


def _descriptions(cls: type) -> dict[str, str]:
  """Returns the texts of the section `Attributes` of a docstring."""
  text = (inspect.getdoc(cls) or '').partition('Attributes:\n')[2]
  found = re.findall(r'^  (\w+): (.*(?:\n    .*)*)', text, re.MULTILINE)
  return {name: ' '.join(entry.split()) for name, entry in found}

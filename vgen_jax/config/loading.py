"""Functions that load configs, change fields of them, and compare them."""

from collections.abc import Iterable, Mapping
import copy
import dataclasses
import difflib
import pathlib
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vgen_jax.config import build
from vgen_jax.config import kinds
from vgen_jax.config import python_files
from vgen_jax.config import settings as settings_lib
from vgen_jax.config import shipped
from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.core import json_files
from vgen_jax.core.checked import checked_json

_REPAIR = (
  'delete it, and repeat the command that started the run with its --config'
)


class Difference(NamedTuple):
  """A field in which two configs differ.

  Attributes:
    path: Dotted path, such as 'model.denoiser.width'.
    one: Value in the first config; None if it has no such field.
    two: Value in the second config.
  """

  path: str
  one: Any
  two: Any


def load(path: str) -> ConfigDict:
  """Returns a config.

  Args:
    path: Name of a config that ships with vgen_jax, 'name' or 'name:size'; the
      path of another one, 'file.py' or 'file.py:size'; or the 'config.json' in
      the workdir of a run.

  Raises:
    ValueError: If there is no such config, file or size, the file raises an
      error, or a 'config.json' was damaged or edited since it was written.
  """
  path = file_paths.expanded(path)
  if path.endswith('.json'):
    return _load_json(path)
  file, size = split(path)
  names = python_files.run(file)
  get_config, sizes = names.get('get_config'), names.get('SIZES')
  if get_config is None or not sizes:
    raise ValueError(
      f'{file} is not a config: it must define a function get_config(size) and'
      " a tuple SIZES of the sizes, such as ('base', 'smoke')."
    )
  if size:
    checks.one_of(f'The size of {file}', size, sizes)
  try:
    return get_config(size) if size else get_config()
  except KeyError as error:
    raise ValueError(
      f'{file} gives no value for {error} in the size {size or "base"!r}; give'
      ' one in each call of pick(...).'
    ) from error
  except ValueError:
    raise
  except Exception as error:
    raise ValueError(python_files.described(file, error)) from error


def split(path: str) -> tuple[str, str]:
  """Returns the file and the size of a config; the size is '' if none is given.

  Args:
    path: 'name', 'name:size', 'file.py' or 'file.py:size'.

  Raises:
    ValueError: If there is no such config.
  """
  path = file_paths.expanded(path)
  name, _, size = path.partition(':')
  if shipped.is_name(name):
    return str(shipped.find('configs', name)), size
  file, _, size = path.rpartition('.py')
  file, size = (f'{file}.py', size[1:]) if file else (path, '')
  _check_exists(file)
  return file, size


def replace(config: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
  """Returns a copy of `config` with some fields replaced.

  A field that the config leaves out can be set if it is a field of Settings or
  an argument of the class that a spec names.

  Args:
    config: Config to copy.
    overrides: {dotted path: value}, such as {'optim.schedule.peak': 1e-3}.

  Raises:
    ValueError: If a path is not that of a field, or a value has another type
      than the current one.
  """
  plain = settings_lib.plain(config)
  for path, value in overrides.items():
    *parents, leaf = path.split('.')
    node: Any = plain
    for depth, key in enumerate(parents):
      here = '.'.join(['config', *parents[:depth]])
      if key in _sections() and not depth:
        node.setdefault(key, {})
      elif key not in node:
        if _may_be_set(node, parents[:depth], key):
          raise ValueError(
            f'{here}.{key} is not set in the config, so its field {leaf!r}'
            f' cannot be set alone; set {here}.{key} as a whole, such as'
            f' {here}.{key}=\'{{"{leaf}": ...}}\'.'
          )
        raise ValueError(
          f'{here} has no field {key!r}.{checks.hint(key, list(node))}'
        )
      node = node[key]
      if not isinstance(node, dict):
        raise ValueError(
          f'{here}.{key} is {node!r}, which has no field {leaf!r}; set'
          f' {here}.{key} as a whole.'
        )
    known = _known(node, parents)
    if leaf not in node and known is not None and leaf not in known:
      where = '.'.join(['config', *parents])
      raise ValueError(
        f'{where} has no field {leaf!r}.{checks.hint(leaf, sorted(known))}'
      )
    old, name = node.get(leaf), f'config.{path}'
    if isinstance(value, kinds.Text):
      value = kinds.parse(value, kinds.of_field(node, parents, leaf), old)
    # A copy, as later overrides may change fields of the value.
    node[leaf] = copy.deepcopy(kinds.converted(value, old, name))
  return ConfigDict(plain)


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
  """Returns {path: value} for strings 'path=value' of a command line.

  The values are `kinds.Text`; `replace` converts them to the types of their
  fields. A field with a string takes a value as it is, and others take a
  Python literal.

  Args:
    texts: Strings such as 'optim.schedule.peak=1e-3'.

  Raises:
    ValueError: If a string has no path or no '='.
  """
  overrides = {}
  for text in texts:
    path, equals, value = text.partition('=')
    if not equals or not path:
      raise ValueError(f'{text!r} is not an override; write path=value.')
    overrides[path] = kinds.Text(value)
  return overrides


def to_json(config: ConfigDict | Mapping[str, Any]) -> str:
  """Returns the content of a `config.json`, with a digest of the fields."""
  return checked_json.to_text(settings_lib.plain(config))


def differences(one: Mapping, two: Mapping, path: str = '') -> list[Difference]:
  """Returns the fields in which two configs differ, sorted by path.

  Args:
    one: First config, nested dicts.
    two: Second config.
    path: Path of both in a larger config; '' for none.
  """
  found = []
  for key in sorted({*one, *two}):
    here = f'{path}.{key}' if path else str(key)
    a, b = one.get(key), two.get(key)
    if a is None and key not in one and isinstance(b, Mapping) and b:
      a = {}  # Compared entry by entry.
    if b is None and key not in two and isinstance(a, Mapping) and a:
      b = {}
    if isinstance(a, Mapping) and isinstance(b, Mapping):
      found += differences(a, b, here)
    elif a != b:
      found.append(Difference(here, a, b))
  return found


def _load_json(path: str) -> ConfigDict:
  file = file_paths.read(path)
  if not file.exists():
    raise ValueError(
      f'No such file: {path} (relative to {pathlib.Path.cwd()}). Give the'
      ' config.json in the workdir of a run.'
    )
  plain = settings_lib.plain(checked_json.read(path, _REPAIR))
  try:
    settings_lib.read(plain)
    return ConfigDict(plain)
  except (ValueError, TypeError) as error:
    raise json_files.BadFileError(
      f'{path}: {error} To repair the file, {_REPAIR}.'
    ) from error


def _check_exists(path: str) -> None:
  file = file_paths.read(path)
  if file.exists():
    return
  siblings = [p.name for p in file.parent.glob('*.py')]
  raise ValueError(
    f'No such file: {path} (relative to {pathlib.Path.cwd()}).'
    f'{_did_you_mean(file.name, siblings)} Configs that ship with vgen_jax are'
    f" found by name, such as --config=demo; 'vgen configs' lists them:"
    f' {", ".join(shipped.configs())}.'
  )


def _did_you_mean(word: str, known: Iterable[str]) -> str:
  close = difflib.get_close_matches(word, known, n=1)
  return f' Did you mean {close[0]!r}?' if close else ''


def _known(node: Mapping[str, Any], parents: list[str]) -> set[str] | None:
  """Returns the fields that a dict may have; None if its reader checks them."""
  if not parents:
    return {field.name for field in dataclasses.fields(settings_lib.Settings)}
  if len(parents) == 1 and parents[0] in settings_lib.SECTIONS:
    section = settings_lib.SECTIONS[parents[0]]
    return {field.name for field in dataclasses.fields(section)}
  if 'name' in node or parents[0] in ('ema', 'frozen', 'optim'):
    return None
  return set(node)


def _may_be_set(node: Mapping[str, Any], parents: list[str], key: str) -> bool:
  """Returns whether a dict without a key may have it."""
  if 'name' in node and parents[0] in ('data', 'model'):
    return key in build.annotations(parents[0], node)
  return parents == ['optim'] and key in ('players', 'schedule')


def _sections() -> set[str]:
  """Returns the names of the settings that are dicts in a config."""
  fields = dataclasses.fields(settings_lib.Settings)
  dicts = {f.name for f in fields if str(f.type).startswith('dict')}
  return dicts | set(settings_lib.SECTIONS)

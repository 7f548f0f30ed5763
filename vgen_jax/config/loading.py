"""Configs by path, and configs with some fields replaced."""

import ast
from collections.abc import Iterable, Mapping
import dataclasses
import json
import runpy
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from vgen_jax.config import settings as settings_lib
from vgen_jax.core import checks


def load(path: str) -> ConfigDict:
  """Returns a config.

  Args:
    path: 'configs/file.py', 'configs/file.py:size', or the 'config.json' that a
      run left in its workdir.

  Raises:
    ValueError: If there is no such file or size.
  """
  if path.endswith('.json'):
    _check_exists(path)
    try:
      fields = json.loads(epath.Path(path).read_text())
    except json.JSONDecodeError as error:
      raise ValueError(
        f'{path} is no JSON: {error}. Write it anew from the config file that'
        ' the run was started with.'
      ) from error
    return ConfigDict(settings_lib.plain(fields))
  file, _, size = path.rpartition('.py')
  file, size = (f'{file}.py', size[1:]) if file else (path, '')
  _check_exists(file)
  get_config = runpy.run_path(file).get('get_config')
  if get_config is None:
    raise ValueError(f'{file} has no function get_config(size); it needs one.')
  try:
    return get_config(size) if size else get_config()
  except KeyError as error:
    raise ValueError(
      f'{file} has no size {size!r} (it asks for {error}); sizes are named in'
      " its docstring, 'base' and 'smoke' in all."
    ) from error


def replace(config: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
  """Returns a copy of `config` with some fields replaced.

  A field that the config does not mention can be set if something reads it: a
  field of Settings, or an argument of the class that a spec names.

  Args:
    config: Left as it is.
    overrides: {dotted path: value}, such as {'optim.schedule.peak': 1e-3}.

  Raises:
    ValueError: If a path names no field, or a value is of another kind.
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
        raise ValueError(
          f'{here} has no {key!r}.{checks.hint(key, list(node))}'
        )
      node = node[key]
      if not isinstance(node, dict):
        raise ValueError(f'{here}.{key} is {node!r}; it has no {leaf!r} in it.')
    known = _known(node, parents)
    if leaf not in node and known is not None and leaf not in known:
      where = '.'.join(['config', *parents])
      raise ValueError(
        f'{where} has no {leaf!r}.{checks.hint(leaf, sorted(known))}'
      )
    node[leaf] = _like(node.get(leaf), value, f'config.{path}')
  return ConfigDict(plain)


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
  """Reads 'path=value' texts; values are Python literals, or else strings."""
  overrides = {}
  for text in texts:
    path, equals, value = text.partition('=')
    if not equals or not path:
      raise ValueError(f'{text!r} is no override; write path=value.')
    overrides[path] = _literal(value)
  return overrides


def to_json(config: ConfigDict) -> str:
  """Returns the text of a `config.json`."""
  return json.dumps(settings_lib.plain(config), indent=2) + '\n'


def differences(one: Mapping, two: Mapping, path: str = '') -> list[str]:
  """Returns 'path: one != two' for each field in which two configs differ."""
  lines = []
  for key in sorted({*one, *two}):
    here = f'{path}.{key}' if path else str(key)
    a, b = one.get(key), two.get(key)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
      lines += differences(a, b, here)
    elif a != b:
      lines.append(f'{here}: {a!r} != {b!r}')
  return lines


def _check_exists(path: str) -> None:
  file = epath.Path(path)
  if not file.exists():
    names = [p.name for p in file.parent.glob(f'*{file.suffix}')]
    raise ValueError(
      f'No config at {path}.{checks.hint(file.name, sorted(names))}'
    )


def _known(node: Mapping[str, Any], parents: list[str]) -> set[str] | None:
  """Keys that may be set in a node; None if those who read it will check."""
  if not parents:
    return {field.name for field in dataclasses.fields(settings_lib.Settings)}
  if len(parents) == 1 and parents[0] in settings_lib.SECTIONS:
    section = settings_lib.SECTIONS[parents[0]]
    return {field.name for field in dataclasses.fields(section)}
  if 'name' in node or parents[0] in ('ema', 'frozen', 'optim'):
    return None
  return set(node)


def _sections() -> set[str]:
  """Names of the settings that are dicts."""
  fields = dataclasses.fields(settings_lib.Settings)
  dicts = {f.name for f in fields if str(f.type).startswith('dict')}
  return dicts | set(settings_lib.SECTIONS)


def _like(old: Any, new: Any, path: str) -> Any:
  """Returns `new` as a value of the kind of `old`, where kinds can be told.

  Words and tuples may take each other's place, as a class takes one name or
  several; numbers may become other numbers, unless a whole one is needed.
  """
  if old is None or new is None:
    return new
  words, numbers = (str, tuple), (int, float)
  if isinstance(new, list):
    new = tuple(new)
  if isinstance(old, bool) or isinstance(new, bool):
    fits = isinstance(old, bool) and isinstance(new, bool)
  elif isinstance(old, words):
    new = str(new) if isinstance(new, numbers) else new
    fits = isinstance(new, words)
  elif isinstance(old, numbers):
    fits = isinstance(new, numbers)
    if fits and isinstance(old, int) and float(new).is_integer():
      new = int(new)
    elif fits and isinstance(old, float):
      new = float(new)
  else:
    fits = isinstance(new, Mapping)
  if not fits:
    raise ValueError(
      f'{path} is {old!r}; {new!r} is not of its kind, {type(old).__name__}.'
    )
  return new


def _literal(text: str) -> Any:
  if text.lower() in ('true', 'false'):
    return text.lower() == 'true'
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text

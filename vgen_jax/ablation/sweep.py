"""Sweeps: lists of config overrides, combined by four functions.

  product(param('optim.schedule.peak', 1e-3, 1e-4), param('seed', 0, 1, 2))

is a list of six dicts, {'optim.schedule.peak': 1e-3, 'seed': 0} and so on. A
sweep is a plain list, so len, slices and comprehensions work on it. An
experiment (a file of experiments/) defines four names: BASE, the path of a
config; SWEEP; ROWS, a config path or several whose values are compared, while
results are averaged over all others; VALUE, the metric to compare.
"""

from collections.abc import Mapping, Sequence
import itertools
from typing import Any

Overrides = dict[str, Any]  # {dotted path in a config: value}
Sweep = list[Overrides]


def param(path: str, *values: Any) -> Sweep:
  """Returns a sweep of one config field.

  Args:
    path: Dotted path of the field.
    *values: Values of the field, one for each entry.

  Raises:
    ValueError: If there is no value, or a value occurs twice.
  """
  if not values:
    raise ValueError(f'param({path!r}) has no values; give one or more.')
  for i, value in enumerate(values):
    if value in values[:i]:
      raise ValueError(
        f'param({path!r}) has {value!r} twice, which gives two equal runs.'
        " Vary 'seed' for several runs."
      )
  return [{path: value} for value in values]


def product(*sweeps: Sweep) -> Sweep:
  """Returns all combinations of entries; later sweeps vary fastest."""
  return [_merge(entries) for entries in itertools.product(*sweeps)]


def zipped(*sweeps: Sweep) -> Sweep:
  """Returns entry i of all sweeps combined, for each i.

  Raises:
    ValueError: If the sweeps have different lengths.
  """
  lengths = [len(sweep) for sweep in sweeps]
  if len(set(lengths)) > 1:
    raise ValueError(
      f'zipped has sweeps of lengths {lengths}; the lengths must be equal. Use'
      ' product for all combinations.'
    )
  return [_merge(entries) for entries in zip(*sweeps, strict=True)]


def chain(*sweeps: Sweep) -> Sweep:
  """Returns the entries of all sweeps, one sweep after the other.

  Raises:
    ValueError: If an entry occurs twice.
  """
  entries = list(itertools.chain(*sweeps))
  for i, entry in enumerate(entries):
    if entry in entries[:i]:
      raise ValueError(f'chain has {entry} twice; remove it from one sweep.')
  return entries


def arm(overrides: Overrides, rows: str | Sequence[str]) -> tuple[str, ...]:
  """Returns the arm of an entry: its values at some paths, as strings.

  Args:
    overrides: Entry of a sweep.
    rows: Config path, or paths, whose values define the arms. A path may lead
      into a value, such as 'optim.name' into {'optim': {'name': ...}}.

  Returns:
    A string for each path; 'base' if the entry does not set it.
  """
  paths = (rows,) if isinstance(rows, str) else rows
  return tuple(str(_at(overrides, path)) for path in paths)


def _at(overrides: Overrides, path: str) -> Any:
  if path in overrides:
    return overrides[path]
  for key, value in overrides.items():
    if path.startswith(f'{key}.'):
      for word in path.removeprefix(f'{key}.').split('.'):
        if not isinstance(value, Mapping) or word not in value:
          return 'base'
        value = value[word]
      return value
  return 'base'


def _merge(entries: tuple[Overrides, ...]) -> Overrides:
  merged: Overrides = {}
  for entry in entries:
    if twice := merged.keys() & entry.keys():
      raise ValueError(
        f'Two sweeps set {sorted(twice)}; set each field in one sweep only.'
      )
    merged |= entry
  return merged

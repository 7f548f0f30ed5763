"""Sweeps: lists of config overrides, put together from four words.

  product(param('optim.schedule.peak', 1e-3, 1e-4), param('seed', 0, 1, 2))

is a list of six dicts, {'optim.schedule.peak': 1e-3, 'seed': 0} and so on. A
sweep is a plain list, so len, slices and comprehensions work on it too. An
experiment (a file of experiments/) has four globals: BASE, the path of a
config; SWEEP; ROWS, the path (or a tuple of them) whose values are compared,
while the rest is averaged over; VALUE, the metric to compare by.
"""

from collections.abc import Mapping, Sequence
import itertools
from typing import Any

Overrides = dict[str, Any]  # {dotted path in a config: value}
Sweep = list[Overrides]


def param(path: str, *values: Any) -> Sweep:
  """One config field, over some values.

  Raises:
    ValueError: If there is no value, or one comes twice.
  """
  if not values:
    raise ValueError(f'param({path!r}) has no values; it needs one or more.')
  for i, value in enumerate(values):
    if value in values[:i]:
      raise ValueError(
        f'param({path!r}) has {value!r} twice; the two runs would be the same.'
        " Vary 'seed' for more runs of it."
      )
  return [{path: value} for value in values]


def product(*sweeps: Sweep) -> Sweep:
  """Every choice of one entry from each sweep; later sweeps vary fastest."""
  return [_merge(entries) for entries in itertools.product(*sweeps)]


def zipped(*sweeps: Sweep) -> Sweep:
  """First entries together, then second entries, and so on.

  Raises:
    ValueError: If the sweeps are not of one length.
  """
  lengths = [len(sweep) for sweep in sweeps]
  if len(set(lengths)) > 1:
    raise ValueError(
      f'zipped has sweeps of lengths {lengths}; they must be of one length.'
    )
  return [_merge(entries) for entries in zip(*sweeps, strict=True)]


def chain(*sweeps: Sweep) -> Sweep:
  """All entries of one sweep after those of another.

  Raises:
    ValueError: If an entry comes twice.
  """
  entries = list(itertools.chain(*sweeps))
  for i, entry in enumerate(entries):
    if entry in entries[:i]:
      raise ValueError(f'chain has {entry} twice; take it out of one sweep.')
  return entries


def arm(overrides: Overrides, rows: str | Sequence[str]) -> tuple[str, ...]:
  """Returns what an entry sets the paths `rows` to; 'base' if it does not.

  A path may lead into a value, as 'optim.name' into {'optim': {'name': ...}}.
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
        f'Two sweeps set {sorted(twice)}; one of them would be lost.'
      )
    merged |= entry
  return merged

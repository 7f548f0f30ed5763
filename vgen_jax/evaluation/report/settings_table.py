"""Tables of names and values: protocols and configs of runs."""

from collections.abc import Iterable, Mapping, Sequence
import json
from typing import Any

from vgen_jax.evaluation.report import markup

Element = markup.Markup
element = markup.element


def table(entry: Mapping[str, Any]) -> Element:
  """Returns a table with one row per name."""
  rows = [
    element('tr', element('th', path, scope='row'), *_cells([_plain(value)]))
    for path, value in entry.items()
  ]
  return element('table', element('tbody', rows), class_='settings')


def differences(
  names: Sequence[str], entries: Sequence[Mapping[str, Any]]
) -> Element | None:
  """Returns a table of the values that differ between runs; None if none do."""
  paths = dict.fromkeys(path for entry in entries for path in entry)
  rows = []
  for path in paths:
    cells = [
      _plain(entry[path]) if path in entry else markup.NONE for entry in entries
    ]
    if len(set(cells)) > 1:
      rows.append([element('th', path, scope='row'), *_cells(cells)])
  if not rows:
    return None
  heads = [element('th', ''), *[_run(i, n) for i, n in enumerate(names)]]
  return element(
    'table',
    element('thead', element('tr', heads)),
    element('tbody', [element('tr', row) for row in rows]),
    class_='settings',
  )


def _run(number: int, name: str) -> Element:
  return element('th', name, scope='col', class_=f'run run{number % 8}')


def _cells(texts: Iterable[str]) -> list[Element]:
  return [element('td', text) for text in texts]


def _plain(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value, default=str)

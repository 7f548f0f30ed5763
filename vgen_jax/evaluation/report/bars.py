"""Bars of scores of groups of clips, such as accuracy by direction."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import markup

Element = markup.Markup
element = markup.element


def panels(
  names: Sequence[str], found: Sequence[results.Result]
) -> list[Element]:
  """Returns a panel for each way to group clips, such as by direction.

  A panel has the groups below each other, each with one bar per run.

  Args:
    names: Names of the runs.
    found: Their results.
  """
  titles = dict.fromkeys(title for result in found for title in result.groups)
  return [
    _panel(title, names, [result.groups.get(title, {}) for result in found])
    for title in titles
  ]


def _panel(
  title: str,
  names: Sequence[str],
  found: Sequence[Mapping[str, Mapping[str, Any]]],
) -> Element:
  labels = list(dict.fromkeys(label for groups in found for label in groups))
  known = [g['value'] for groups in found for g in groups.values()]
  known = [x for x in known if x is not None and math.isfinite(x)]
  # Proportions are relative to 1, other numbers to the largest one.
  is_proportion = all(0 <= x <= 1 for x in known)
  full = 1 if is_proportion else max(abs(x) for x in known)
  rows = []
  for label in labels:
    bars = [
      _bar(run, name, groups.get(label), full)
      for run, (name, groups) in enumerate(zip(names, found, strict=True))
    ]
    rows.append(element('dt', label, title=label))
    rows.append(element('dd', bars))
  return element(
    'figure',
    element('figcaption', element('b', title)),
    element('dl', rows, class_='bars'),
    class_='panel',
  )


def _bar(
  run: int, name: str, group: Mapping[str, Any] | None, full: float
) -> Element:
  value = group['value'] if group else None
  width = min(max((value or 0) / (full or 1), 0), 1)
  count = f'{name}, {group.get("num")} clips' if group else f'{name}, none'
  return element(
    'div',
    element('i', element('i', style=f'width:{width:.1%}')),
    element('span', markup.number(value)),
    class_=f'bar run{run % 8}',
    title=count,
  )

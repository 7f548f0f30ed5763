"""HTML that cannot be broken by what it shows: all text is escaped on the way.

markup.element('p', 'a < b', markup.element('b', 'so'), class_='note')
"""

import html
import math
from typing import Any

NONE = '\N{EN DASH}'  # In place of a number that there is not.
TIMES = '\N{MULTIPLICATION SIGN}'
_MINUS = '\N{MINUS SIGN}'


class Markup(str):
  """Text that is HTML already; `element` makes it, and nothing else should."""

  __slots__ = ()


def element(name: str, *children: Any, **attributes: Any) -> Markup:
  """Returns an element.

  Args:
    name: Such as 'td'.
    *children: Texts and numbers, which are escaped, and elements, which are
      not; None is left out, lists are gone through.
    **attributes: None and False are left out, True is the bare name; a trailing
      underscore is dropped (`class_`), those within become hyphens.
  """
  words = [name]
  for key, value in attributes.items():
    key = key.rstrip('_').replace('_', '-')
    if value is True:
      words.append(key)
    elif value is not None and value is not False:
      words.append(f'{key}="{html.escape(str(value))}"')
  return Markup(f'<{" ".join(words)}>{join(*children)}</{name}>')


def empty(name: str, **attributes: Any) -> Markup:
  """Returns an element that holds nothing and is not closed, as `input`."""
  return Markup(element(name, **attributes).removesuffix(f'</{name}>'))


def join(*children: Any) -> Markup:
  """Returns children in a row, by the rules of `element`."""
  return Markup(''.join(_text(child) for child in children))


def between(low: float, high: float, like: float | None = None) -> str:
  """Returns an interval, rounded as `number` does."""
  return f'{number(low, like)} {NONE} {number(high, like)}'


def number(value: float | None, like: float | None = None) -> str:
  """Returns a number to three or four digits; an en dash for None.

  Args:
    value: The number.
    like: A number to whose decimals it is rounded; None takes its own.
  """
  if value is None or not math.isfinite(value):
    return NONE
  if not value or (like is None and isinstance(value, int)):
    return f'{float(value):z,.0f}'.replace('-', _MINUS)  # z: no minus zero.
  like = value if like is None else like
  size = math.floor(math.log10(abs(like))) if like else 0
  if not -4 <= size < 9:
    text = f'{value:.2e}'
  else:
    decimals = 2 - size if size < 0 else max(3 - size, 0)
    text = f'{value:z,.{min(decimals, 6)}f}'
  return text.replace('-', _MINUS)


def _text(child: Any) -> str:
  if child is None:
    return ''
  if isinstance(child, Markup):
    return child
  if isinstance(child, list | tuple):
    return join(*child)
  return html.escape(str(child))

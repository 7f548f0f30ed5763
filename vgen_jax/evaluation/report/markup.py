"""HTML and SVG elements whose texts are always escaped.

markup.element('p', 'a < b', markup.element('b', 'bold'), class_='note')

There are no templates, because most of the page consists of elements whose
attributes are computed, such as points of lines in SVG.
"""

import html
import math
from typing import Any

NONE = '\N{EN DASH}'  # Stands for a missing number.
TIMES = '\N{MULTIPLICATION SIGN}'
_MINUS = '\N{MINUS SIGN}'


class Markup(str):
  """Text that is HTML; only the functions of this module should make it."""

  __slots__ = ()


def element(name: str, *children: Any, **attributes: Any) -> Markup:
  """Returns an element.

  Args:
    name: Name of the tag, such as 'td'.
    *children: Texts and numbers, which are escaped; elements, which are not;
      lists of these; and None, which is ignored.
    **attributes: Attributes. None and False omit one, True has no value. In
      names a trailing underscore is removed (`class_`), and others become
      hyphens.
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
  """Returns an element without content and closing tag, such as `input`."""
  return Markup(element(name, **attributes).removesuffix(f'</{name}>'))


def join(*children: Any) -> Markup:
  """Returns the concatenated children, by the rules of `element`."""
  return Markup(''.join(_text(child) for child in children))


def between(low: float, high: float, like: float | None = None) -> str:
  """Returns the text of an interval, rounded as by `number`.

  Args:
    low: Lower limit.
    high: Upper limit.
    like: Number whose decimals determine the rounding; None for each limit.
  """
  return f'{number(low, like)} {NONE} {number(high, like)}'


def number(value: float | None, like: float | None = None) -> str:
  """Returns the text of a number, rounded to three or four digits.

  Integers are not rounded if `like` is None. None, NaN and infinity become an
  en dash.

  Args:
    value: Number.
    like: Number whose decimals determine the rounding; None for `value`.
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

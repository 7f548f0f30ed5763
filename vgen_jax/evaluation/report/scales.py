"""Scales of charts: from numbers to positions on the page."""

from collections.abc import Iterable
import math
from typing import NamedTuple

_HUGE = 1e150  # Numbers beyond it, or below 1 / _HUGE, are not shown.
_LOG_RATIO = 50  # Ratio of positive numbers from which logarithms are shown.


class Scale(NamedTuple):
  """A map from numbers to positions.

  Attributes:
    low: Smallest number.
    high: Largest number.
    start: Position of the smallest number, in pixels.
    end: Position of the largest number, in pixels.
    is_log: Whether the logarithm of a number determines its position.
  """

  low: float
  high: float
  start: float
  end: float
  is_log: bool = False

  def __call__(self, value: float) -> float:
    """Returns the position of a number."""
    low, high = self.low, self.high
    if self.is_log:
      low, high, value = (math.log10(x) for x in (low, high, value))
    fraction = (value - low) / (high - low)
    return round(self.start + fraction * (self.end - self.start), 1)

  @property
  def ticks(self) -> list[float]:
    """About five round numbers on the axis."""
    if self.is_log:
      first, last = math.log10(self.low), math.log10(self.high)
      every = max(1, math.ceil((last - first) / 5))
      steps = (1,) if last - first > 2 else (1, 2, 5)
      decades = range(math.floor(first), math.floor(last) + 1, every)
      ticks = [step * 10.0**decade for decade in decades for step in steps]
    else:
      step = _round((self.high - self.low) / 4)
      first = math.ceil(self.low / step - 1e-9)
      last = math.floor(self.high / step + 1e-9)
      ticks = [number * step for number in range(first, last + 1)]
    return [tick for tick in ticks if self.low <= tick <= self.high]


def fit(
  numbers: Iterable[float | None],
  start: float,
  end: float,
  *,
  margin: float = 0.0,
  may_be_log: bool = False,
) -> Scale:
  """Returns the scale that shows all numbers.

  Args:
    numbers: Numbers to show; None and numbers that are too large are ignored.
    start: Position of the smallest number, in pixels.
    end: Position of the largest number, in pixels.
    margin: Fraction of the axis that stays free at both ends.
    may_be_log: Whether the scale is logarithmic if all numbers are positive and
      the largest is many times the smallest.
  """
  known = [x for x in numbers if x is not None and abs(x) < _HUGE] or [0, 1]
  low, high = min(known), max(known)
  if may_be_log and low > 1 / _HUGE and high / low > _LOG_RATIO:
    more = (high / low) ** margin
    return Scale(low / more, high * more, start, end, is_log=True)
  more = margin * (high - low)
  if high - low < 1 / _HUGE:
    more = 0.1 * abs(high) if abs(high) > 1 / _HUGE else 0.5
  return Scale(low - more, high + more, start, end)


def short(value: float) -> str:
  """Returns the label of a number on an axis, such as 20k for 20000."""
  for size, letter in ((1e9, 'G'), (1e6, 'M'), (1e4, 'k')):
    if abs(value) >= size:
      unit = size if letter != 'k' else 1e3
      return f'{value / unit:.4g}{letter}'
  return f'{value:.4g}'.replace('-', '\N{MINUS SIGN}')


def _round(step: float) -> float:
  """Returns the smallest of 1, 2, 5 times a power of ten not below `step`."""
  power = 10.0 ** math.floor(math.log10(step))
  return next(power * n for n in (1, 2, 5, 10) if power * n >= step * 0.999)

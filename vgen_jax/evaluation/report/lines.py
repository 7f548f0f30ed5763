"""Lines of charts as SVG: axes, bands, and texts for the pointer.

Positions are computed here, so that the page's script only looks them up.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.report import markup
from vgen_jax.evaluation.report import scales

SIZE = (400, 240)  # Width and height of a chart, in pixels.
LEFT, RIGHT, TOP, BOTTOM = 46, 388, 10, 202  # Sides of the area of the lines.
_NUM_COLORS = 8
_NUM_DASHES = 4
_MAX_DOTS = 20  # Longer lines have no dot at each point.


class Line(NamedTuple):
  """One line of a chart.

  Attributes:
    name: Name in the legend.
    x: Ascending numbers.
    y: One number for each x; None leaves a gap.
    low: Lower limits of a band, one for each x; () for no band.
    high: Upper limits of the band.
    color: Index of the colour.
    dash: Index of the dash pattern; 0 is a solid line.
  """

  name: str
  x: Sequence[float]
  y: curves_lib.Numbers
  low: curves_lib.Numbers = ()
  high: curves_lib.Numbers = ()
  color: int = 0
  dash: int = 0


def axes(x_of: scales.Scale, y_of: scales.Scale, x_name: str) -> list:
  """Returns the elements of both axes.

  Args:
    x_of: Horizontal scale.
    y_of: Vertical scale.
    x_name: Label of the horizontal axis.
  """
  parts = []
  for tick in y_of.ticks:
    y = y_of(tick)
    parts += [
      markup.element('path', d=f'M{LEFT} {y}H{RIGHT}', class_='grid'),
      markup.element(
        'text', scales.short(tick), x=LEFT - 8, y=y, dy='.32em', class_='y'
      ),
    ]
  for tick in x_of.ticks:
    parts.append(
      markup.element(
        'text', scales.short(tick), x=x_of(tick), y=BOTTOM + 17, class_='x'
      )
    )
  middle = (LEFT + RIGHT) / 2
  return [
    *parts,
    markup.element('path', d=f'M{LEFT} {BOTTOM}H{RIGHT}', class_='axis'),
    markup.element('text', x_name, x=middle, y=BOTTOM + 34, class_='x name'),
  ]


def draw(line: Line, x_of: scales.Scale, y_of: scales.Scale) -> markup.Markup:
  """Returns the SVG elements of a line and its band.

  Points are shown as dots if they are few or isolated.

  Args:
    line: Line to draw.
    x_of: Function from a number to the horizontal position.
    y_of: Function from a number to the vertical position.
  """
  x = [x_of(x) for x in line.x]
  parts = []
  if len(line.low):
    for part in _segments(line.y, line.low, line.high):
      upper = [f'{x[i]} {y_of(line.high[i])}' for i in part]
      lower = [f'{x[i]} {y_of(line.low[i])}' for i in reversed(part)]
      path = 'M' + 'L'.join(upper + lower) + 'Z'
      parts.append(markup.element('path', d=path, class_='band'))
  for part in _segments(line.y):
    path = 'M' + 'L'.join(f'{x[i]} {y_of(line.y[i])}' for i in part)
    parts.append(
      markup.element(
        'path', d=path, class_=f'line dash{line.dash % _NUM_DASHES}'
      )
    )
    if len(line.x) <= _MAX_DOTS or len(part) == 1:
      parts += [
        markup.element('circle', cx=x[i], cy=y_of(line.y[i]), r=2.2)
        for i in part
      ]
  return markup.element('g', parts, class_=f'run{line.color % _NUM_COLORS}')


def _segments(*rows: curves_lib.Numbers) -> list[list[int]]:
  """Returns the indices of points between gaps, for each segment."""
  segments: list[list[int]] = [[]]
  for i, numbers in enumerate(zip(*rows, strict=True)):
    if all(x is not None and math.isfinite(x) for x in numbers):
      segments[-1].append(i)
    elif segments[-1]:
      segments.append([])
  return [part for part in segments if part]


def points(line: Line, x_of: scales.Scale, y_of: scales.Scale) -> list[list]:
  """Returns [position x, position y, text of x, text of y] of each point.

  Args:
    line: Line with the points.
    x_of: Function from a number to the horizontal position.
    y_of: Function from a number to the vertical position.
  """
  found = []
  for i in (i for part in _segments(line.y) for i in part):
    text = markup.number(line.y[i])
    if len(line.low) and None not in (line.low[i], line.high[i]):
      low, high = (
        markup.number(limit, line.y[i]) for limit in (line.low[i], line.high[i])
      )
      text += f' ({low} to {high})'
    x, y = line.x[i], line.y[i]
    found.append([x_of(x), y_of(y), f'{x:,.10g}', text])
  return found


def description(title: str, x_name: str, lines: Sequence[Line]) -> str:
  """Returns a text about a chart, for screen readers.

  Args:
    title: Title of the chart.
    x_name: Label of the horizontal axis.
    lines: Lines of the chart.
  """
  parts = []
  for line in lines:
    known = [i for part in _segments(line.y) for i in part]
    if known:
      first, last = (markup.number(line.y[i]) for i in (known[0], known[-1]))
      parts.append(f'{line.name} from {first} to {last}')
  return f'{title} by {x_name}: {"; ".join(parts) or "no values"}.'

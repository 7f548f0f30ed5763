"""Lines over axes as SVG, with bands, a legend and the values under a pointer.

Places are computed here, so that the page's script only has to look them up.
"""

from collections.abc import Mapping, Sequence
import json
import math
from typing import NamedTuple

import numpy as np

from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import markup
from vgen_jax.evaluation.report import scales

_SIZE = (400, 240)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 388, 10, 202
_GREY = 7  # Of the eight colours.
_MOST_POINTS = 240  # Of a line; more would be closer than the pixels are.


class Line(NamedTuple):
  """What to draw.

  Attributes:
    name: For the legend.
    x: Rising numbers.
    y: As many; None leaves a gap.
    low: Lower end of a band, as many; () for no band.
    high: Upper end of it.
    color: Number of the colour.
    dash: Number of the dash; 0 is none.
  """

  name: str
  x: Sequence[float]
  y: results.Numbers
  low: results.Numbers = ()
  high: results.Numbers = ()
  color: int = 0
  dash: int = 0


def curve(
  title: str,
  names: Sequence[str],
  curves: Sequence[results.Curve | None],
) -> markup.Markup:
  """Returns one curve of all runs: runs differ in colour, series in dash."""
  lines, first = [], next(curve for curve in curves if curve)
  labels = list(dict.fromkeys(s for c in curves if c for s in c.series))
  for number, (name, found) in enumerate(zip(names, curves, strict=True)):
    for label, y in found.series.items() if found else ():
      low, high = found.bands.get(label, ((), ()))
      place = labels.index(label)
      if len(names) == 1:
        line = Line(label, found.x, y, low, high, place)
      else:
        name_ = f'{name}, {label}' if len(labels) > 1 else name
        line = Line(name_, found.x, y, low, high, number, place)
      lines.append(line)
  legend = [Line(s, (), (), color=_GREY, dash=i) for i, s in enumerate(labels)]
  legend = lines if len(names) == 1 else legend
  return plot(title, first.x_name, first.y_name, lines, legend)


def training(
  names: Sequence[str], logs: Sequence[Sequence[Mapping[str, float]]]
) -> list[markup.Markup]:
  """Returns a chart for each number that runs logged; losses come first."""
  wanted = dict.fromkeys(
    key for log in logs for line in log for key in line if key != 'step'
  )
  charts = []
  for key in sorted(wanted, key=lambda key: not key.endswith('loss')):
    lines = []
    for number, (name, log) in enumerate(zip(names, logs, strict=True)):
      found = [
        (line['step'], line[key]) for line in log if line.get(key) is not None
      ]
      if any(math.isfinite(value) for _, value in found):
        lines.append(_thinned(name, np.array(found, float), number))
    if lines:
      charts.append(plot(key, 'step', '', lines, may_be_log=True))
  return charts


def plot(
  title: str,
  x_name: str,
  y_name: str,
  lines: Sequence[Line],
  legend: Sequence[Line] = (),
  may_be_log: bool = False,
) -> markup.Markup:
  """Returns a figure of lines.

  Args:
    title: Above it.
    x_name: Of the horizontal axis.
    y_name: Of the vertical one; '' if the title says it.
    lines: One or more.
    legend: Those to tell apart; from two on.
    may_be_log: Whether positive numbers far apart are shown as logarithms.
  """
  every_x = [x for line in lines for x in line.x]
  every_y = [y for n in lines for y in (*n.y, *n.low, *n.high)]
  x_of = scales.fit(every_x, _LEFT, _RIGHT)
  y_of = scales.fit(every_y, _BOTTOM, _TOP, margin=0.06, may_be_log=may_be_log)
  drawn = [_drawn(line, x_of, y_of) for line in lines]
  hover = [
    {
      'name': line.name,
      'color': line.color % 8,
      'points': _points(line, x_of, y_of),
    }
    for line in lines
  ]
  y_name += ' (log)' if y_of.is_log else ''
  width, height = _SIZE
  return markup.element(
    'figure',
    markup.element(
      'figcaption',
      markup.element('b', title),
      markup.element('span', y_name.strip(), class_='unit'),
    ),
    legend_of(legend) if len(legend) > 1 else None,
    markup.element(
      'svg',
      _axes(x_of, y_of, x_name),
      drawn,
      markup.element('g', class_='cursor'),
      viewBox=f'0 0 {width} {height}',
      tabindex=0,
      role='img',
      aria_label=_in_words(title, x_name, lines),
      data_x=x_name,
      data_lines=json.dumps(hover, separators=(',', ':')),
    ),
    markup.element('div', class_='tip', role='status', hidden=True),
    class_='chart',
  )


def legend_of(lines: Sequence[Line]) -> markup.Markup:
  """Returns a list of the names of lines, with their colours and dashes."""
  return markup.element(
    'ul',
    [
      markup.element(
        'li',
        markup.element(
          'svg',
          markup.element(
            'path', d='M0 5H20', class_=f'line dash{line.dash % 4}'
          ),
          viewBox='0 0 20 10',
          aria_hidden='true',
        ),
        markup.element('span', line.name, title=line.name),
        class_=f'run{line.color % 8}',
      )
      for line in lines
    ],
    class_='legend',
  )


def _axes(x_of: scales.Scale, y_of: scales.Scale, x_name: str) -> list:
  parts = []
  for tick in y_of.ticks:
    y = y_of(tick)
    parts += [
      markup.element('path', d=f'M{_LEFT} {y}H{_RIGHT}', class_='grid'),
      markup.element(
        'text', scales.short(tick), x=_LEFT - 8, y=y, dy='.32em', class_='y'
      ),
    ]
  for tick in x_of.ticks:
    parts.append(
      markup.element(
        'text', scales.short(tick), x=x_of(tick), y=_BOTTOM + 17, class_='x'
      )
    )
  middle = (_LEFT + _RIGHT) / 2
  return [
    *parts,
    markup.element('path', d=f'M{_LEFT} {_BOTTOM}H{_RIGHT}', class_='axis'),
    markup.element('text', x_name, x=middle, y=_BOTTOM + 34, class_='x name'),
  ]


def _drawn(line: Line, x_of: scales.Scale, y_of: scales.Scale) -> markup.Markup:
  """Returns band, line, and dots where points are few or stand alone."""
  x = [x_of(x) for x in line.x]
  parts = []
  if len(line.low):
    for part in _stretches(line.y, line.low, line.high):
      there = [f'{x[i]} {y_of(line.high[i])}' for i in part]
      back = [f'{x[i]} {y_of(line.low[i])}' for i in reversed(part)]
      path = 'M' + 'L'.join(there + back) + 'Z'
      parts.append(markup.element('path', d=path, class_='band'))
  for part in _stretches(line.y):
    path = 'M' + 'L'.join(f'{x[i]} {y_of(line.y[i])}' for i in part)
    parts.append(
      markup.element('path', d=path, class_=f'line dash{line.dash % 4}')
    )
    if len(line.x) <= 20 or len(part) == 1:
      parts += [
        markup.element('circle', cx=x[i], cy=y_of(line.y[i]), r=2.2)
        for i in part
      ]
  return markup.element('g', parts, class_=f'run{line.color % 8}')


def _stretches(*rows: results.Numbers) -> list[list[int]]:
  """Returns the numbers of points between gaps, gap by gap."""
  stretches: list[list[int]] = [[]]
  for i, numbers in enumerate(zip(*rows, strict=True)):
    if all(x is not None and math.isfinite(x) for x in numbers):
      stretches[-1].append(i)
    elif stretches[-1]:
      stretches.append([])
  return [part for part in stretches if part]


def _points(line: Line, x_of: scales.Scale, y_of: scales.Scale) -> list[list]:
  """Returns [x, y on paper, x, y in words] of each point there is."""
  points = []
  for i in (i for part in _stretches(line.y) for i in part):
    text = markup.number(line.y[i])
    if len(line.low) and None not in (line.low[i], line.high[i]):
      low, high = (
        markup.number(end, line.y[i]) for end in (line.low[i], line.high[i])
      )
      text += f' ({low} to {high})'
    x, y = line.x[i], line.y[i]
    points.append([x_of(x), y_of(y), f'{x:,.10g}', text])
  return points


def _in_words(title: str, x_name: str, lines: Sequence[Line]) -> str:
  told = []
  for line in lines:
    known = [i for part in _stretches(line.y) for i in part]
    if known:
      first, last = (markup.number(line.y[i]) for i in (known[0], known[-1]))
      told.append(f'{line.name} from {first} to {last}')
  return f'{title} by {x_name}: {"; ".join(told) or "no values"}.'


def _thinned(name: str, found_n2: np.ndarray, color: int) -> Line:
  """Returns a log as a line; of many steps, the mean in a band of extremes."""
  parts = np.array_split(found_n2, min(_MOST_POINTS, len(found_n2)))
  finite = [part[np.isfinite(part[:, 1])] for part in parts]
  x = [float(part[-1, 0]) for part in parts]
  mean, low, high = (
    [float(of(part[:, 1])) if len(part) else None for part in finite]
    for of in (np.mean, np.min, np.max)
  )
  if len(parts) == len(found_n2):
    low = high = ()
  return Line(name, x, mean, low, high, color)

"""Charts: curves of metrics and of training, with a legend."""

from collections.abc import Mapping, Sequence
import json
import math

import numpy as np

from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.report import lines as lines_lib
from vgen_jax.evaluation.report import markup
from vgen_jax.evaluation.report import scales

_GREY = 7  # Index of the colour.
_MAX_POINTS = 240  # Points of a line; more would be closer than pixels.

Line = lines_lib.Line


def curve(
  title: str,
  names: Sequence[str],
  curves: Sequence[curves_lib.Curve | None],
) -> markup.Markup:
  """Returns a chart of one curve of all runs.

  Runs differ in colour, and series in the dash pattern.

  Args:
    title: Title of the chart.
    names: Names of the runs.
    curves: Curve of each run; None for a run without it.
  """
  lines, first = [], next(curve for curve in curves if curve)
  labels = list(dict.fromkeys(s for c in curves if c for s in c.series))
  for number, (name, found) in enumerate(zip(names, curves, strict=True)):
    for label, y in found.series.items() if found else ():
      low, high = found.bands.get(label, ((), ()))
      index = labels.index(label)
      if len(names) == 1:
        line = Line(label, found.x, y, low, high, index)
      else:
        name_ = f'{name}, {label}' if len(labels) > 1 else name
        line = Line(name_, found.x, y, low, high, number, index)
      lines.append(line)
  legend = [Line(s, (), (), color=_GREY, dash=i) for i, s in enumerate(labels)]
  legend = lines if len(names) == 1 else legend
  return plot(title, first.x_name, first.y_name, lines, legend)


def training(
  names: Sequence[str], logs: Sequence[Sequence[Mapping[str, float]]]
) -> list[markup.Markup]:
  """Returns a chart for each logged number, losses first.

  Args:
    names: Names of the runs.
    logs: Lines of each run's metrics.jsonl.
  """
  keys = dict.fromkeys(
    key for log in logs for line in log for key in line if key != 'step'
  )
  charts = []
  for key in sorted(keys, key=lambda key: not key.endswith('loss')):
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
    title: Title above the figure.
    x_name: Label of the horizontal axis.
    y_name: Label of the vertical axis; '' if the title is enough.
    lines: Lines, one or more.
    legend: Lines of the legend, which is shown if there are two or more.
    may_be_log: Whether the vertical axis is logarithmic if all numbers are
      positive and the largest is many times the smallest.
  """
  every_x = [x for line in lines for x in line.x]
  every_y = [y for n in lines for y in (*n.y, *n.low, *n.high)]
  x_of = scales.fit(every_x, lines_lib.LEFT, lines_lib.RIGHT)
  y_of = scales.fit(
    every_y,
    lines_lib.BOTTOM,
    lines_lib.TOP,
    margin=0.06,
    may_be_log=may_be_log,
  )
  drawn = [lines_lib.draw(line, x_of, y_of) for line in lines]
  hover = [
    {
      'name': line.name,
      'color': line.color % 8,
      'points': lines_lib.points(line, x_of, y_of),
    }
    for line in lines
  ]
  y_name += ' (log)' if y_of.is_log else ''
  width, height = lines_lib.SIZE
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
      lines_lib.axes(x_of, y_of, x_name),
      drawn,
      markup.element('g', class_='cursor'),
      viewBox=f'0 0 {width} {height}',
      tabindex=0,
      role='img',
      aria_label=lines_lib.description(title, x_name, lines),
      data_x=x_name,
      data_lines=json.dumps(hover, separators=(',', ':')),
    ),
    markup.element('div', class_='tip', role='status', hidden=True),
    class_='chart',
  )


def legend_of(lines: Sequence[Line]) -> markup.Markup:
  """Returns a legend of lines with their colours and dash patterns."""
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


def _thinned(name: str, found_n2: np.ndarray, color: int) -> Line:
  """Returns a logged number as a line.

  Of many steps it shows means, with a band from minimum to maximum.
  """
  parts = np.array_split(found_n2, min(_MAX_POINTS, len(found_n2)))
  finite = [part[np.isfinite(part[:, 1])] for part in parts]
  x = [float(part[-1, 0]) for part in parts]
  mean, low, high = (
    [float(of(part[:, 1])) if len(part) else None for part in finite]
    for of in (np.mean, np.min, np.max)
  )
  if len(parts) == len(found_n2):
    low = high = ()
  return Line(name, x, mean, low, high, color)

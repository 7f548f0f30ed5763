"""Tests of report/charts.py, lines.py and scales.py."""

import html as html_lib
import json
import math
import re

import pytest

from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.report import charts
from vgen_jax.evaluation.report import lines
from vgen_jax.evaluation.report import scales


def lines_of(html: str) -> list[dict]:
  return json.loads(html_lib.unescape(re.search('data-lines="(.*?)"', html)[1]))


def paths(html: str) -> list[str]:
  return re.findall(r'd="(M[^"]+)" class="line', html)


def test_a_scale_is_exact_at_its_limits():
  scale = scales.fit([3, 5], 10, 110)
  assert [scale(x) for x in (3, 4, 5)] == [10, 60, 110]
  down = scales.fit([3, 5], 110, 10)
  assert [down(x) for x in (3, 4, 5)] == [110, 60, 10]
  log = scales.fit([1, 10_000], 0, 100, may_be_log=True)
  assert [log(x) for x in (1, 100, 10_000)] == [0, 50, 100]
  assert scales.fit([1, 10], 0, 100, may_be_log=True)(5.5) == 50
  assert not scales.fit([-1, 10_000], 0, 1, may_be_log=True).is_log


@pytest.mark.parametrize(
  'numbers', [[], [0], [7, 7], [-3, 1e-9], [1e-9, 3e-9], [0, 1e12], [None, 2]]
)
def test_ticks_are_few_and_within_the_scale(numbers):
  scale = scales.fit(numbers, 0, 100, margin=0.06)
  assert 2 <= len(scale.ticks) <= 7
  assert all(-0.1 <= scale(tick) <= 100.1 for tick in scale.ticks)
  for x in numbers:
    assert x is None or 0 <= scale(x) <= 100


def test_log_ticks_are_round():
  ticks = scales.fit([0.01, 1000], 0, 100, may_be_log=True).ticks
  assert ticks == pytest.approx([0.01, 0.1, 1, 10, 100, 1000])


@pytest.mark.parametrize(
  ('number', 'text'),
  [(0, '0'), (5000, '5000'), (20_000, '20k'), (2.5e6, '2.5M'), (0.25, '0.25')],
)
def test_round_numbers_are_short(number, text):
  assert scales.short(number) == text


def test_missing_numbers_leave_gaps():
  line = lines.Line('a', [0, 1, 2, 3], [1, math.nan, None, 2])
  html = charts.plot('t', 'x', 'y', [line])
  assert len(paths(html)) == 2
  assert len(lines_of(html)[0]['points']) == 2
  whole = lines.Line('a', [0, 1, 2, 3], [1, 1, 1, 2])
  assert len(paths(charts.plot('t', 'x', 'y', [whole]))) == 1


def test_a_curve_with_its_band(make_result):
  curve = make_result().curves['PSNR by frame']
  html = charts.curve('PSNR', ['dit'], [curve])
  band = re.search(r'd="M([^"]+)Z" class="band"', html)[1].split('L')
  ys = [float(point.split()[1]) for point in band]
  line = [float(p.split()[1]) for p in paths(html)[0][1:].split('L')]
  for upper, middle, lower in zip(ys[:3], line, ys[:2:-1], strict=True):
    assert upper < middle < lower  # Positions increase downwards.
  assert lines_of(html)[0]['points'][1][2:] == ['1', '20.00 (18.00 to 22.00)']
  assert 'PSNR by frame: model from 30.00 to 10.00.' in html


def test_runs_differ_in_colour_and_series_in_dash():
  both = curves_lib.Curve('x', 'y', [0, 1], {'a': [0, 1], 'b': [1, 2]})
  one = curves_lib.Curve('x', 'y', [0, 1], {'a': [3, 4]})
  found = lines_of(charts.curve('t', ['r', 's', 'q'], [both, None, one]))
  assert [(x['name'], x['color']) for x in found] == [
    ('r, a', 0),
    ('r, b', 0),
    ('q, a', 2),
  ]
  alone = lines_of(charts.curve('t', ['r'], [both]))
  assert [(x['name'], x['color']) for x in alone] == [('a', 0), ('b', 1)]


def test_training_shows_all_runs_in_one_chart(log):
  short = [{'step': 1.0, 'other': 3.0, 'bad': math.nan}]
  html = charts.training(['b', 'a'], [short, log])
  titles = [re.search('<b>(.*?)</b>', chart)[1] for chart in html]
  assert titles == ['model/loss', 'other']  # 'bad' is never a number.
  assert [x['color'] for x in lines_of(html[0])] == [1]


def test_long_logs_are_shown_by_means_and_extremes():
  log = [{'step': float(i), 'x': float(i % 7)} for i in range(4200)]
  (html,) = charts.training(['a'], [log])
  points = lines_of(html)[0]['points']
  assert len(points) == 240
  assert points[-1][2] == '4,199'
  assert '(0 to 6.000)' in points[5][3]
  assert 'class="band"' in html


@pytest.mark.parametrize(
  'numbers',
  [
    [1e308, -1e308],
    [5e-324, 1e-323],
    [1e-300, 1e300],
    [math.inf, 1.0, math.nan, 2.0],
    [None, 1.0],
  ],
)
def test_extreme_numbers_can_be_shown(numbers):
  log = [{'step': i, 'loss': x} for i, x in enumerate(numbers)]
  (chart,) = charts.training(['a'], [log])
  assert 'nan' not in chart

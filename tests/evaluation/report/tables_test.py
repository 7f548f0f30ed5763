"""Tests of report/tables.py, cells.py and settings_table.py."""

import dataclasses
import re

import pytest

from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import settings_table
from vgen_jax.evaluation.report import tables


def value(number, half=0.1, better='higher', **fields):
  interval = (number - half, number + half) if half is not None else None
  return results.Value(number, interval, better=better, **fields)


@pytest.mark.parametrize(
  ('values', 'winner'),
  [
    ([value(0.5), value(0.9)], 1),
    ([value(0.9), value(0.5), value(0.1)], 0),
    ([value(0.5, better='lower'), value(0.9, better='lower')], 0),
    ([value(0.75), value(0.9)], None),  # Intervals overlap.
    ([value(0.5), value(0.7, half=0.01), value(0.9, half=0.25)], None),
    ([value(0.7, half=0.2), value(0.95, half=0.01), value(0.6)], 1),
    (
      [value(0.2, half=0.75), value(0.9), value(0.5)],
      None,
    ),  # The worst may be best.
    ([value(0.5, better=''), value(0.9, better='')], None),
    ([value(0.5), value(0.9, half=None)], None),
    ([value(0.5), results.Value(None, better='higher')], None),
    ([value(0.5), None], None),
    ([value(0.9)], None),
    ([value(0.5, protocol={'n': 1}), value(0.9, protocol={'n': 2})], None),
  ],
)
def test_the_best_is_significantly_best(values, winner):
  assert tables.best(values) == winner


def test_bold_needs_equal_protocols(make_result):
  runs = [make_result('a', 0.2), make_result('b', 0.8)]
  bold = lambda html: re.findall(r'<b>(.*?)</b>', html)
  assert bold(tables.metrics(['a', 'b'], runs)) == ['0.800', '21.00']
  fewer = dataclasses.replace(runs[1], protocol={'num_generated': 8})
  assert bold(tables.metrics(['a', 'b'], [runs[0], fewer])) == []


def test_one_run_shows_all_fields(make_result):
  html = tables.metrics(['dit'], [make_result(quality=0.5)])
  text = ' '.join(re.sub(r'<[^>]+>', ' ', html).split())
  for part in (
    'valid Proportion of clips that could be real. tier strict 0.500',
    '0.400 \N{EN DASH} 0.600 1.000 \N{EN DASH} \N{UPWARDS ARROW} higher ok',
    '51.00 50.00 \N{EN DASH} 52.00 \N{EN DASH} 0.500',
    'fvd Get i3d.pt',
    'weights missing',
    'slope dB The metric is undefined for these clips.',
    'undefined',
  ):
    assert part in text


def test_missing_weights_without_a_note_have_a_hint(make_result):
  missing = results.Value(None, status='weights-missing')
  html = tables.metrics(['a'], [make_result(metrics={'fvd': missing})])
  assert 'VGEN_WEIGHTS' in html


def test_problems_are_not_folded(make_result):
  fields = {'note': 'Fine.', 'better': 'lower'}
  fine = make_result(metrics={'fvd': results.Value(1.0, **fields)})
  missing = results.Value(None, status='weights-missing', note='Get it.')
  problem = make_result(metrics={'fvd': missing})
  html = tables.metrics(['a', 'b'], [fine, problem])
  folded, shown = re.search(r'<details>(.*)</details>(.*)', html).groups()
  assert ['Fine.' in folded, 'Get it.' in folded] == [True, False]
  assert ['Fine.' in shown, 'Get it.' in shown] == [False, True]


def test_better_is_to_the_right(make_result):
  def positions(better):
    of = value(0.5, better=better, real=1.0)
    html = tables.metrics(['a'], [make_result(metrics={'m': of})])
    real = re.search(r'd="M([\d.]+) 2V\d+" class="real"', html)[1]
    return float(re.search(r'cx="([\d.]+)"', html)[1]), float(real)

  dot, real = positions('higher')
  assert dot < real
  dot, real = positions('lower')
  assert dot > real


def test_runs_may_lack_metrics(make_result):
  bare = make_result('bare', metrics={})
  html = tables.metrics(['a', 'bare'], [make_result('a'), bare])
  row = next(
    x for x in html.split('<th scope="row" ') if 'data-key="valid"' in x
  )
  assert re.findall(r'class="n value" data-key="(.*?)"', row) == ['0.5', '']
  assert tables.metrics(['bare'], [bare]) is None


def test_only_differences_are_shown():
  entries = [{'a': 1, 'b': 2}, {'a': 1, 'b': 3, 'c': [1]}]
  html = settings_table.differences(['x', 'y'], entries)
  assert re.findall(r'scope="row">(.*?)<', html) == ['b', 'c']
  assert re.findall(r'<td>(.*?)<', html) == ['2', '3', '\N{EN DASH}', '[1]']
  assert settings_table.differences(['x', 'y'], [{'a': 1}, {'a': 1}]) is None


def test_a_row_opens_to_the_definition_of_its_value(make_result):
  run = make_result('a', 0.2)
  text = 'Proportion of clips. Source: a/b.py.'
  metrics = {
    name: dataclasses.replace(x, definition=text)
    for name, x in run.metrics.items()
  }
  defined = dataclasses.replace(run, metrics=metrics)
  assert tables.metrics(['a'], [run]).count(text) == 0
  html = tables.metrics(['a'], [defined])
  assert html.count(text) == len(metrics)
  assert re.search(rf'<summary[^>]*></summary><p class="note">{text}', html)
  # Equal definitions of several runs are shown once.
  both = tables.metrics(['a', 'b'], [defined, defined])
  assert both.count(text) == len(metrics)

"""Tests of report/page.py and markup.py: one file, and escaped names."""

import html.parser
import re

import pytest

from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import markup
from vgen_jax.evaluation.report import page

NASTY = '<script>alert("1")</script> & \'co\''
VOID = {'meta', 'link', 'input'}


class Reader(html.parser.HTMLParser):
  """Collects elements, texts and errors of nesting."""

  def __init__(self, text):
    super().__init__()
    self.open, self.faults, self.elements, self.text = [], [], [], []
    self.feed(text)
    self.faults += self.open

  def handle_starttag(self, tag, attrs):
    self.elements.append((tag, dict(attrs)))
    if tag not in VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    if not self.open or self.open.pop() != tag:
      self.faults.append(tag)

  def handle_data(self, data):
    self.text.append(data)


@pytest.fixture(scope='module')
def text(make_result, clips, log):
  groups = {NASTY: {NASTY: {'value': None, 'num': 0}}}
  metrics = {NASTY: results.Value(1.0, note=NASTY, unit=NASTY)}
  curves = {NASTY: curves_lib.Curve(NASTY, NASTY, [0, 1], {NASTY: [1, 2]})}
  found = make_result(
    NASTY,
    config={NASTY: NASTY},
    groups=groups,
    metrics=metrics,
    curves=curves,
    date=NASTY,
  )
  other = make_result('other')
  log = [*log, {'step': 100.0, NASTY: 1.0}]
  return page.render([found, other], [clips, clips], [log, log])


def test_names_are_escaped(text):
  read = Reader(text)
  assert read.faults == []
  assert [tag for tag, _ in read.elements].count('script') == 1
  assert ''.join(read.text).count(NASTY) > 10
  # Without escapes the reader finds errors.
  broken = Reader(text.replace('&lt;script&gt;', '<script>'))
  assert broken.faults or len(broken.elements) != len(read.elements)


def test_it_needs_no_other_file(text):
  for tag, attributes in Reader(text).elements:
    for name in ('src', 'href', 'data-sheet', 'action', 'srcset'):
      value = attributes.get(name) or 'data:'
      assert value.startswith(('data:', '#')), (tag, name)
  assert 'url(' not in text
  assert '@import' not in text
  assert "default-src 'none'" in text


def test_links_lead_to_sections(text):
  assert re.findall('href="#(.*?)"', text) == re.findall(
    '<section id="(.*?)"', text
  )
  assert len(re.findall('<section', text)) == 5


def test_empty_sections_are_left_out(make_result):
  bare = results.Result('bare', 'runs/bare', 0, '')
  for found in ([bare], [bare, bare], [bare, make_result(metrics={})]):
    read = Reader(page.render(found))
    assert read.faults == []
    assert 'canvas' not in dict(read.elements)
  assert '<section' not in page.render([bare])


def test_many_metrics_have_a_filter(make_result):
  many = {f'metric {i}': results.Value(float(i)) for i in range(100)}
  html_ = page.render([make_result(metrics=many)])
  assert html_.count('scope="row" data-key="metric') == 100
  assert 'type="search"' in html_
  assert 'type="search"' not in page.render([make_result()])


def test_many_charts_are_folded(make_result):
  log = [{'step': 1.0} | {f'loss {i}': 1.0 for i in range(20)}]
  assert '8 more</summary>' in page.render([make_result()], [{}], [log])


def test_clips_play_at_the_rate_of_the_run_or_at_8(make_result, clips):
  for protocol, rate in (({'frames_per_second': 30.0}, 30), ({}, 8)):
    found = make_result('a', protocol=protocol)
    elements = Reader(page.render([found], [clips])).elements
    rates = [x['data-rate'] for _, x in elements if 'data-rate' in x]
    assert rates
    assert {float(x) for x in rates} == {rate}


def test_runs_with_one_name_get_distinct_names(make_result):
  found = [make_result(step=1), make_result(step=2)]
  assert '<title>dit @ 1, dit @ 2</title>' in page.render(found)
  found = [make_result(), make_result()]
  assert 'runs/dit @ 20 (2)</title>' in page.render(found)


def test_the_numbers_of_results_and_clips_must_be_equal(make_result, clips):
  with pytest.raises(ValueError, match='2 results got clips of 1'):
    page.render([make_result(), make_result()], [clips])
  with pytest.raises(ValueError, match='0 results'):
    page.render([])


@pytest.mark.parametrize(
  ('value', 'text'),
  [
    (None, '\N{EN DASH}'),
    (0.0, '0'),
    (0.123456, '0.123'),
    (0.0612, '0.0612'),
    (31.2449, '31.24'),
    (-1234.5, '\N{MINUS SIGN}1,234'),
    (512, '512'),
    (1.5e-7, '1.50e\N{MINUS SIGN}07'),
    (-0.0, '0'),
    (float('nan'), '\N{EN DASH}'),
  ],
)
def test_numbers_have_three_or_four_digits(value, text):
  assert markup.number(value) == text


def test_text_is_escaped_and_elements_are_not():
  bold = markup.element('b', 'x < y', title='"')
  assert bold == '<b title="&quot;">x &lt; y</b>'
  row = markup.element('p', [bold, None, 3], hidden=True, lang=None)
  assert row == f'<p hidden>{bold}3</p>'
  assert markup.empty('input', value='&') == '<input value="&amp;">'

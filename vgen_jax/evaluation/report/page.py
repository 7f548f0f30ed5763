"""One HTML page about one or several runs: clips, metrics, bars and curves.

The page is a single file and needs no network. Its content security policy
allows only the script of the page to run, whatever names of runs contain.
"""

import base64
from collections.abc import Mapping, Sequence
import datetime
import hashlib
import importlib.resources
import string

from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import bars
from vgen_jax.evaluation.report import charts
from vgen_jax.evaluation.report import clips as clips_lib
from vgen_jax.evaluation.report import markup
from vgen_jax.evaluation.report import settings_table
from vgen_jax.evaluation.report import tables

_NUM_OPEN = 12  # Charts of a section that are visible; the rest is folded.

element = markup.element


def render(
  found: Sequence[results.Result],
  clips: Sequence[clips_lib.Clips] = (),
  training_curves: Sequence[Sequence[Mapping[str, float]]] = (),
) -> str:
  """Returns the page.

  Args:
    found: Results, one for each run, in the order of the page.
    clips: Clips of each run, as `results.read_clips` returns them; () for none.
    training_curves: Lines of each run's metrics.jsonl; () for none.

  Raises:
    ValueError: If there is no run, or the lengths differ.
  """
  clips = clips or [{} for _ in found]
  logs = training_curves or [[] for _ in found]
  if not found or not len(found) == len(clips) == len(logs):
    raise ValueError(
      f'A page of {len(found)} results got clips of {len(clips)} runs and'
      f' curves of {len(logs)}; the numbers must be equal, and 1 or more.'
    )
  names = _names(found)
  rates = [
    float(result.protocol.get('frames_per_second') or 8) for result in found
  ]
  contents = {
    'Clips': clips_lib.rows(names, clips, rates),
    'Metrics': tables.metrics(names, found),
    'By group': _grid('bars', names, bars.panels(names, found)),
    'Curves': _grid('charts', names, _curves(names, found)),
    'Training': _grid('charts', names, charts.training(names, logs)),
  }
  contents = {title: part for title, part in contents.items() if part}
  links = [element('a', title, href='#' + _id(title)) for title in contents]
  sections = [
    element('section', element('h2', title), content, id=_id(title))
    for title, content in contents.items()
  ]
  script = _file('script.js')
  digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
  return string.Template(_file('page.html')).substitute(
    title=markup.join(', '.join(names)),
    digest=digest,
    style=_file('style.css'),
    script=script,
    head=_head(names, found, links),
    body=markup.join(sections),
  )


def _names(found: Sequence[results.Result]) -> list[str]:
  """Returns distinct names of runs."""
  for name_of in (
    lambda result: result.run,
    lambda result: f'{result.run} @ {result.step}',
    lambda result: f'{result.workdir} @ {result.step}',
  ):
    names = [name_of(result) for result in found]
    if len(set(names)) == len(names):
      return names
  return [f'{name} ({number})' for number, name in enumerate(names, 1)]


def _head(
  names: Sequence[str],
  found: Sequence[results.Result],
  links: Sequence[markup.Markup],
) -> markup.Markup:
  nav = element('nav', links, aria_label='On this page')
  if len(found) == 1:
    return markup.join(
      element('p', _about(found[0]), class_='eyebrow'),
      element('h1', names[0]),
      nav,
      _fold('Protocol', settings_table.table(found[0].protocol)),
      _fold('Config', settings_table.table(found[0].config)),
    )
  cards = [
    element(
      'li',
      element('b', name, title=name),
      element('span', _about(result)),
      class_=f'run{number % 8}',
    )
    for number, (name, result) in enumerate(zip(names, found, strict=True))
  ]
  kinds = ('protocol', 'config')
  differences = [
    settings_table.differences(
      names, [getattr(result, kind) for result in found]
    )
    for kind in kinds
  ]
  return markup.join(
    element('p', 'Evaluation', class_='eyebrow'),
    element('h1', f'{len(found)} runs compared'),
    element('ul', cards, class_='runs'),
    nav,
    [
      _fold(f'Differences in {kind}', table)
      for kind, table in zip(kinds, differences, strict=True)
    ],
    _fold('Protocol', settings_table.table(found[0].protocol))
    if not differences[0]
    else None,
  )


def _about(result: results.Result) -> str:
  """Returns a line of text about a result."""
  parts = [f'Step {result.step:,}', _day(result.date)]
  protocol = result.protocol
  if protocol.get('num_generated'):
    parts.append(f'{protocol["num_generated"]} clips')
  if protocol.get('clip_shape'):
    parts.append(f' {markup.TIMES} '.join(map(str, protocol['clip_shape'])))
  return ' · '.join(part for part in parts if part)


def _day(date: str) -> str:
  try:
    when = datetime.datetime.fromisoformat(date)
  except ValueError:
    return date
  return f'{when:%-d %B %Y, %H:%M}'


def _fold(title: str, content: markup.Markup | None) -> markup.Markup | None:
  if content is None or '<td' not in content:
    return None
  return element(
    'details',
    element('summary', title),
    element('div', content, class_='scroll', tabindex=0),
    class_='fold',
  )


def _curves(
  names: Sequence[str], found: Sequence[results.Result]
) -> list[markup.Markup]:
  titles = dict.fromkeys(title for result in found for title in result.curves)
  return [
    charts.curve(title, names, [result.curves.get(title) for result in found])
    for title in titles
  ]


def _grid(
  class_: str, names: Sequence[str], parts: Sequence[markup.Markup]
) -> markup.Markup | None:
  """Returns a grid of charts, of which only the first ones are unfolded."""
  if not parts:
    return None
  few, more = parts[:_NUM_OPEN], parts[_NUM_OPEN:]
  runs = [charts.Line(run, (), (), color=i) for i, run in enumerate(names)]
  folded = element(
    'details',
    element('summary', f'{len(more)} more'),
    element('div', more, class_=class_),
    class_='fold',
  )
  return markup.join(
    charts.legend_of(runs) if len(names) > 1 else None,
    element('div', few, class_=class_),
    folded if more else None,
  )


def _id(title: str) -> str:
  return title.lower().replace(' ', '-')


def _file(name: str) -> str:
  files = importlib.resources.files('vgen_jax.evaluation.report')
  return (files / name).read_text(encoding='utf-8')

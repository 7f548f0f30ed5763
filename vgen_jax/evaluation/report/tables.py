"""The table of metrics, of one run or of several."""

from collections.abc import Sequence
import json

from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import cells
from vgen_jax.evaluation.report import markup

_MANY = 12  # Number of rows from which there is a filter.
# Settings of the protocol that must be equal for values to be comparable.
_COMPARABLE = ('num_generated', 'num_real', 'clip_shape', 'real_split')

Element = markup.Markup
element = markup.element


def metrics(
  names: Sequence[str], found: Sequence[results.Result]
) -> Element | None:
  """Returns a table with one row per metric; None without metrics.

  Args:
    names: Names of the runs.
    found: Their results.
  """
  rows = list(dict.fromkeys(key for result in found for key in result.metrics))
  if not rows:
    return None
  is_one = len(found) == 1
  runs = ['Value'] if is_one else names
  heads = [
    _head('Metric', 'text'),
    *[_head(name, 'number', i, not is_one) for i, name in enumerate(runs)],
    _head('95 % interval', 'number') if is_one else None,
    _head('In context'),
    _head('Real', 'number'),
    _head('Floor', 'number'),
    [_head('Better', 'text'), _head('Status', 'text')] if is_one else None,
  ]
  make = _row_of_one if is_one else _row_of_many
  body = [make(key, found) for key in rows]
  search = markup.empty(
    'input',
    type='search',
    class_='filter',
    placeholder='Filter metrics',
    aria_label='Filter metrics',
  )
  table = element(
    'table',
    element('thead', element('tr', heads)),
    element('tbody', body),
    data_sortable=True,
    class_='metrics' if is_one else 'metrics many',
  )
  return markup.join(
    element('p', _LEAD, '' if is_one else _LEAD_OF_MANY, class_='lead'),
    search if len(rows) > _MANY else None,
    element('div', table, class_='scroll', tabindex=0),
  )


_LEAD = (
  'In context: the dot is the value in its 95 % interval, the bar is the score'
  ' of real clips, and the dotted bar is the floor, the score of real clips'
  ' against equally many other real clips. Better is to the right.'
)
_LEAD_OF_MANY = (
  ' The best value is bold if all protocols are equal and its interval overlaps'
  ' no other. Click a metric to order the runs by it.'
)


def best(values: Sequence[results.Value | None]) -> int | None:
  """Returns the index of the run that is significantly best, or None.

  The result is None if intervals overlap or are unknown, if a run has no value,
  or if protocols differ.

  Args:
    values: Values of one metric, one for each run.
  """
  if len(values) < 2 or any(v is None or v.value is None for v in values):
    return None
  better = {v.better for v in values}
  protocols = {json.dumps(v.protocol, sort_keys=True) for v in values}
  is_known = all(v.interval for v in values)
  if len(better) > 1 or '' in better or len(protocols) > 1 or not is_known:
    return None
  sign = 1 if better == {'higher'} else -1
  order = sorted(range(len(values)), key=lambda i: sign * values[i].value)
  *others, first = order
  worst_of_first = min(sign * end for end in values[first].interval)
  best_of_others = max(sign * end for i in others for end in values[i].interval)
  return first if worst_of_first > best_of_others else None


def _head(
  name: str, kind: str = '', run: int | None = None, is_run: bool = False
) -> Element:
  """Returns the head of a column, which can be sorted if it has a kind."""
  text = element('span', name, title=name)
  of_run = {'class_': f'run run{run % 8}', 'data_run': run} if is_run else {}
  if not kind:
    return element('th', text, scope='col', **of_run)
  button = element('button', text, type='button')
  return element(
    'th', button, scope='col', aria_sort='none', data_kind=kind, **of_run
  )


def _row_of_one(key: str, found: Sequence[results.Result]) -> Element:
  value = found[0].metrics[key]
  low, _ = value.interval or (None, None)
  interval = cells.interval(value) if value.interval else markup.NONE
  name = {'ok': 'ok', 'weights-missing': 'weights missing'}
  return element(
    'tr',
    cells.name(key, [value]),
    cells.number(markup.number(value.value), value.value, class_='value'),
    cells.number(interval, low),
    element('td', cells.strip([value])),
    cells.number(markup.number(value.real), value.real),
    cells.number(markup.number(value.floor), value.floor),
    element('td', cells.ARROWS[value.better], class_='better'),
    element(
      'td',
      element(
        'span',
        name.get(value.status, value.status),
        class_=f'status {value.status}',
      ),
    ),
    data_status=value.status,
  )


def _row_of_many(key: str, found: Sequence[results.Result]) -> Element:
  values = [result.metrics.get(key) for result in found]
  known = [value for value in values if value]
  is_comparable = len({_comparable(result) for result in found}) == 1
  winner = best(values) if is_comparable else None
  row = []
  for run, value in enumerate(values):
    content = [markup.number(value.value if value else None)]
    if value and value.interval:
      content.append(element('small', cells.interval(value)))
    elif value and value.status == 'weights-missing':
      content.append(element('small', 'weights missing'))
    row.append(
      element(
        'td',
        element('b', content[0]) if run == winner else content[0],
        content[1:],
        class_='n value',
        data_key=cells.sort_key(value and value.value),
        data_run=run,
      )
    )
  better = known[0].better
  return element(
    'tr',
    cells.name(key, known, is_button=True),
    row,
    element('td', cells.strip(values)),
    cells.number_range([value.real for value in known]),
    cells.number_range([value.floor for value in known]),
    data_better=better,
  )


def _comparable(result: results.Result) -> str:
  return json.dumps([result.protocol.get(key) for key in _COMPARABLE])

"""The table of metrics, of one run or of several."""

from collections.abc import Iterable, Sequence
import json

from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import facts
from vgen_jax.evaluation.report import markup
from vgen_jax.evaluation.report import scales

_ARROWS = {'higher': '↑ higher', 'lower': '↓ lower', '': ''}
_TO_DO = {
  'weights-missing': 'Its network has no weights here; the folder VGEN_WEIGHTS'
  ' is where to put them. `vgen evaluate` tells the file and where to get it.',
  'undefined': 'These clips give no number.',
}
_MANY = 12  # Rows that one wants to filter.
# Parts of the protocol that must agree for values to be compared.
_MEASURE = ('num_generated', 'num_real', 'clip_shape', 'real_split')

Element = markup.Markup
element = markup.element


def metrics(
  names: Sequence[str], found: Sequence[results.Result]
) -> Element | None:
  """Returns the table of all metrics of all runs, one row each; None if none.

  Args:
    names: Of the runs.
    found: What their evaluations say.
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
  'In context: the dot is the value, in its 95 % interval; the bar is what real'
  ' clips score, the dotted one their floor, the score of real clips held'
  ' against as many other real clips. Better is to the right.'
)
_LEAD_OF_MANY = (
  ' Bold is best beyond doubt: measured alike, and its interval meets no'
  ' other. A click on a metric orders the runs by it.'
)


def best(values: Sequence[results.Value | None]) -> int | None:
  """Returns which run is best beyond doubt, or None.

  Doubt is where intervals overlap or are not known, where a run has no value,
  or where values were measured in different ways.
  """
  if len(values) < 2 or any(v is None or v.value is None for v in values):
    return None
  better = {v.better for v in values}
  ways = {json.dumps(v.protocol, sort_keys=True) for v in values}
  is_known = all(v.interval for v in values)
  if len(better) > 1 or '' in better or len(ways) > 1 or not is_known:
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
  """Returns the head of a column; a kind makes it one to sort by."""
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
  interval = _interval(value) if value.interval else markup.NONE
  name = {'ok': 'ok', 'weights-missing': 'weights missing'}
  return element(
    'tr',
    _name(key, [value]),
    _number(markup.number(value.value), value.value, class_='value'),
    _number(interval, low),
    element('td', _strip([value])),
    _number(markup.number(value.real), value.real),
    _number(markup.number(value.floor), value.floor),
    element('td', _ARROWS[value.better], class_='better'),
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
  there = [value for value in values if value]
  is_alike = len({_measure(result) for result in found}) == 1
  winner = best(values) if is_alike else None
  cells = []
  for run, value in enumerate(values):
    content = [markup.number(value.value if value else None)]
    if value and value.interval:
      content.append(element('small', _interval(value)))
    elif value and value.status == 'weights-missing':
      content.append(element('small', 'weights missing'))
    cells.append(
      element(
        'td',
        element('b', content[0]) if run == winner else content[0],
        content[1:],
        class_='n value',
        data_key=_key(value and value.value),
        data_run=run,
      )
    )
  better = there[0].better
  return element(
    'tr',
    _name(key, there, is_button=True),
    cells,
    element('td', _strip(values)),
    _range([value.real for value in there]),
    _range([value.floor for value in there]),
    data_better=better,
  )


def _name(
  key: str, values: Sequence[results.Value], is_button: bool = False
) -> Element:
  """Returns the head of a row: name, what to do, and a fold-out of the rest."""
  arrow = _ARROWS[values[0].better][:1] if is_button else ''
  unit = element('span', f'{values[0].unit} {arrow}'.strip(), class_='unit')
  title = element('button', key, type='button') if is_button else key
  shown, folded = (
    [element('p', note, class_='note') for note in dict.fromkeys(notes) if note]
    for notes in (
      [v.note or _TO_DO[v.status] for v in values if v.status != 'ok'],
      [v.note for v in values if v.status == 'ok'],
    )
  )
  protocol = next((v.protocol for v in values if v.protocol), None)
  fold = element(
    'details',
    element('summary', aria_label=f'How {key} is measured'),
    folded,
    facts.table(protocol) if protocol else None,
  )
  return element(
    'th',
    element('span', title, ' ', unit, class_='key'),
    fold if shown or folded or protocol else None,
    shown,
    scope='row',
    data_key=key,
    **({'aria_sort': 'none'} if is_button else {}),
  )


def _strip(values: Sequence[results.Value | None]) -> Element | None:
  """Returns dots in their intervals beside what real clips score."""
  there = [v for v in values if v and v.value is not None]
  marks = {
    kind: [x for v in there if (x := getattr(v, kind)) is not None]
    for kind in ('real', 'floor')
  }
  ends = [end for v in there for end in v.interval or ()]
  every = [*(v.value for v in there), *ends, *marks['real'], *marks['floor']]
  if len(set(every)) < 2:  # A dot alone says nothing.
    return None
  left, right = (124, 6) if there[0].better == 'lower' else (6, 124)
  x_of = scales.fit(every, left, right)
  height = 12 + 8 * len(values)
  parts = [
    element('path', d=f'M{x_of(x)} 2V{height - 2}', class_=kind)
    for kind, numbers in marks.items()
    for x in dict.fromkeys(numbers)
  ]
  for run, value in enumerate(values):
    if value and value.value is not None:
      y = 10 + 8 * run
      low, high = value.interval or (value.value, value.value)
      parts.append(
        element(
          'g',
          element('path', d=f'M{x_of(low)} {y}H{x_of(high)}', class_='span'),
          element('circle', cx=x_of(value.value), cy=y, r=3),
          class_=f'run{run % 8}',
        )
      )
  return element(
    'svg',
    parts,
    viewBox=f'0 0 130 {height}',
    width=130,
    height=height,
    class_='strip',
    aria_hidden='true',
  )


def _range(numbers: Iterable[float | None]) -> Element:
  """Returns a cell with a number, or with the ends of several."""
  known = sorted({x for x in numbers if x is not None})
  if not known:
    return _number(markup.NONE, None)
  low, high = known[0], known[-1]
  text = markup.between(low, high) if high > low else markup.number(low)
  return _number(text, low)


def _number(text: str, key: float | None, class_: str = '') -> Element:
  return element('td', text, class_=f'n {class_}'.strip(), data_key=_key(key))


def _key(value: float | None) -> str:
  """Returns what to sort by; '' for what comes last."""
  return '' if value is None else repr(float(value))


def _interval(value: results.Value) -> str:
  return markup.between(*value.interval, like=value.value)


def _measure(result: results.Result) -> str:
  return json.dumps([result.protocol.get(key) for key in _MEASURE])

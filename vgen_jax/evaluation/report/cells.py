"""Cells of the table of metrics."""

from collections.abc import Iterable, Sequence

from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import markup
from vgen_jax.evaluation.report import scales
from vgen_jax.evaluation.report import settings_table

ARROWS = {'higher': '↑ higher', 'lower': '↓ lower', '': ''}
_STATUS_NOTES = {
  'weights-missing': 'The weights of its network are missing; they belong into'
  ' the folder VGEN_WEIGHTS. `vgen evaluate` prints which file and where to'
  ' download it.',
  'undefined': 'The metric is undefined for these clips.',
}

Element = markup.Markup
element = markup.element


def name(
  key: str, values: Sequence[results.Value], is_button: bool = False
) -> Element:
  """Returns the header cell of the row of a metric.

  It shows the name, the unit, and a note if a value is missing. The definition
  and the protocol are shown after a click.

  Args:
    key: Name of the metric.
    values: Its values, of one or several runs.
    is_button: Whether a click on the name sorts the runs by the metric.
  """
  arrow = ARROWS[values[0].better][:1] if is_button else ''
  unit = element('span', f'{values[0].unit} {arrow}'.strip(), class_='unit')
  title = element('button', key, type='button') if is_button else key
  shown, folded = (
    [element('p', note, class_='note') for note in dict.fromkeys(notes) if note]
    for notes in (
      [v.note or _STATUS_NOTES[v.status] for v in values if v.status != 'ok'],
      [v.note for v in values if v.status == 'ok'],
    )
  )
  definitions = dict.fromkeys(v.definition for v in values if v.definition)
  folded = [
    *[element('p', text, class_='note') for text in definitions],
    *folded,
  ]
  protocol = next((v.protocol for v in values if v.protocol), None)
  fold = element(
    'details',
    element('summary', aria_label=f'How {key} is measured'),
    folded,
    settings_table.table(protocol) if protocol else None,
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


def strip(values: Sequence[results.Value | None]) -> Element | None:
  """Returns a plot of values and their intervals; None if all are equal.

  Lines mark the scores `real` and `floor` of `results.Value`.

  Args:
    values: Values of a metric, one for each run; None where there is none.
  """
  known = [v for v in values if v and v.value is not None]
  marks = {
    kind: [x for v in known if (x := getattr(v, kind)) is not None]
    for kind in ('real', 'floor')
  }
  ends = [end for v in known for end in v.interval or ()]
  every = [*(v.value for v in known), *ends, *marks['real'], *marks['floor']]
  if len(set(every)) < 2:  # A single dot has no scale.
    return None
  left, right = (124, 6) if known[0].better == 'lower' else (6, 124)
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


def number_range(numbers: Iterable[float | None]) -> Element:
  """Returns a cell with a number, or with the range of several numbers.

  Args:
    numbers: Numbers, or None for missing ones.
  """
  numbers = sorted({x for x in numbers if x is not None})
  if not numbers:
    return number(markup.NONE, None)
  low, high = numbers[0], numbers[-1]
  text = markup.between(low, high) if high > low else markup.number(low)
  return number(text, low)


def number(text: str, key: float | None, class_: str = '') -> Element:
  """Returns a cell with a number.

  Args:
    text: Text of the cell.
    key: Number to sort by; None is sorted last.
    class_: More CSS classes.
  """
  return element(
    'td', text, class_=f'n {class_}'.strip(), data_key=sort_key(key)
  )


def sort_key(value: float | None) -> str:
  """Returns the attribute to sort by; '' is sorted last."""
  return '' if value is None else repr(float(value))


def interval(value: results.Value) -> str:
  """Returns the text of the interval of a value."""
  return markup.between(*value.interval, like=value.value)

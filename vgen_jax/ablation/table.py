"""From the metrics of many runs to one table."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from etils import epath
import numpy as np

from vgen_jax.ablation import sweep
from vgen_jax.runtime import writers


class Run(NamedTuple):
  """One run of a sweep.

  Attributes:
    name: Of its workdir.
    overrides: What it changed in the base config, {dotted path: value}.
    metrics: The latest value of each metric, and `step`, that of the latest
      log; {} if it has not begun.
  """

  name: str
  overrides: sweep.Overrides
  metrics: dict[str, float]


def read_run(workdir: str, overrides: sweep.Overrides) -> Run:
  """Reads the metrics of a run; those not in every log count too."""
  metrics: dict[str, float] = {}
  for line in writers.read_metrics(workdir):
    metrics |= line
  return Run(epath.Path(workdir).name, overrides, metrics)


def markdown(
  runs: Iterable[Run],
  *,
  rows: str | Sequence[str],
  value: str,
  num_steps: int | None = None,
) -> str:
  """Returns a table of a metric: its mean, and the standard error of that.

  Below it are the names of runs that are not in it, since they have not begun,
  are not over, or do not have the metric.

  Args:
    runs: Runs to compare.
    rows: Config path, or paths, whose values are the rows; what else differs is
      averaged over.
    value: Name of the metric.
    num_steps: Length of a run that is over; None takes all as they are.
  """
  groups: dict[tuple[str, ...], list[float]] = {}
  absent = []
  for run in runs:
    values = groups.setdefault(sweep.arm(run.overrides, rows), [])
    if why := _absence(run, value, num_steps):
      absent.append(f'{run.name} ({why})')
    else:
      values.append(run.metrics[value])

  paths = [rows] if isinstance(rows, str) else list(rows)
  lines = [_row([*paths, value, 'runs']), '|---' * (len(paths) + 2) + '|']
  lines += [
    _row([*arm, mean_and_error(values), str(len(values))])
    for arm, values in groups.items()
  ]
  if absent:
    lines += ['', f'Not in it: {", ".join(absent)}.']
  return '\n'.join(lines) + '\n'


def mean_and_error(values: Sequence[float]) -> str:
  """Returns 'mean ± standard error', the latter from two values on."""
  if not values:
    return 'none'
  text = f'{np.mean(values):.4g}'
  if len(values) > 1:
    text += f' ± {standard_error(values):.2g}'
  return text


def standard_error(values: Sequence[float]) -> float:
  """Returns that of the mean, by the spread of the values; 0 for one value."""
  if len(values) < 2:
    return 0.0
  return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _absence(run: Run, value: str, num_steps: int | None) -> str:
  """Says why a run cannot be in the table; '' if it can."""
  if not run.metrics:
    return 'not begun'
  if num_steps is not None and run.metrics['step'] < num_steps:
    return f'step {run.metrics["step"]:.0f} of {num_steps}'
  return '' if value in run.metrics else f'no {value}'


def _row(cells: Sequence[str]) -> str:
  return '| ' + ' | '.join(cell.replace('|', r'\|') for cell in cells) + ' |'

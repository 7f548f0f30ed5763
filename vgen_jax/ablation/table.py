"""Tables of a metric over the runs of a sweep."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from vgen_jax.ablation import sweep
from vgen_jax.core import file_paths
from vgen_jax.runtime import writers


class Run(NamedTuple):
  """One run of a sweep.

  Attributes:
    name: Name of the workdir.
    overrides: {dotted path: value} of fields changed in the base config.
    metrics: {name: latest value}, with the `step` of the latest log; {} if the
      run has not started.
  """

  name: str
  overrides: sweep.Overrides
  metrics: dict[str, float]


def read_run(workdir: str, overrides: sweep.Overrides) -> Run:
  """Returns a run with the latest value of each of its metrics."""
  metrics: dict[str, float] = {}
  for line in writers.read_metrics(workdir):
    metrics |= line
  return Run(file_paths.read(workdir).name, overrides, metrics)


def markdown(
  runs: Iterable[Run],
  *,
  rows: str | Sequence[str],
  value: str,
  num_steps: int | None = None,
) -> str:
  """Returns a table of the mean of a metric with its standard error.

  Below the table are the names of runs that are not in it because they have not
  started, are not finished, or do not have the metric.

  Args:
    runs: Runs to compare.
    rows: Config path, or paths, whose values are the rows; values are averaged
      over all other fields.
    value: Name of the metric.
    num_steps: Length of a finished run; None includes unfinished runs.
  """
  groups: dict[tuple[str, ...], list[float]] = {}
  omitted = []
  for run in runs:
    values = groups.setdefault(sweep.arm(run.overrides, rows), [])
    if why := _reason_to_omit(run, value, num_steps):
      omitted.append(f'{run.name} ({why})')
    else:
      values.append(run.metrics[value])

  paths = [rows] if isinstance(rows, str) else list(rows)
  lines = [_row([*paths, value, 'runs']), '|---' * (len(paths) + 2) + '|']
  lines += [
    _row([*arm, mean_and_error(values), str(len(values))])
    for arm, values in groups.items()
  ]
  if omitted:
    lines += ['', f'Not in the table: {", ".join(omitted)}.']
  return '\n'.join(lines) + '\n'


def mean_and_error(values: Sequence[float]) -> str:
  """Returns 'mean ± standard error', 'mean' for one value, 'none' for none."""
  if not values:
    return 'none'
  text = f'{np.mean(values):.4g}'
  if len(values) > 1:
    text += f' ± {standard_error(values):.2g}'
  return text


def standard_error(values: Sequence[float]) -> float:
  """Returns the standard error of the mean of values; 0 for one value."""
  if len(values) < 2:
    return 0.0
  return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _reason_to_omit(run: Run, value: str, num_steps: int | None) -> str:
  """Returns why a run cannot be in the table; '' if it can."""
  if not run.metrics:
    return 'not started'
  if num_steps is not None and run.metrics['step'] < num_steps:
    return f'step {run.metrics["step"]:.0f} of {num_steps}'
  return '' if value in run.metrics else f'no {value}'


def _row(cells: Sequence[str]) -> str:
  return '| ' + ' | '.join(cell.replace('|', r'\|') for cell in cells) + ' |'

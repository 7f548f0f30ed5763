"""Plots of a metric over the runs of a sweep."""

from collections.abc import Sequence
import io
import math

from etils import epath
from matplotlib import figure
import numpy as np

from vgen_jax.ablation import sweep
from vgen_jax.ablation import table
from vgen_jax.core import atomic_files
from vgen_jax.runtime import writers

Curve = dict[float, list[float]]  # {step: values of the runs that have one}


def save(
  path: epath.PathLike,
  workdirs: Sequence[str],
  entries: Sequence[sweep.Overrides],
  *,
  rows: str | Sequence[str],
  value: str,
) -> None:
  """Writes a PNG of a metric over the steps and at the end of the runs.

  An arm consists of the runs with equal values of the paths `rows`. Each arm
  has a line (the mean over its runs), a band of one standard error of the mean
  around it, and a point with an error bar at the last step.

  Args:
    path: Local or gs:// path of the image.
    workdirs: Directories of the runs.
    entries: Overrides of each run.
    rows: Config path, or paths, whose values define the arms.
    value: Name of the metric.

  Raises:
    ValueError: If no run has the metric.
  """
  arms = curves(workdirs, entries, rows=rows, value=value)
  if not arms:
    raise ValueError(
      f'None of {len(workdirs)} runs has logged a finite {value!r}; train the'
      ' runs first, or name a metric that they log.'
    )
  # pyplot is not used because it would change the state of a notebook. There
  # are no curves if only finished runs have the metric.
  has_curves = any(len(curve) > 1 for curve in arms.values())
  size = (10, 4) if has_curves else (5, 4)
  picture = figure.Figure(figsize=size, layout='constrained')
  if has_curves:
    left, right = picture.subplots(1, 2, width_ratios=(2, 1))
  else:
    left, right = None, picture.subplots()
  for position, (arm, curve) in enumerate(arms.items()):
    steps = np.array(sorted(curve))
    mean = np.array([np.mean(curve[step]) for step in steps])
    error = np.array([table.standard_error(curve[step]) for step in steps])
    color = f'C{position % 10}'
    if left:
      left.plot(steps, mean, color=color, label=', '.join(arm))
      low, high = mean - error, mean + error
      left.fill_between(steps, low, high, color=color, alpha=0.2)
    right.errorbar(
      position, mean[-1], error[-1], fmt='o', color=color, capsize=4
    )
  names = [', '.join(arm) for arm in arms]
  right.set_xticks(range(len(names)), names, rotation=20, ha='right')
  right.set_xlim(-0.5, len(names) - 0.5)
  right.set(title='at the end', ylabel='' if left else value)
  if left:
    left.set(xlabel='step', ylabel=value)
    left.legend(title=rows if isinstance(rows, str) else ', '.join(rows))
  buffer = io.BytesIO()
  picture.savefig(buffer, format='png', dpi=120)
  atomic_files.write_bytes(path, buffer.getvalue())


def curves(
  workdirs: Sequence[str],
  entries: Sequence[sweep.Overrides],
  *,
  rows: str | Sequence[str],
  value: str,
) -> dict[tuple[str, ...], Curve]:
  """Returns the finite values of a metric, {arm: {step: values of runs}}.

  Arms without values are left out. The arguments are those of `save`.
  """
  arms: dict[tuple[str, ...], Curve] = {}
  for workdir, overrides in zip(workdirs, entries, strict=True):
    for line in writers.read_metrics(workdir):
      if math.isfinite(line.get(value, math.nan)):
        curve = arms.setdefault(sweep.arm(overrides, rows), {})
        curve.setdefault(line['step'], []).append(line[value])
  return arms

"""From the metrics of many runs to one picture."""

from collections.abc import Sequence
import io
import math

from etils import epath
from matplotlib import figure
import numpy as np

from vgen_jax.ablation import sweep
from vgen_jax.ablation import table
from vgen_jax.runtime import writers

Curve = dict[float, list[float]]  # {step: a value for each run that has one}


def save(
  path: epath.PathLike,
  workdirs: Sequence[str],
  entries: Sequence[sweep.Overrides],
  *,
  rows: str | Sequence[str],
  value: str,
) -> None:
  """Draws a metric over the steps and at the end, as a PNG.

  Each arm is a line of the mean over its runs in a band of the mean's standard
  error, and a point with an error bar where its runs end.

  Args:
    path: Of the picture, local or gs://.
    workdirs: Of the runs.
    entries: What each of them changed in the base config.
    rows: Config path, or paths, whose values are the arms.
    value: Name of the metric.

  Raises:
    ValueError: If no run has the metric.
  """
  arms = curves(workdirs, entries, rows=rows, value=value)
  if not arms:
    raise ValueError(
      f'None of {len(workdirs)} runs has logged a finite {value!r}; there is'
      ' nothing to plot.'
    )
  # Not by pyplot, whose windows and state belong to the notebook.
  # A metric of finished runs alone makes no curves.
  has_curves = any(len(curve) > 1 for curve in arms.values())
  size = (10, 4) if has_curves else (5, 4)
  picture = figure.Figure(figsize=size, layout='constrained')
  if has_curves:
    left, right = picture.subplots(1, 2, width_ratios=(2, 1))
  else:
    left, right = None, picture.subplots()
  for place, (arm, curve) in enumerate(arms.items()):
    steps = np.array(sorted(curve))
    mean = np.array([np.mean(curve[step]) for step in steps])
    error = np.array([table.standard_error(curve[step]) for step in steps])
    color = f'C{place % 10}'
    if left:
      left.plot(steps, mean, color=color, label=', '.join(arm))
      low, high = mean - error, mean + error
      left.fill_between(steps, low, high, color=color, alpha=0.2)
    right.errorbar(place, mean[-1], error[-1], fmt='o', color=color, capsize=4)
  names = [', '.join(arm) for arm in arms]
  right.set_xticks(range(len(names)), names, rotation=20, ha='right')
  right.set_xlim(-0.5, len(names) - 0.5)
  right.set(title='at the end', ylabel='' if left else value)
  if left:
    left.set(xlabel='step', ylabel=value)
    left.legend(title=rows if isinstance(rows, str) else ', '.join(rows))
  buffer = io.BytesIO()
  picture.savefig(buffer, format='png', dpi=120)
  epath.Path(path).write_bytes(buffer.getvalue())


def curves(
  workdirs: Sequence[str],
  entries: Sequence[sweep.Overrides],
  *,
  rows: str | Sequence[str],
  value: str,
) -> dict[tuple[str, ...], Curve]:
  """Returns {arm: {step: values of its runs}}, finite ones, by `save`'s args.

  An arm without any value is left out.
  """
  arms: dict[tuple[str, ...], Curve] = {}
  for workdir, overrides in zip(workdirs, entries, strict=True):
    for line in writers.read_metrics(workdir):
      if math.isfinite(line.get(value, math.nan)):
        curve = arms.setdefault(sweep.arm(overrides, rows), {})
        curve.setdefault(line['step'], []).append(line[value])
  return arms

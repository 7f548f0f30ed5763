"""Runs an experiment: one training run per entry of its sweep, then a table.

  vgen ablate --experiment=muon_or_adamw --workdir=runs/muon_or_adamw

The runs are written to WORKDIR/000, 001, ..., the table to WORKDIR/table.md and
the plot to WORKDIR/plot.png. An experiment may add metrics of its finished runs
with a function MEASURE(run) -> {name: number}, for instance by `run.evaluate`.
To resume, repeat the command: finished runs are kept, and the interrupted one
continues. To divide a sweep among machines, give each its own --only=I/N; the
machine that finishes last writes table and plot. The last line of output is one
JSON object.
"""

import argparse
from collections.abc import Callable
import json
import logging
from typing import Any

from vgen_jax.cli import cluster
from vgen_jax.config import python_files
from vgen_jax.config import shipped
from vgen_jax.core import atomic_files
from vgen_jax.core import checks
from vgen_jax.core import file_paths

_log = logging.getLogger(__name__)
_REQUIRED = ('BASE', 'SWEEP', 'ROWS', 'VALUE')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(overrides=())  # It accepts --config.x=value.
  parser.add_argument(
    '--experiment',
    type=file_paths.argument,
    required=True,
    help='Name of an experiment that ships with vgen_jax, or FILE.py.',
  )
  parser.add_argument(
    '--workdir',
    type=file_paths.argument,
    required=True,
    help='Directory of all runs of the experiment.',
  )
  parser.add_argument(
    '--only',
    default='0/1',
    metavar='I/N',
    help='Train only the runs I, I + N, I + 2N, ..., counted from 0.',
  )
  parser.add_argument(
    '--json', action='store_true', help='Print only the JSON object.'
  )
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  import jax

  from vgen_jax.config import loading as config_lib
  from vgen_jax.config import settings as settings_lib
  from vgen_jax.inference import hooks
  from vgen_jax.runtime import preemption
  from vgen_jax.runtime.pod import agreement
  from vgen_jax.training import loop

  cluster.join(args, polls=True)
  say = (lambda text: None) if args.json else print
  experiment = _load(args.experiment)
  base = config_lib.load(experiment['BASE'])
  fixed = config_lib.parse_overrides(args.overrides)
  entries = list(experiment['SWEEP'])
  configs = [config_lib.replace(base, {**o, **fixed}) for o in entries]
  agreement.check({f'config {i}': c.to_dict() for i, c in enumerate(configs)})
  for config in configs:  # An error in the last entry is raised at the start.
    settings_lib.read(config)
  workdirs = [f'{args.workdir}/{i:03d}' for i in range(len(entries))]

  preempted = preemption.Preemption()
  for i in _indices(args.only, len(entries)):
    _log.info('Run %d of %d: %s', i, len(entries), entries[i])
    state = loop.train(
      configs[i], workdirs[i], hooks=hooks.standard(), preempted=preempted
    )
    if preempted.has_stopped or int(state.step) < configs[i].num_steps:
      say(f'Run {i} stopped at step {int(state.step)}; repeat to resume.')
      print(json.dumps({'ablation': {'open': workdirs[i:]}}))
      return preempted.status
    _measure(experiment.get('MEASURE'), workdirs[i])

  if jax.process_index() == 0:
    num_steps = [config.num_steps for config in configs]
    _write_table(experiment, args.workdir, workdirs, num_steps, say)
  return 0


def _write_table(
  experiment: dict[str, Any],
  workdir: str,
  workdirs: list[str],
  num_steps: list[int],
  say: Callable[[str], None],
) -> None:
  """Writes table and plot, or prints the runs that are not finished yet."""
  from vgen_jax.ablation import plot
  from vgen_jax.ablation import table

  entries = list(experiment['SWEEP'])
  runs = [
    table.read_run(folder, overrides)
    for folder, overrides in zip(workdirs, entries, strict=True)
  ]
  unfinished = [
    folder
    for folder, run_, steps in zip(workdirs, runs, num_steps, strict=True)
    if run_.metrics.get('step') != steps
  ]
  if unfinished:
    say(f'Not finished: {unfinished}. The table is written when all are.')
    print(json.dumps({'ablation': {'open': unfinished}}))
    return
  rows, value = experiment['ROWS'], experiment['VALUE']
  text = table.markdown(runs, rows=rows, value=value)
  folder = file_paths.read(workdir)
  atomic_files.write_text(folder / 'table.md', text)
  plot.save(folder / 'plot.png', workdirs, entries, rows=rows, value=value)
  say(text)
  print(json.dumps({'ablation': {'table': f'{folder}/table.md'}}))


def _measure(
  measure: Callable[[Any], dict[str, float]] | None, workdir: str
) -> None:
  """Adds the experiment's own metrics to those of a finished run.

  The metrics are computed again if the checkpoint, the experiment or vgen_jax
  has changed since.
  """
  if measure is None:
    return
  import jax

  from vgen_jax.inference import runs
  from vgen_jax.runtime import workdir as workdir_lib
  from vgen_jax.runtime import writers

  marker = file_paths.read(workdir) / 'measured.json'
  identity = _identity(measure, workdir)
  if marker.exists() and _read_identity(marker.read_text()) == identity:
    return
  loaded = runs.load(workdir)
  values = measure(loaded)
  with (
    workdir_lib.locked(workdir),
    writers.Writer(workdir, loaded.step, tensorboard=False) as writer,
  ):
    # A process that was killed here may have written the line already.
    lines = [x for x in writers.read_metrics(workdir) if set(values) <= set(x)]
    if marker.exists() or loaded.step not in [x['step'] for x in lines]:
      writer.write_metrics(loaded.step, values)
    if jax.process_index() == 0:
      content = {'identity': identity, 'values': values}
      atomic_files.write_text(marker, json.dumps(content) + '\n')


def _identity(measure: Callable[..., Any], workdir: str) -> dict[str, str]:
  """Returns what the values of MEASURE depend on."""
  from vgen_jax.config import classes
  from vgen_jax.config import loading as config_lib
  from vgen_jax.core import digests
  from vgen_jax.runtime import checkpoints
  from vgen_jax.runtime import damage

  step = str(checkpoints.steps(workdir)[-1])
  config = config_lib.load(f'{workdir}/config.json')
  return {
    'checkpoint': damage.identity(checkpoints.folder_of(workdir) / step),
    'experiment': digests.file(measure.__code__.co_filename),
    'code': digests.code(),
    **classes.code_of_others(config.to_dict()),
  }


def _read_identity(text: str) -> Any:
  """Returns the identity in a file; None if it is damaged or has none."""
  try:
    content = json.loads(text)
  except ValueError:
    return None
  return content.get('identity') if isinstance(content, dict) else None


def _load(path: str) -> dict[str, Any]:
  if shipped.is_name(path):
    path = str(shipped.find('experiments', path))
  elif not file_paths.read(path).exists():
    names = [str(p) for p in file_paths.read(path).parent.glob('*.py')]
    raise ValueError(f'No such file: {path}.{checks.hint(path, names)}')
  experiment = python_files.run(path)
  for name in _REQUIRED:
    if name not in experiment:
      raise ValueError(f'{path} has no {name}; it needs {list(_REQUIRED)}.')
  return experiment


def _indices(only: str, count: int) -> range:
  """Returns the indices of the runs that --only selects."""
  first, slash, step = only.partition('/')
  if not (slash and first.isdigit() and step.isdigit()) or int(first) >= int(
    step
  ):
    raise ValueError(f'--only is {only!r}; write I/N with I from 0 to N - 1.')
  return range(int(first), count, int(step))

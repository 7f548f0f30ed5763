"""Runs an experiment: one training run per entry of its sweep, then a table.

  vgen ablate --experiment=experiments/x.py --workdir=runs/x

Entries go to <workdir>/000, 001, ...; the table to <workdir>/table.md and the
plot to <workdir>/plot.png. An experiment may measure its finished runs by a
function MEASURE(run) -> {name: number}, for instance with `run.evaluate`. To go
on, repeat the command: runs that are done stay, and the one that was cut goes
on. To share a sweep among machines, give each its --only=i/n; whoever finishes
last writes table and plot. The last line is one JSON object.
"""

import argparse
from collections.abc import Callable
import json
import logging
import runpy

from etils import epath
import jax

from vgen_jax.ablation import plot
from vgen_jax.ablation import table
from vgen_jax.cli import cluster
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import checks
from vgen_jax.inference import hooks
from vgen_jax.inference import runs as runs_lib
from vgen_jax.runtime import writers
from vgen_jax.training import loop

_log = logging.getLogger(__name__)
_NEEDED = ('BASE', 'SWEEP', 'ROWS', 'VALUE')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument('--experiment', required=True, help='Of experiments/.')
  parser.add_argument('--workdir', required=True, help='Where its runs go.')
  parser.add_argument(
    '--only', default='0/1', help='i/n: entries i, i + n, i + 2n, ...'
  )
  parser.add_argument(
    '--json', action='store_true', help='Print nothing but the JSON object.'
  )
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  cluster.join(args)
  say = (lambda text: None) if args.json else print
  experiment = _load(args.experiment)
  base = config_lib.load(experiment['BASE'])
  fixed = config_lib.parse_overrides(args.overrides)
  entries = list(experiment['SWEEP'])
  configs = [config_lib.replace(base, {**o, **fixed}) for o in entries]
  for config in configs:  # A typo in the last entry is told before the first.
    settings_lib.read(config)
  workdirs = [f'{args.workdir}/{i:03d}' for i in range(len(entries))]

  for i in _share(args.only, len(entries)):
    _log.info('Run %d of %d: %s', i, len(entries), entries[i])
    state = loop.train(configs[i], workdirs[i], hooks=hooks.standard())
    if int(state.step) < configs[i].num_steps:
      say(f'Stopped at step {int(state.step)} of run {i}; repeat to go on.')
      print(json.dumps({'ablation': {'open': workdirs[i:]}}))
      return 0
    _measure(experiment.get('MEASURE'), workdirs[i])

  if jax.process_index():
    return 0
  runs = [
    table.read_run(workdir, overrides)
    for workdir, overrides in zip(workdirs, entries, strict=True)
  ]
  open_ = [
    workdir
    for workdir, run_, config in zip(workdirs, runs, configs, strict=True)
    if run_.metrics.get('step') != config.num_steps
  ]
  if open_:
    say(f'Still open: {open_}. The table waits for them.')
    print(json.dumps({'ablation': {'open': open_}}))
    return 0
  rows, value = experiment['ROWS'], experiment['VALUE']
  text = table.markdown(runs, rows=rows, value=value)
  folder = epath.Path(args.workdir)
  (folder / 'table.md').write_text(text)
  plot.save(folder / 'plot.png', workdirs, entries, rows=rows, value=value)
  say(text)
  print(json.dumps({'ablation': {'table': f'{folder}/table.md'}}))
  return 0


def _measure(
  measure: Callable[[runs_lib.Run], dict[str, float]] | None, workdir: str
) -> None:
  """Adds an experiment's own metrics to those of a finished run, once."""
  if measure is None:
    return
  marker = epath.Path(workdir) / 'measured.json'
  if marker.exists():
    return
  run_ = runs_lib.load(workdir)
  values = measure(run_)
  with writers.Writer(workdir, run_.step, tensorboard=False) as writer:
    writer.write_metrics(run_.step, values)
  if jax.process_index() == 0:
    marker.write_text(json.dumps(values) + '\n')


def _load(path: str) -> dict:
  if not epath.Path(path).exists():
    names = [str(p) for p in epath.Path(path).parent.glob('*.py')]
    raise ValueError(f'No experiment {path}.{checks.hint(path, names)}')
  experiment = runpy.run_path(path)
  for name in _NEEDED:
    if name not in experiment:
      raise ValueError(f'{path} has no {name}; it needs {list(_NEEDED)}.')
  return experiment


def _share(only: str, count: int) -> range:
  share, slash, shares = only.partition('/')
  if not (slash and share.isdigit() and shares.isdigit()) or int(share) >= int(
    shares
  ):
    raise ValueError(f'--only is {only!r}; write i/n with i from 0 to n - 1.')
  return range(int(share), count, int(shares))

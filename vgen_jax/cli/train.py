"""Trains a model.

  vgen train --config=dit_world --workdir=runs/dit

Any field of the config can be set by its path, as in
--config.optim.schedule.peak=1e-3, and a size is selected as in
--config=dit_world:smoke. To resume a run, repeat its command, or give only its
workdir. SIGTERM and Ctrl-C save a checkpoint and stop the run, and the
exit status is 143 or 130. Samples and evaluations that were due at that step
are computed when the run is resumed.
"""

import argparse
import logging
import shlex

from vgen_jax.cli import cluster
from vgen_jax.core import checks
from vgen_jax.core import file_paths

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(overrides=())  # It accepts --config.x=value.
  parser.add_argument(
    '--config',
    type=file_paths.argument,
    default=None,
    help='NAME or NAME:SIZE of a config that `vgen configs` lists, FILE.py or'
    ' FILE.py:SIZE, or the config.json of a run (default: the'
    ' config.json of the workdir).',
  )
  parser.add_argument(
    '--workdir',
    type=file_paths.argument,
    required=True,
    help='Directory of the run: checkpoints, metrics and samples.',
  )
  parser.add_argument(
    '--stop_at',
    type=int,
    default=None,
    help='Stop after this step, as if preempted; schedules are unchanged'
    ' (default: the last step of the config).',
  )
  parser.add_argument(
    '--profile',
    default=None,
    metavar='FIRST,LAST',
    help='First and last step to trace with jax.profiler, into'
    ' WORKDIR/profile (default: no trace).',
  )
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  import jax

  from vgen_jax.config import loading as config_lib
  from vgen_jax.inference import hooks
  from vgen_jax.inference import start_summary
  from vgen_jax.runtime import preemption
  from vgen_jax.training import compilation
  from vgen_jax.training import loop

  steps = _profile(args.profile)
  if args.stop_at is not None:
    checks.at_least('--stop_at', args.stop_at, 0)
  cluster.join(args, polls=True)
  path = args.config or f'{args.workdir}/config.json'
  if args.config is None and not file_paths.read(path).exists():
    raise ValueError(
      f'{args.workdir} contains no run to resume; give a --config to start one.'
    )
  config = config_lib.replace(
    config_lib.load(path), config_lib.parse_overrides(args.overrides)
  )
  _warn_without_accelerator(path)
  all_hooks, preempted = hooks.standard(), preemption.Preemption()
  try:
    state = loop.train(
      config,
      args.workdir,
      stop_at=args.stop_at,
      profile=steps,
      hooks=all_hooks,
      preempted=preempted,
    )
  except compilation.DoesNotFitError as error:
    raise ValueError(f'{error} {_smaller_sizes(path)}'.strip()) from error
  if preempted.has_stopped or int(state.step) < config.num_steps:
    command = shlex.join(['vgen', 'train', f'--workdir={args.workdir}'])
    print(f'Stopped at step {int(state.step)}. Resume with: {command}')
    return preempted.status
  if jax.process_index() == 0:
    [start] = [x for x in all_hooks if isinstance(x, start_summary.LogStart)]
    workdir = shlex.quote(args.workdir)
    print(f'Finished at step {int(state.step)}. Next:')
    for command in start_summary.next_commands(workdir, start.tasks):
      print(f'  {command}')
  return preempted.status


def _warn_without_accelerator(path: str) -> None:
  """Warns if the size of a config needs an accelerator and there is none."""
  import jax

  from vgen_jax.config import loading as config_lib
  from vgen_jax.config import shipped

  if path.endswith('.json') or jax.default_backend() != 'cpu':
    return
  file, size = config_lib.split(path)
  needs, others = shipped.describe_size(f'{file}:{size}' if size else file)
  if needs:
    _log.warning(
      '%s needs an accelerator (GPU or TPU), and JAX has found none. %s',
      path,
      others,
    )


def _smaller_sizes(path: str) -> str:
  """Returns a sentence that names sizes for less memory; '' if unknown."""
  from vgen_jax.config import loading as config_lib
  from vgen_jax.config import shipped

  if path.endswith('.json'):
    return ''
  file, size = config_lib.split(path)
  return shipped.describe_size(f'{file}:{size}' if size else file)[1]


def _profile(text: str | None) -> tuple[int, int] | None:
  if text is None:
    return None
  first, comma, last = text.partition(',')
  if not (comma and first.isdigit() and last.isdigit()):
    raise ValueError(f'--profile is {text!r}; write FIRST,LAST, such as 10,20.')
  checks.at_least('the first step of --profile', int(first), 1)
  checks.at_least('the last step of --profile', int(last), int(first))
  return int(first), int(last)

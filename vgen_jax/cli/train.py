"""Trains a model.

  vgen train --config=configs/dit_world.py --workdir=runs/dit

Any field of the config can be set from here: --config.optim.schedule.peak=1e-3.
A size is chosen as in --config=configs/dit_world.py:smoke. To go on with a run,
repeat its command, or name its workdir alone. SIGTERM and Ctrl-C save first.
"""

import argparse
import shlex

from etils import epath

from vgen_jax.cli import cluster
from vgen_jax.config import loading as config_lib
from vgen_jax.inference import hooks
from vgen_jax.training import loop


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    '--config', default=None, help='File of configs/, or a config.json.'
  )
  parser.add_argument(
    '--workdir', required=True, help='Where a run keeps its files.'
  )
  parser.add_argument(
    '--stop_at', type=int, default=None, help='Step to leave off at.'
  )
  parser.add_argument(
    '--profile', default=None, metavar='FIRST,LAST', help='Steps to trace.'
  )
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  cluster.join(args)
  path = args.config or f'{args.workdir}/config.json'
  if args.config is None and not epath.Path(path).exists():
    raise ValueError(
      f'{args.workdir} holds no run to go on with; name a --config.'
    )
  config = config_lib.replace(
    config_lib.load(path), config_lib.parse_overrides(args.overrides)
  )
  state = loop.train(
    config,
    args.workdir,
    stop_at=args.stop_at,
    profile=_profile(args.profile),
    hooks=hooks.standard(),
  )
  if int(state.step) < config.num_steps:
    command = shlex.join(['vgen', 'train', f'--workdir={args.workdir}'])
    print(f'Stopped at step {int(state.step)}. Go on with: {command}')
  return 0


def _profile(text: str | None) -> tuple[int, int] | None:
  if text is None:
    return None
  first, comma, last = text.partition(',')
  if not (comma and first.isdigit() and last.isdigit()):
    raise ValueError(f'--profile is {text!r}; write FIRST,LAST, as 10,20.')
  return int(first), int(last)

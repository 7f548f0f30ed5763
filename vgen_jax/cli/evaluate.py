"""Measures clips drawn from a trained model.

  vgen evaluate --workdir=runs/dit --metrics=verifier,fvd --num=2048
  vgen evaluate --workdir=runs/dit --metrics=all \
      --set model.guidance=2 evaluation.infinity=True

Writes <workdir>/evaluation/<step>.json, all values with their intervals and
protocol, and <step>.html, to look at. SIGTERM and Ctrl-C keep what is measured
so far; to go on, repeat the command. The last line is one JSON object. A metric
whose weights are missing has no value; if it was asked for by name, the exit
status is 1.
"""

import argparse
import itertools
import json
import sys

import jax

from vgen_jax.cli import cluster
from vgen_jax.config import loading as config_lib
from vgen_jax.evaluation.metrics import registry
from vgen_jax.evaluation.metrics import results
from vgen_jax.inference import runs
from vgen_jax.runtime import preemption


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument('--workdir', required=True, help='Of the run.')
  parser.add_argument(
    '--metrics',
    default='verifier',
    help=f'Names, with commas: {", ".join(registry.known())}.',
  )
  parser.add_argument('--num', type=int, default=256, help='Clips to draw.')
  parser.add_argument('--seed', type=int, default=0, help='Of the noise.')
  parser.add_argument(
    '--step', type=int, default=None, help='Checkpoint; else the latest.'
  )
  parser.add_argument(
    '--batch_size', type=int, default=64, help='Clips to draw at a time.'
  )
  parser.add_argument(
    '--set',
    nargs='+',
    default=[],
    action='extend',
    metavar='PATH=VALUE',
    help='Fields of the config to change, as in evaluation.context=4.',
  )
  parser.add_argument(
    '--json', action='store_true', help='Print nothing but the JSON object.'
  )
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  cluster.join(args)
  metrics = registry.check(args.metrics.split(','))  # Before anything is read.
  overrides = config_lib.parse_overrides([*args.set, *args.overrides])
  found = runs.load(args.workdir, step=args.step, overrides=overrides)
  polls = itertools.count(1)
  with preemption.Preemption() as preempted:
    result = found.evaluate(
      metrics,
      args.num,
      seed=args.seed,
      batch_size=args.batch_size,
      stop=lambda: preempted.asked(next(polls)),
    )
  if jax.process_index():
    return 0
  told = {'step': found.step, 'workdir': args.workdir}
  if result is None:
    print('Stopped; repeat the command to go on.', file=sys.stderr)
    print(json.dumps({'evaluate': {**told, 'stopped': True}}))
    return 0
  if not args.json:
    print(_table(result))
  missing = {
    name: value.note
    for name, value in result.metrics.items()
    if value.status == 'weights-missing'
  }
  for name, note in missing.items():
    print(f'{name}: {note}', file=sys.stderr)
  folder = f'{args.workdir}/{results.FOLDER}'
  told |= {
    'json': f'{folder}/{found.step}.json',
    'html': f'{folder}/{found.step}.html',
    'metrics': {name: value.value for name, value in result.metrics.items()},
    'weights_missing': list(missing),
  }
  print(json.dumps({'evaluate': told}))
  return 1 if missing and set(metrics) != {registry.ALL} else 0


def _table(result: results.Result) -> str:
  """Returns the values as Markdown."""
  lines = [
    '| metric | value | 95 % | real clips | floor |',
    '|---|---|---|---|---|',
  ]
  for name, value in result.metrics.items():
    interval = ' to '.join(map(_cell, value.interval or ()))
    cells = [_cell(x) for x in (value.value, value.real, value.floor)]
    cells[0] = f'{cells[0]} {value.unit}'.strip() or value.status
    cells.insert(1, interval)
    lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines)


def _cell(number: float | None) -> str:
  return '' if number is None else f'{number:.4g}'

r"""Generates clips with a trained model and computes metrics.

  vgen evaluate --workdir=runs/dit --metrics=verifier,fvd --num=2048
  vgen evaluate --workdir=runs/dit --metrics=all \
      --set model.guidance=2 evaluation.infinity=True
  vgen evaluate --list

Writes WORKDIR/evaluation/NAME.json, with all values, their 95 % intervals and
the protocol (the settings that affect the values), and NAME.html to open in a
browser. NAME has the step, the number of clips and a digest of the protocol.
Evaluations with the same protocol are merged. Evaluations with different
protocols, such as another seed or guidance, are kept in separate files, and
`vgen report ONE.json TWO.json` compares them. SIGTERM and Ctrl-C keep what has
been computed; the exit status is then 143 or 130, and the same command resumes
the evaluation. The last line of output is one JSON object. A metric whose
weights are missing has no value; if it was named in --metrics, the exit status
is 1.
"""

import argparse
import json
import sys
from typing import Any

from vgen_jax.cli import cluster
from vgen_jax.core import file_paths

# Fields of config.evaluation that flags set.
_FLAGS = {
  'metrics': 'metrics',
  'num_clips': 'num',
  'seed': 'seed',
  'batch_size': 'batch_size',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(overrides=())  # It accepts --config.x=value.
  parser.add_argument(
    '--workdir',
    type=file_paths.argument,
    default=None,
    help='Directory of the run to evaluate; required, except with --list.',
  )
  parser.add_argument(
    '--metrics',
    default='all',
    help='Names of metrics, separated by commas; all computes every metric that'
    ' fits the data and the model.',
  )
  parser.add_argument(
    '--list', action='store_true', help='Print the names of all metrics.'
  )
  parser.add_argument(
    '--num', type=int, default=256, help='Number of clips to generate.'
  )
  parser.add_argument(
    '--seed',
    type=int,
    default=0,
    help='Seed of the noise, 0 to 4294967295.',
  )
  parser.add_argument(
    '--step',
    type=int,
    default=None,
    help='Checkpoint step to load (default: the latest).',
  )
  parser.add_argument(
    '--batch_size',
    type=int,
    default=64,
    help='Number of clips generated at a time.',
  )
  parser.add_argument(
    '--set',
    nargs='+',
    default=[],
    action='extend',
    metavar='PATH=VALUE',
    help='Config fields to change, such as evaluation.context=4 (default:'
    ' none).',
  )
  parser.add_argument(
    '--json', action='store_true', help='Print only the JSON object.'
  )
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  from vgen_jax.evaluation.metrics import registry

  if args.list:
    print('\n'.join(registry.available()))
    return 0
  if args.workdir is None:
    raise ValueError(
      '--workdir is missing; give the directory of the run to evaluate.'
    )
  import jax

  from vgen_jax.config import loading as config_lib
  from vgen_jax.inference import runs
  from vgen_jax.runtime import preemption

  cluster.join(args, polls=True)
  # Checked before anything is read.
  metrics = registry.check_names(args.metrics.split(','))
  overrides = config_lib.parse_overrides([*args.set, *args.overrides])
  for field, flag in _FLAGS.items():
    if f'evaluation.{field}' in overrides:
      raise ValueError(
        f'config.evaluation.{field} has no effect here; use --{flag}.'
      )
  loaded = runs.load(args.workdir, step=args.step, overrides=overrides)
  with preemption.Preemption() as preempted:
    result = loaded.evaluate(
      metrics,
      args.num,
      seed=args.seed,
      batch_size=args.batch_size,
      stop=preempted.should_stop,
    )
    preempted.has_stopped = result is None and preempted.should_stop()
  if jax.process_index():
    return preempted.status
  if result is None:
    print('Stopped; repeat the command to resume.', file=sys.stderr)
    summary = {'step': loaded.step, 'workdir': args.workdir, 'stopped': True}
    print(json.dumps({'evaluate': summary}))
    return preempted.status
  missing = _print_result(result, args)
  return 1 if missing and set(metrics) != {registry.ALL} else 0


def _print_result(result: Any, args: argparse.Namespace) -> dict[str, str]:
  """Prints a result; returns notes on the metrics whose weights are missing."""
  from vgen_jax.evaluation.metrics import results

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
  summary = {
    'step': result.step,
    'workdir': args.workdir,
    'json': f'{folder}/{result.name}.json',
    'html': f'{folder}/{result.name}.html',
    'metrics': {name: value.value for name, value in result.metrics.items()},
    'weights_missing': list(missing),
  }
  print(json.dumps({'evaluate': summary}))
  return missing


def _table(result: Any) -> str:
  """Returns the values of a result as a Markdown table."""
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

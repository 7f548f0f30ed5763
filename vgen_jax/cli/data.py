"""Prepares, encodes, inspects and benchmarks datasets.

  vgen data prepare ucf101 --source=downloads --out=datasets
  vgen data inspect --data_dir=datasets/ucf101/1.0.0
  vgen data encode --workdir=runs/fsq_world --out=datasets
  vgen data bench

`vgen data COMMAND --help` lists the flags of a command.
"""

import argparse
import importlib

from vgen_jax.core import checks

_COMMANDS = ('prepare', 'encode', 'inspect', 'bench')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(overrides=())  # It accepts --config.x=value.
  parser.add_argument('command', help=f'One of: {", ".join(_COMMANDS)}.')
  parser.add_argument(
    'rest', nargs=argparse.REMAINDER, help='Arguments of the command.'
  )
  parser.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> int:
  """Runs a sub-command with its own parser; returns the exit code."""
  name = args.command
  checks.one_of('COMMAND of vgen data', name, _COMMANDS)
  module = importlib.import_module(f'vgen_jax.cli.data_{name}')
  parser = type(args.parser)(
    prog=f'vgen data {name}',
    description=module.__doc__,
    formatter_class=args.parser.formatter_class,
    allow_abbrev=False,
  )
  parser.add_argument(
    '--debug', action='store_true', help='Show tracebacks of errors.'
  )
  module.add_arguments(parser)
  overrides = [f'--config.{word}' for word in args.overrides]
  return module.run(parser.parse([*args.rest, *overrides]))

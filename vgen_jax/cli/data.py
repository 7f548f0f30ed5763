"""Prepares, encodes, inspects and times datasets.

  vgen data prepare ucf101 --source=downloads --out=datasets
  vgen data inspect --data_dir=datasets/ucf101/1.0.0
  vgen data encode --workdir=runs/fsq_world --out=datasets
  vgen data bench

`vgen data COMMAND --help` tells the flags of each.
"""

import argparse
import importlib

from vgen_jax.core import checks

_COMMANDS = ('prepare', 'encode', 'inspect', 'bench')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument('command', help=', '.join(_COMMANDS))
  parser.add_argument(
    'rest', nargs=argparse.REMAINDER, help='Its own words and flags.'
  )
  parser.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> int:
  """Runs a command of its own, with a parser of its own."""
  name = args.command
  if name not in _COMMANDS:
    raise ValueError(
      f'No command {name!r} of data.{checks.hint(name, list(_COMMANDS))}'
    )
  module = importlib.import_module(f'vgen_jax.cli.data_{name}')
  parser = type(args.parser)(
    prog=f'vgen data {name}',
    description=module.__doc__,
    formatter_class=args.parser.formatter_class,
    allow_abbrev=False,
  )
  parser.add_argument('--debug', action='store_true', help='Tracebacks.')
  module.add_arguments(parser)
  overrides = [f'--config.{word}' for word in args.overrides]
  return module.run(parser.parse([*args.rest, *overrides]))

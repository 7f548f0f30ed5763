"""Measures the speed of the pipeline relative to loops that only decode.

  vgen data bench
  vgen data bench --formats=jpeg --shapes=16x64x64 --rounds=9

A bare loop decodes bytes that are in memory; for `raw`, it reads records
without decoding; for `world`, it generates clips. The pipeline shuffles, reads,
decodes, crops and batches. In each round, both run for about a second of CPU
time. The result is the median over rounds in clips per CPU-second, since wall
time also depends on other processes. Prints a table in Markdown and, at the
end, a line of JSON.
"""

import argparse

FORMATS = ('jpeg', 'mp4', 'raw', 'world')
_SHAPES = '16x64x64,32x128x128'


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    '--formats',
    default=','.join(FORMATS),
    help=f'Formats to measure, separated by commas: {", ".join(FORMATS)}.',
  )
  parser.add_argument(
    '--shapes',
    default=_SHAPES,
    help='Shapes TxHxW of clips, separated by commas.',
  )
  parser.add_argument('--rounds', type=int, default=5, help='Number of rounds.')
  parser.add_argument(
    '--seconds',
    type=float,
    default=1.0,
    help='CPU time of a round, in seconds.',
  )
  parser.add_argument(
    '--num_clips', type=int, default=64, help='Number of clips of the dataset.'
  )
  parser.add_argument(
    '--num_threads',
    type=int,
    default=2,
    help='Number of batches read at a time.',
  )
  parser.add_argument(
    '--json', action='store_true', help='Only print the line of JSON.'
  )


def run(args: argparse.Namespace) -> int:
  from vgen_jax.cli import time_pipeline

  return time_pipeline.run(args)

"""Prints the schema, size, durations and speed of a dataset; shows clips.

  vgen data inspect --data_dir=datasets/ucf101/1.0.0
  vgen data inspect --dataset=bair_robot_pushing_small --split=test
  vgen data inspect --config=dit_world --out=sheet.png

Writes an image of clips, with a row of frames per clip. The last line of the
output is JSON. The speed is measured by reading clips one by one in one thread.
"""

import argparse

from vgen_jax.core import file_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(overrides=())  # It accepts --config.x=value.
  parser.add_argument(
    '--data_dir',
    type=file_paths.argument,
    default=None,
    help='Folder of a TFDS dataset; one of --data_dir, --dataset and --config'
    ' is required.',
  )
  parser.add_argument(
    '--dataset',
    default=None,
    help='Name of a dataset in the TFDS catalogue (default: none).',
  )
  parser.add_argument(
    '--config',
    type=file_paths.argument,
    default=None,
    help='Name or file of a config whose data are inspected (default: none).',
  )
  parser.add_argument('--split', default='train', help='Split to inspect.')
  parser.add_argument(
    '--clip_shape',
    default=None,
    help='t,h,w,c of the clips of a TFDS dataset (default: 16,64,64,3).',
  )
  parser.add_argument(
    '--num', type=int, default=8, help='Number of clips in the image.'
  )
  parser.add_argument(
    '--scan',
    type=int,
    default=200,
    help='Number of examples to read, evenly spaced.',
  )
  parser.add_argument(
    '--out',
    type=file_paths.argument,
    default='sheet.png',
    help='File of the image of clips.',
  )


def run(args: argparse.Namespace) -> int:
  from vgen_jax.cli import inspect_dataset

  return inspect_dataset.run(args)

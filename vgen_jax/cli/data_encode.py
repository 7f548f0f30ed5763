"""Encodes clips once, so that training does not encode them in each step.

  vgen data encode --workdir=runs/fsq_world --out=datasets
  vgen data encode --workdir=runs/fsq_world --out=datasets --split=validation
  vgen data encode --workdir=runs/fsq_world --out=datasets \\
      --data=maskgit_world --config.data.num_clips=10000

The tokenizer is that of the run in --workdir, with the average of parameters
that the run samples from. The clips are those that the tokenizer was trained
on, or those of the config in --data. If the tokenizer has a codebook, codes are
stored, otherwise latents. Train with

  config.data = {'name': 'data.encoded.Encoded', 'folder': <folder>}
  config.frozen = {'autoencoder': <workdir>}

The last line of the output is JSON with the folder: <out>/<digest of tokenizer
and data>. To resume an interrupted command, repeat it. Each host of a pod
encodes a part of the clips. Clips are fixed: there are no random windows, crops
or flips in training.
"""

import argparse

from vgen_jax.cli import cluster
from vgen_jax.core import file_paths

DTYPES = ('float16', 'float32')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(overrides=())  # It accepts --config.x=value.
  parser.add_argument(
    '--workdir',
    type=file_paths.argument,
    required=True,
    help='Directory of the run of the tokenizer.',
  )
  parser.add_argument(
    '--out',
    type=file_paths.argument,
    required=True,
    help='Folder that contains all datasets.',
  )
  parser.add_argument(
    '--step',
    type=int,
    default=None,
    help='Checkpoint of the tokenizer (default: the latest).',
  )
  add = parser.add_argument_group('clips').add_argument
  add(
    '--data',
    type=file_paths.argument,
    default=None,
    help='Name or file of the config of the clips (default: the config of the'
    ' tokenizer).',
  )
  add(
    '--split',
    default=None,
    help='Split to encode (default: the split for training).',
  )
  add(
    '--num',
    type=int,
    default=None,
    help='Number of clips, counted from the first (default: all).',
  )
  add = parser.add_argument_group('encoding').add_argument
  add(
    '--dtype',
    default=None,
    help=f'Precision of latents: {", ".join(DTYPES)} (default: {DTYPES[0]}).',
  )
  add(
    '--batch',
    type=int,
    default=64,
    help='Number of clips that a host encodes at a time.',
  )
  add('--shard', type=int, default=1024, help='Number of clips per shard.')
  add(
    '--num_threads',
    type=int,
    default=2,
    help='Number of batches read at a time.',
  )
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  from vgen_jax.cli import encode_dataset

  return encode_dataset.run(args)

"""Draws clips from a trained model.

  vgen sample --workdir=runs/dit --num=16 --label=left \
      --set model.solver.num_steps=20

Writes <name>.mp4 and <name>.gif, the clips side by side, and <name>.png, their
frames; clip i of a seed is the same whatever --num is.
"""

import argparse
import json

import jax
import numpy as np

from vgen_jax.cli import cluster
from vgen_jax.config import loading as config_lib
from vgen_jax.inference import runs
from vgen_jax.runtime import writers


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument('--workdir', required=True, help='Of the run.')
  parser.add_argument('--num', type=int, default=16, help='Clips to draw.')
  parser.add_argument(
    '--label', default=None, help='Class, by name or number; else in turn.'
  )
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
    help='Fields of the config to change, as in model.guidance=2.',
  )
  parser.add_argument(
    '--out', default=None, help='Folder; else <workdir>/drawn.'
  )
  parser.add_argument(
    '--real', action='store_true', help='Write as many real clips beside them.'
  )
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  cluster.join(args)
  overrides = config_lib.parse_overrides([*args.set, *args.overrides])
  found = runs.load(args.workdir, step=args.step, overrides=overrides)
  video = found.sample(
    args.num, label=args.label, seed=args.seed, batch_size=args.batch_size
  )
  if jax.process_index():
    return 0
  name = f'step{found.step}_seed{args.seed}'
  if args.label is not None:
    name += '_' + args.label.replace(' ', '-')
  folder = args.out or f'{args.workdir}/drawn'
  speed = found.source.schema.frames_per_second
  files = writers.save_clips(folder, name, video, speed)
  told = {kind: str(path) for kind, path in files.items()}
  if args.real:
    real = _real(found, args.num)
    files = writers.save_clips(folder, f'{name}_real', real, speed)
    told |= {f'real_{kind}': str(path) for kind, path in files.items()}
  print(json.dumps({'sample': {'step': found.step, 'num': args.num, **told}}))
  return 0


def _real(run_: runs.Run, num: int) -> np.ndarray:
  """Returns clips that the run learns from, evenly spaced."""
  places = np.linspace(0, len(run_.source) - 1, max(num, 1)).astype(int)
  return np.stack([run_.source[int(i)]['video'] for i in places])

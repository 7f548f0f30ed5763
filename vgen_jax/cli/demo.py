"""Trains, samples and judges a small model in minutes, on a laptop's CPU.

  vgen demo

The judge knows the laws of the made-up world that the model learns from: it
tells which clips show one object of the right size and constant colour in
smooth motion, and whether it is of the class asked for. Real clips, which the
model has not seen, are judged beside. What is trained stays in the workdir, so
a second call only samples and judges; --config.num_steps=... makes it shorter.
The last line is one JSON object.
"""

import argparse
import json
import time

from etils import epath
import numpy as np

from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.data import pipeline
from vgen_jax.inference import hooks
from vgen_jax.inference import runs
from vgen_jax.runtime import writers
from vgen_jax.synthetic.world import source as world
from vgen_jax.synthetic.world import verifier as judge_lib
from vgen_jax.training import loop

_NUM_REAL = 512
_NUM_SHOWN = 8  # Clips of each kind in the picture.
_NAMES = {  # What the table shows, of the judge's report.
  'validity_loose': 'valid clips',
  'validity_strict': 'valid clips, strictly',
  'class_accuracy_valid': 'class as asked, of valid clips',
  'class_accuracy_all': 'class as asked, of all clips',
  'coverage': 'variety',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    '--config', default='configs/demo.py', help='What to train.'
  )
  parser.add_argument(
    '--workdir', default='runs/demo', help='Where the run keeps its files.'
  )
  parser.add_argument('--num', type=int, default=64, help='Clips to judge.')
  parser.add_argument('--seed', type=int, default=0, help='Of the samples.')


def run(args: argparse.Namespace) -> int:
  begun = time.monotonic()
  config = config_lib.replace(
    config_lib.load(args.config), config_lib.parse_overrides(args.overrides)
  )
  if config.data.name != 'synthetic.world.source.World':
    raise ValueError(
      f'{args.config} learns from {config.data.name}; the demo needs'
      " 'synthetic.world.source.World', the one that has a judge."
    )
  state = loop.train(config, args.workdir, hooks=hooks.standard())
  if int(state.step) < config.num_steps:
    print(f'Stopped at step {int(state.step)}; repeat the command to go on.')
    return 0
  trained = runs.load(args.workdir)
  video = trained.sample(args.num, seed=args.seed)
  asked_b = trained.condition(args.num).get('label')
  real, real_label_b = _real(config, _NUM_REAL)

  judge = judge_lib.Verifier(trained.source)
  drawn = judge.report(video, asked_b)
  truth = judge.report(real, real_label_b)
  table = _table(drawn, truth, args.num, _NUM_REAL)

  folder = epath.Path(args.workdir) / 'demo'
  speed = trained.source.schema.frames_per_second
  files = writers.save_clips(folder, 'drawn', video, speed)
  shown = np.concatenate([video[:_NUM_SHOWN], real[:_NUM_SHOWN]])
  grid = writers.save_clips(folder, 'drawn_above_real', shown, speed)['png']
  report = folder / 'report.md'
  report.write_text(table)
  print(table)
  print(f'video: {files["mp4"]}\ngrid: {grid}\nreport: {report}')
  summary = {
    'valid': drawn['validity_loose'],
    'class_accuracy': drawn.get('class_accuracy_all'),
    'real_valid': truth['validity_loose'],
    'steps': trained.step,
    'seconds': round(time.monotonic() - begun, 1),
    'video': str(files['mp4']),
    'grid': str(grid),
  }
  print(json.dumps({'demo': summary}))
  return 0


def _real(config, num: int) -> tuple[np.ndarray, np.ndarray | None]:
  """Returns clips that were not trained on, and their classes."""
  source: world.World = build.source(
    config.data.to_dict(), config.clip_shape, split='validation'
  )
  with pipeline.batches(source, batch_size=num, seed=0) as batches:
    batch = next(batches)
  return batch['video'], batch.get('label')


def _table(
  drawn: dict[str, float], real: dict[str, float], num: int, num_real: int
) -> str:
  """Returns the judge's verdict as Markdown."""
  lines = [
    f'| the judge on | {num} drawn clips | {num_real} real clips |',
    '|---|---|---|',
  ]
  for key, name in _NAMES.items():
    if key in drawn:
      lines.append(f'| {name} | {drawn[key]:.1%} | {real[key]:.1%} |')
  return '\n'.join(lines) + '\n'

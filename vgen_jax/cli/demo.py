"""Trains, samples and verifies a small model in minutes, on a laptop's CPU.

  vgen demo

The model learns from a synthetic dataset whose verifier decides which clips
show one object of the right size and constant colour in smooth motion, and
whether it is of the requested class. Real clips that the model was not trained
on are verified as well. The trained run is kept in the workdir, so a second
call only samples and verifies. --config.num_steps=N trains for fewer steps. The
last line of output is one JSON object.
"""

import argparse
import json
import time
from typing import Any

from vgen_jax.core import atomic_files
from vgen_jax.core import checks
from vgen_jax.core import file_paths

_DATASET = 'synthetic.world.source.World'
_NUM_REAL = 512
_NUM_SHOWN = 8  # Generated clips, and real clips, in the picture.
_ROWS = {  # Values of the verifier, and their names in the table.
  'validity_loose': 'valid clips',
  'validity_strict': 'valid clips, strict limits',
  'class_accuracy_valid': 'requested class, among valid clips',
  'class_accuracy_all': 'requested class, among all clips',
  'coverage': 'coverage of the combinations of properties',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(overrides=())  # It accepts --config.x=value.
  parser.add_argument(
    '--config',
    type=file_paths.argument,
    default='demo',
    help='Name or file of the config.',
  )
  parser.add_argument(
    '--workdir',
    type=file_paths.argument,
    default='runs/demo',
    help='Directory of the run.',
  )
  parser.add_argument(
    '--num', type=int, default=64, help='Number of clips to generate.'
  )
  parser.add_argument(
    '--seed',
    type=int,
    default=0,
    help='Seed of the noise, 0 to 4294967295.',
  )


def run(args: argparse.Namespace) -> int:
  from vgen_jax.config import loading as config_lib
  from vgen_jax.inference import hooks
  from vgen_jax.inference import names
  from vgen_jax.inference import runs
  from vgen_jax.runtime import preemption
  from vgen_jax.synthetic.world import verifier as verifier_lib
  from vgen_jax.training import loop

  checks.at_least('--num', args.num, 1)
  checks.in_range('--seed', args.seed, 0, checks.MAX_SEED)
  start = time.monotonic()
  config = config_lib.replace(
    config_lib.load(args.config), config_lib.parse_overrides(args.overrides)
  )
  if config.data.name != _DATASET:
    raise ValueError(
      f'{args.config} trains on {config.data.name}; the demo needs {_DATASET},'
      ' the dataset that its verifier knows.'
    )
  preempted = preemption.Preemption()
  state = loop.train(
    config, args.workdir, hooks=hooks.standard(), preempted=preempted
  )
  if preempted.has_stopped:
    print(f'Stopped at step {int(state.step)}; repeat the command to resume.')
    return preempted.status
  trained = runs.load(args.workdir)
  video = trained.sample(args.num, seed=args.seed)
  label_b = trained.condition(args.num).get('label')
  real, real_label_b = _real_clips(config, _NUM_REAL)

  verifier = verifier_lib.Verifier(trained.source)
  generated = verifier.report(video, label_b)
  reference = verifier.report(real, real_label_b)
  table = _table(generated, reference, args.num)
  print(table)
  name = names.of_samples(trained.step, args.seed, args.num)
  folder = file_paths.read(args.workdir) / 'demo'
  classes = trained.source.schema.class_names
  title = 'generated, with the requested class'
  sections = [
    _section(video, label_b, classes, title),
    _section(real, real_label_b, classes, 'real clips'),
  ]
  files = _write(folder / name, trained.source, video, sections, table)
  summary = {
    'valid': generated['validity_loose'],
    'class_accuracy': generated.get('class_accuracy_all'),
    'real_valid': reference['validity_loose'],
    'steps': trained.step,
    'seconds': round(time.monotonic() - start, 1),
    **files,
  }
  print(json.dumps({'demo': summary}))
  return 0


def _real_clips(config: Any, num: int) -> tuple[Any, Any]:
  """Returns clips that were not trained on, and their classes."""
  from vgen_jax.config import build
  from vgen_jax.data import pipeline

  source = build.source(
    config.data.to_dict(), config.clip_shape, split='validation'
  )
  with pipeline.batches(source, batch_size=num, seed=0) as batches:
    batch = next(batches)
  return batch['video'], batch.get('label')


def _section(video: Any, label_b: Any, names: Any, title: str) -> Any:
  """Returns the first clips, with their classes as labels."""
  from vgen_jax.runtime.output import pictures

  labels = [] if label_b is None else [names[i] for i in label_b[:_NUM_SHOWN]]
  return pictures.Section(video[:_NUM_SHOWN], title, labels)


def _write(
  folder: Any, source: Any, video: Any, sections: list[Any], table: str
) -> dict[str, str]:
  """Writes clips and table to a folder; returns the paths."""
  from vgen_jax.runtime import writers

  speed = source.schema.frames_per_second
  files = writers.save_clips(folder, 'generated', video, speed)
  name = 'generated_above_real'
  grid = writers.save_clips(folder, name, sections, speed)['png']
  report = folder / 'report.md'
  atomic_files.write_text(report, table)
  print(f'video: {files["mp4"]}\ngrid: {grid}\nreport: {report}')
  return {'video': str(files['mp4']), 'grid': str(grid)}


def _table(
  generated: dict[str, float], real: dict[str, float], num: int
) -> str:
  """Returns the values of the verifier as a Markdown table."""
  lines = [
    f'| | {num} generated clips | {_NUM_REAL} real clips |',
    '|---|---|---|',
  ]
  for key, name in _ROWS.items():
    if key in generated:
      lines.append(f'| {name} | {generated[key]:.1%} | {real[key]:.1%} |')
  return '\n'.join(lines) + '\n'

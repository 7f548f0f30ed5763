r"""Generates clips with a trained model.

  vgen sample --workdir=runs/dit --num=16 --label=left \
      --set model.solver.num_steps=20
  vgen sample --workdir=runs/svg --video=mine.mp4 --known=0:2
  vgen sample --workdir=runs/vid2vid --condition layout=scene.npy

Writes NAME.mp4 and NAME.gif, which show the clips side by side, NAME.png, which
shows their frames, and NAME.json, which states how they were generated. Small
frames are enlarged. NAME has the step, the seed, the number of clips, the
label, and digests of the fields that --set changes and of the conditions that
files give, so that other clips are not overwritten. Clip i of a seed does not
depend on --num.
"""

import argparse
import json
from typing import Any

from vgen_jax.cli import cluster
from vgen_jax.core import file_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(overrides=())  # It accepts --config.x=value.
  parser.add_argument(
    '--workdir',
    type=file_paths.argument,
    required=True,
    help='Directory of the run to sample from.',
  )
  parser.add_argument(
    '--num', type=int, default=16, help='Number of clips to generate.'
  )
  parser.add_argument(
    '--label',
    default=None,
    help='Class of all clips, by name or number (default: clip i has class i'
    ' modulo the number of classes).',
  )
  parser.add_argument(
    '--video',
    type=file_paths.argument,
    default=None,
    help='Video that all clips continue, cropped and resized like training'
    ' clips (default: if the model needs frames, each clip continues a clip of'
    ' the data).',
  )
  parser.add_argument(
    '--known',
    default=None,
    metavar='START:STOP',
    help='Frames of --video that are known, such as 0:2 for the first two, or'
    ' 0:2,6:8 (default: those that the model needs).',
  )
  parser.add_argument(
    '--condition',
    nargs='+',
    default=[],
    action='extend',
    metavar='KEY=FILE',
    help='Other conditions of all clips: an array of one clip (.npy), or a'
    ' video if the condition has pixels (default: those of clips of the data).',
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
    help='Config fields to change for sampling, such as model.guidance=2'
    ' (default: none).',
  )
  parser.add_argument(
    '--out',
    type=file_paths.argument,
    default=None,
    help='Directory to write to (default: WORKDIR/generated).',
  )
  parser.add_argument(
    '--real',
    action='store_true',
    help='Also write the same number of real clips.',
  )
  parser.add_argument(
    '--clips',
    action='store_true',
    help='Also write each clip to a file of its own, NAME/000.mp4, ...',
  )
  parser.add_argument(
    '--npy',
    action='store_true',
    help='Also write NAME.npy, all clips as uint8 [b, t, h, w, c].',
  )
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  import jax

  from vgen_jax.config import loading as config_lib
  from vgen_jax.core import atomic_files
  from vgen_jax.inference import names
  from vgen_jax.inference import own_conditions
  from vgen_jax.inference import runs
  from vgen_jax.inference import sampling
  from vgen_jax.runtime import writers

  cluster.join(args)
  overrides = config_lib.parse_overrides([*args.set, *args.overrides])
  for path in overrides:
    if path.partition('.')[0] == 'evaluation':
      raise ValueError(f'config.{path} has no effect on samples; remove it.')
  ranges = own_conditions.known_ranges(args.known) if args.known else []
  if ranges and args.video is None:
    raise ValueError('--known is given without --video; give both.')
  loaded = runs.load(args.workdir, step=args.step, overrides=overrides)
  given = own_conditions.from_files(loaded.model, args.condition, loaded.schema)
  if args.video is not None:
    video = own_conditions.read_video(
      args.video,
      loaded.schema.clip_shape,
      loaded.config.data.get('frames_per_second'),
    )
    given |= own_conditions.known_frames(
      loaded.model, video, loaded.schema.clip_shape, ranges
    )
  folder = args.out or f'{args.workdir}/generated'
  # Steps that can fail come first, because sampling may take a long time.
  source = loaded.source if args.real else None
  if jax.process_index() == 0:
    atomic_files.check_folder(folder)
  video = loaded.sample(
    args.num,
    label=args.label,
    seed=args.seed,
    batch_size=args.batch_size,
    given=given,
  )
  if jax.process_index():
    return 0
  changed = names.changed_fields(args.workdir, loaded.config)
  name = names.of_samples(
    loaded.step, args.seed, args.num, args.label, changed, given
  )
  speed = loaded.schema.frames_per_second
  condition = loaded.condition(args.num, args.label, given)
  labels = sampling.label_names(loaded.schema, condition)
  files = writers.save_clips(folder, name, video, speed, labels)
  written = {kind: str(path) for kind, path in files.items()}
  if args.clips:
    writers.save_single_clips(f'{folder}/{name}', video, speed)
    written['clips'] = f'{folder}/{name}'
  if args.npy:
    written['npy'] = f'{folder}/{name}.npy'
    writers.save_array(written['npy'], video)
  if args.real:
    real, labels = _real_clips(source, args.num)
    files = writers.save_clips(folder, f'{name}_real', real, speed, labels)
    written |= {f'real_{kind}': str(path) for kind, path in files.items()}
  made = {'step': loaded.step, 'seed': args.seed, 'num': args.num}
  made |= {'label': args.label, 'set': changed}
  sources = {'video': args.video, 'known': ranges, 'condition': args.condition}
  made |= {key: value for key, value in sources.items() if value}
  text = json.dumps(made, indent=2, default=str) + '\n'
  atomic_files.write_text(file_paths.read(folder) / f'{name}.json', text)
  summary = {'step': loaded.step, 'num': args.num, **written}
  print(json.dumps({'sample': summary}))
  return 0


def _real_clips(source: Any, num: int) -> tuple[Any, list[str]]:
  """Returns evenly spaced clips, uint8 `[b, t, h, w, c]`, and their classes."""
  import numpy as np

  from vgen_jax.inference import sampling

  index_b = np.linspace(0, len(source) - 1, max(num, 1)).astype(int)
  clips = [source[int(i)] for i in index_b]
  labels = {'label': np.array([x['label'] for x in clips if 'label' in x])}
  names = sampling.label_names(source.schema, labels)
  return np.stack([clip['video'] for clip in clips]), names

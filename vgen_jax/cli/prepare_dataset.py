"""Implementation of `vgen data prepare`."""

import argparse
import json
import time

from vgen_jax.core import checks
from vgen_jax.data.prepare import public_datasets
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.data.prepare import tfrecords
from vgen_jax.data.prepare import video_folder
from vgen_jax.data.prepare import write
from vgen_jax.data.tfds import compat
from vgen_jax.synthetic.digits import prepare as moving_digits
from vgen_jax.synthetic.world import prepare as shapes_world

SYNTHETIC = {'shapes_world': shapes_world, 'moving_digits': moving_digits}
DATASETS = (
  *public_datasets.LAYOUTS,
  'video_folder',
  *SYNTHETIC,
  'tfrecord',
)


def run(args: argparse.Namespace) -> int:
  """Writes the dataset; returns the exit code."""
  start = time.perf_counter()
  checks.one_of('DATASET of vgen data prepare', args.dataset, DATASETS)
  if args.dataset not in SYNTHETIC and not args.source:
    raise ValueError(
      f'{args.dataset} needs --source=..., the folder of the unpacked original'
      ' dataset.'
    )
  if args.dataset == 'tfrecord':
    compat.load()
    folder, skipped = args.out, 0
    tfrecords.convert(args.source, args.out)
  else:
    if args.num_threads is not None:
      checks.at_least('--num_threads', args.num_threads, 1)
    options = raw_videos.Options(
      args.format, args.size, args.fps, args.max_frames, args.quality
    )
    folder, skipped = write.write(
      _table(args),
      args.out,
      options,
      skips_broken=args.skip_broken,
      num_threads=args.num_threads,
      beam_options=args.beam,
    )
  info = compat.from_directory(folder).info
  report = {
    'data_dir': folder,
    'examples': {name: x.num_examples for name, x in info.splits.items()},
    'bytes': sum(x.num_bytes for x in info.splits.values()),
    'skipped': skipped,
    'seconds': round(time.perf_counter() - start, 1),
  }
  print(json.dumps({'data_prepare': report}))
  return 0


def _table(args: argparse.Namespace) -> tables.Table:
  """Returns the table of the dataset to write."""
  if args.dataset in SYNTHETIC:
    shape = {}
    if args.clip_shape:
      shape = {'clip_shape': clip_shape(args.clip_shape)}
    return SYNTHETIC[args.dataset].table(num_clips=args.num_clips, **shape)
  if args.dataset == 'video_folder':
    return video_folder.table(
      args.source,
      'video_folder' if args.name is None else args.name,
      args.table,
      args.validation,
      args.test,
    )
  kwargs = {'fold': args.fold} if args.dataset == 'ucf101' else {}
  return public_datasets.LAYOUTS[args.dataset](args.source, **kwargs)


def clip_shape(text: str) -> tuple[int, int, int, int]:
  """Returns (t, h, w, c) for the string 't,h,w,c'.

  Raises:
    ValueError: If it is not four integers.
  """
  try:
    t, h, w, c = (int(size) for size in text.split(','))
  except ValueError as error:
    raise ValueError(
      f'--clip_shape is {text!r}; it must be four integers, such as 16,64,64,3.'
    ) from error
  return t, h, w, c

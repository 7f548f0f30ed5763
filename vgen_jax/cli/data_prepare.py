"""Prepares a dataset: reads videos once and writes them for random access.

  vgen data prepare video_folder --source=clips --out=datasets
  vgen data prepare video_folder --source=clips --table=clips/table.csv ...
  vgen data prepare ucf101 --source=downloads --out=datasets --size=128
  vgen data prepare shapes_world --clip_shape=16,64,64,3 --num_clips=10000 ...
  vgen data prepare tfrecord --source=ucf101/ucf101_1/2.0.0 --out=ucf101/...

The result is a TFDS dataset in ArrayRecord. Train on it with

  config.data = {'name': 'data.tfds.dataset.TFDSVideo', 'data_dir':
  <out>/<name>/1.0.0}

The last line of the output is JSON with its folder and its size.
"""

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
from vgen_jax.data.tfds import storage
from vgen_jax.synthetic.digits import prepare as moving_digits
from vgen_jax.synthetic.world import prepare as shapes_world

_SYNTHETIC = {'shapes_world': shapes_world, 'moving_digits': moving_digits}
DATASETS = (
  *public_datasets.LAYOUTS,
  'video_folder',
  *_SYNTHETIC,
  'tfrecord',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.epilog = public_datasets.__doc__
  parser.add_argument(
    'dataset', help=f'Dataset to prepare, one of: {", ".join(DATASETS)}.'
  )
  parser.add_argument(
    '--source', default=None, help='Folder of the unpacked original dataset.'
  )
  parser.add_argument('--out', required=True, help='Folder of datasets.')
  add = parser.add_argument_group('storage').add_argument
  add(
    '--format',
    default='mp4',
    help=f'Format of the videos: {", ".join(storage.FORMATS)}.',
  )
  add(
    '--size',
    type=int,
    default=None,
    help='Pixels of the shorter side (default: the original size).',
  )
  add(
    '--fps',
    type=float,
    default=None,
    help='Frames per second (default: the original rate).',
  )
  add(
    '--max_frames',
    type=int,
    default=512,
    help='Largest number of frames of an example; longer videos are cut.',
  )
  add(
    '--quality',
    type=int,
    default=None,
    help='CRF for mp4 (default: 16), or 1 to 100 for jpeg (default: 95).',
  )
  add = parser.add_argument_group('contents').add_argument
  add('--name', default=None, help='Name of a dataset from video_folder.')
  add(
    '--table',
    default=None,
    help='Table of annotations for video_folder, CSV or JSONL'
    ' (data/prepare/video_folder.py).',
  )
  add(
    '--validation',
    type=float,
    default=0.1,
    help='Proportion of validation videos for video_folder.',
  )
  add(
    '--test',
    type=float,
    default=0.1,
    help='Proportion of test videos for video_folder.',
  )
  add('--fold', type=int, default=1, help='Official split of UCF-101, 1 to 3.')
  add(
    '--clip_shape', default=None, help='t,h,w,c of clips of synthetic datasets.'
  )
  add(
    '--num_clips',
    type=int,
    default=1000,
    help='Number of training clips of synthetic datasets.',
  )
  add('--skip_broken', action='store_true', help='Skip unreadable videos.')
  add = parser.add_argument_group('parallel processing').add_argument
  add(
    '--num_threads',
    type=int,
    default=None,
    help='Number of threads (default: one per core).',
  )
  add(
    '--beam',
    action='append',
    default=None,
    metavar='FLAG',
    help='Write with Apache Beam and this flag, such as'
    " '--runner=DirectRunner'. May be repeated.",
  )


def run(args: argparse.Namespace) -> int:
  """Writes the dataset; returns the exit code."""
  start = time.perf_counter()
  checks.one_of('DATASET of vgen data prepare', args.dataset, DATASETS)
  if args.dataset not in _SYNTHETIC and not args.source:
    raise ValueError(
      f'{args.dataset} needs --source=..., the folder of the unpacked original'
      ' dataset.'
    )
  if args.dataset == 'tfrecord':
    compat.load()
    folder, skipped = args.out, 0
    tfrecords.convert(args.source, args.out)
  else:
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
  info = compat.load().builder_from_directory(folder).info
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
  if args.dataset in _SYNTHETIC:
    shape = {}
    if args.clip_shape:
      shape = {'clip_shape': clip_shape(args.clip_shape)}
    return _SYNTHETIC[args.dataset].table(num_clips=args.num_clips, **shape)
  if args.dataset == 'video_folder':
    return video_folder.table(
      args.source,
      args.name or 'video_folder',
      args.table,
      args.validation,
      args.test,
    )
  kwargs = {'fold': args.fold} if args.dataset == 'ucf101' else {}
  return public_datasets.LAYOUTS[args.dataset](args.source, **kwargs)


def clip_shape(text: str) -> tuple[int, int, int, int]:
  """Returns (t, h, w, c) for the text 't,h,w,c'.

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

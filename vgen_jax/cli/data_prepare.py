"""Prepares a dataset: reads videos once, and writes them for random access.

  vgen data prepare video_folder --source=clips --out=datasets
  vgen data prepare video_folder --source=clips --table=clips/table.csv ...
  vgen data prepare ucf101 --source=downloads --out=datasets --size=128
  vgen data prepare shapes_world --clip_shape=16,64,64,3 --num_clips=10000 ...
  vgen data prepare tfrecord --source=ucf101/ucf101_1/2.0.0 --out=ucf101/...

What is written is a TFDS dataset in ArrayRecord; train on it with

  config.data = {'name': 'data.tfds.dataset.TFDSVideo', 'data_dir':
  <out>/<name>/1.0.0}

The last line tells in JSON where it is and what it holds.
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

_DRAWN = {'shapes_world': shapes_world, 'moving_digits': moving_digits}
WHAT = (*public_datasets.LAYOUTS, 'video_folder', *_DRAWN, 'tfrecord')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.epilog = public_datasets.__doc__
  parser.add_argument('what', help=', '.join(WHAT))
  parser.add_argument('--source', default=None, help='What is there already.')
  parser.add_argument('--out', required=True, help='Folder of datasets.')
  add = parser.add_argument_group('how videos are kept').add_argument
  add('--format', default='mp4', help=', '.join(storage.FORMATS))
  add('--size', type=int, default=None, help='Pixels of the shorter side.')
  add('--fps', type=float, default=None, help='Frames a second to keep.')
  add('--max_frames', type=int, default=512, help='Of a piece of a film.')
  add('--quality', type=int, default=None, help='CRF of mp4, or 1-100 of jpeg.')
  add = parser.add_argument_group('what is read').add_argument
  add('--name', default=None, help='Of the dataset that video_folder makes.')
  add('--table', default=None, help='CSV or JSONL: see builders/video_folder.')
  add('--validation', type=float, default=0.1, help='Share of video_folder.')
  add('--test', type=float, default=0.1, help='Share of video_folder.')
  add('--fold', type=int, default=1, help='Which split of UCF-101, 1 to 3.')
  add('--clip_shape', default=None, help='t,h,w,c of what is drawn.')
  add('--num_clips', type=int, default=1000, help='To draw for training.')
  add('--skip_broken', action='store_true', help='Leave out unreadable videos.')
  add = parser.add_argument_group('who does it').add_argument
  add('--num_threads', type=int, default=None, help='Else one for each core.')
  add(
    '--beam',
    action='append',
    default=None,
    metavar='FLAG',
    help="Let Apache Beam do it; one of its flags, as '--runner=DirectRunner'.",
  )


def run(args: argparse.Namespace) -> int:
  began = time.perf_counter()
  if args.what not in WHAT:
    raise ValueError(f'No dataset {args.what!r}.{checks.hint(args.what, WHAT)}')
  if args.what not in _DRAWN and not args.source:
    raise ValueError(
      f'{args.what} needs --source=..., where you put what its makers ship.'
    )
  if args.what == 'tfrecord':
    compat.load()
    place, skipped = args.out, 0
    tfrecords.convert(args.source, args.out)
  else:
    options = raw_videos.Options(
      args.format, args.size, args.fps, args.max_frames, args.quality
    )
    place, skipped = write.write(
      _table(args),
      args.out,
      options,
      skips_broken=args.skip_broken,
      num_threads=args.num_threads,
      beam_options=args.beam,
    )
  info = compat.load().builder_from_directory(place).info
  told = {
    'data_dir': place,
    'examples': {name: x.num_examples for name, x in info.splits.items()},
    'bytes': sum(x.num_bytes for x in info.splits.values()),
    'skipped': skipped,
    'seconds': round(time.perf_counter() - began, 1),
  }
  print(json.dumps({'data_prepare': told}))
  return 0


def _table(args: argparse.Namespace) -> tables.Table:
  """Returns what is to be written."""
  if args.what in _DRAWN:
    shape = {}
    if args.clip_shape:
      shape = {'clip_shape': clip_shape(args.clip_shape)}
    return _DRAWN[args.what].table(num_clips=args.num_clips, **shape)
  if args.what == 'video_folder':
    return video_folder.table(
      args.source,
      args.name or 'video_folder',
      args.table,
      args.validation,
      args.test,
    )
  kwargs = {'fold': args.fold} if args.what == 'ucf101' else {}
  return public_datasets.LAYOUTS[args.what](args.source, **kwargs)


def clip_shape(word: str) -> tuple[int, int, int, int]:
  """Returns (t, h, w, c) of 't,h,w,c'."""
  try:
    t, h, w, c = (int(size) for size in word.split(','))
  except ValueError as error:
    raise ValueError(
      f'--clip_shape is {word!r}; it must be four numbers, as 16,64,64,3.'
    ) from error
  return t, h, w, c

"""Prepares a dataset: reads videos once and writes them for random access.

  vgen data prepare video_folder --source=clips --out=datasets
  vgen data prepare video_folder --source=clips --table=clips/table.csv ...
  vgen data prepare ucf101 --source=downloads --out=datasets --size=128
  vgen data prepare shapes_world --clip_shape=16,64,64,3 --num_clips=10000 ...
  vgen data prepare tfrecord --source=ucf101/ucf101_1/2.0.0 --out=ucf101/...

The result is a TFDS dataset in the format ArrayRecord. Train on it with

  config.data = {
    'name': 'data.tfds.dataset.TFDSVideo',
    'data_dir': '<out>/<name>/1.0.0',
  }

The last line of the output is JSON with the folder and the size of the dataset.
"""

import argparse

from vgen_jax.core import file_paths

DATASETS = (
  'ucf101', 'kinetics', 'bair', 'moving_mnist', 'sky_timelapse',
  'something_something', 'video_folder', 'shapes_world', 'moving_digits',
  'tfrecord',
)  # fmt: skip
FORMATS = ('mp4', 'jpeg', 'raw')
_SYNTHETIC = ('shapes_world', 'moving_digits')
# Datasets on which a flag has an effect; the other flags have one on all.
_ONLY = {
  'source': tuple(name for name in DATASETS if name not in _SYNTHETIC),
  'name': ('video_folder',),
  'table': ('video_folder',),
  'validation': ('video_folder',),
  'test': ('video_folder',),
  'fold': ('ucf101',),
  'clip_shape': _SYNTHETIC,
  'num_clips': _SYNTHETIC,
  **dict.fromkeys(
    (
      'format', 'size', 'fps', 'max_frames', 'quality', 'skip_broken',
      'num_threads', 'beam',
    ),
    tuple(name for name in DATASETS if name != 'tfrecord'),
  ),
}  # fmt: skip
_LAYOUTS = """Public datasets are read as they are distributed:

  ucf101               UCF-101/<class>/*.avi, ucfTrainTestlist/*.txt
  kinetics             <anything>/<id>_<start>_<end>.mp4, <split>.csv
  bair                 softmotion30_44k/<split>/*.tfrecords
  moving_mnist         mnist_test_seq.npy
  sky_timelapse        sky_train/**/<frames>.jpg, sky_test/**
  something_something  <video folder>/<id>.webm, labels/*.json

They are not downloaded, since most require consent or a form.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.epilog = _LAYOUTS
  parser.add_argument(
    'dataset', help=f'Dataset to prepare, one of: {", ".join(DATASETS)}.'
  )
  parser.add_argument(
    '--source',
    type=file_paths.argument,
    default=None,
    help='Folder of the unpacked original dataset; required, except for'
    ' synthetic datasets.',
  )
  parser.add_argument(
    '--out',
    type=file_paths.argument,
    required=True,
    help='Folder that contains all datasets.',
  )
  add = parser.add_argument_group('storage').add_argument
  add(
    '--format',
    default='mp4',
    help=f'Format of the videos: {", ".join(FORMATS)}.',
  )
  add(
    '--size',
    type=int,
    default=None,
    help='Pixels of the shorter side; larger videos are resized (default: the'
    ' original size).',
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
    help='Largest number of frames of an example; longer videos are split into'
    ' several examples.',
  )
  add(
    '--quality',
    type=int,
    default=None,
    help='CRF for mp4 (default: 16), or 1 to 100 for jpeg (default: 95).',
  )
  add = parser.add_argument_group('contents').add_argument
  add(
    '--name',
    default=None,
    help='Name of the new dataset, for video_folder (default: video_folder).',
  )
  add(
    '--table',
    type=file_paths.argument,
    default=None,
    help='Table of annotations for video_folder, CSV or JSONL, as in'
    ' data/files/annotations.py (default: none; all videos of the folder).',
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
    '--clip_shape',
    default=None,
    help='t,h,w,c of clips of synthetic datasets (default: that of the'
    ' dataset).',
  )
  add(
    '--num_clips',
    type=int,
    default=1000,
    help='Number of training clips of synthetic datasets.',
  )
  add(
    '--skip_broken',
    action='store_true',
    help='Skip unreadable videos (default: stop at the first).',
  )
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
    " '--runner=DirectRunner'; may be repeated (default: no Beam).",
  )


def run(args: argparse.Namespace) -> int:
  from vgen_jax.cli import prepare_dataset

  _check_used(args)
  return prepare_dataset.run(args)


def _check_used(args: argparse.Namespace) -> None:
  """Raises ValueError if a flag has no effect on the dataset."""
  parser = argparse.ArgumentParser(add_help=False)
  add_arguments(parser)
  for name, datasets in _ONLY.items():
    is_set = getattr(args, name) != parser.get_default(name)
    if is_set and args.dataset in DATASETS and args.dataset not in datasets:
      raise ValueError(
        f'--{name} has no effect on {args.dataset}; remove it. It is a flag of:'
        f' {", ".join(datasets)}.'
      )

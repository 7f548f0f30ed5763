"""Public datasets in the layouts in which they are distributed, unpacked.

  ucf101               UCF-101/<class>/*.avi, ucfTrainTestlist/*.txt
  kinetics             <anything>/<id>_<start>_<end>.mp4, <split>.csv
  bair                 softmotion30_44k/<split>/*.tfrecords
  moving_mnist         mnist_test_seq.npy
  sky_timelapse        sky_train/**/<frames>.jpg, sky_test/**
  something_something  <video folder>/<id>.webm, labels/*.json

They are not downloaded here, since most require consent or a form.
"""

import logging
import pathlib
from typing import Any

import numpy as np

from vgen_jax.core import file_paths
from vgen_jax.core import json_files
from vgen_jax.data.files import folders
from vgen_jax.data.prepare import image_sequences
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.data.prepare import unpacked

_log = logging.getLogger(__name__)

# Names of splits in the datasets.
_SPLITS = {
  'train': 'train',
  'val': 'validation',
  'validate': 'validation',
  'validation': 'validation',
  'test': 'test',
}


def ucf101(source: str, fold: int = 1) -> tables.Table:
  """Returns UCF-101 in one of its three official splits.

  Clips of the same original video form a group, which is in one split. Another
  split would put near copies into training and test.

  Args:
    source: Folder with `UCF-101/` and `ucfTrainTestlist/`.
    fold: 1, 2 or 3.
  """
  root = file_paths.local(source)
  lists = unpacked.folder(root, 'ucfTrainTestlist', 'the official splits')
  videos = unpacked.folder(root, 'UCF-101', 'the videos')
  names = [line.split()[1] for line in unpacked.lines(lists / 'classInd.txt')]
  splits = {}
  for split in ('train', 'test'):
    paths = [
      x.split()[0] for x in unpacked.lines(lists / f'{split}list0{fold}.txt')
    ]
    splits[split] = [
      tables.Row(
        path, raw_videos.File(str(videos / path)), path.partition('/')[0]
      )
      for path in paths
    ]
  return tables.Table(
    'ucf101',
    splits,
    tuple(names),
    description=f'UCF-101, split {fold}.',
  )


def kinetics(source: str) -> tables.Table:
  """Returns Kinetics-400, -600 or -700, with the videos that exist.

  Args:
    source: Folder with the videos, in any sub-folders, and with one or more of
      the tables `train.csv`, `validate.csv` (or `val.csv`) and `test.csv`, with
      columns label, youtube_id, time_start and time_end.

  Raises:
    FileNotFoundError: If there is no such table.
    ValueError: If two tables are of the same split, or a line is wrong.
  """
  root = file_paths.local(source)
  found = unpacked.videos(root)
  splits = {}
  files = folders.walk(root).files
  for table in (path for path in files if path.suffix == '.csv'):
    words = table.stem.replace('-', '_').split('_')
    split = next((_SPLITS[w] for w in reversed(words) if w in _SPLITS), None)
    lines = [row for _, row in json_files.csv_rows(table)]
    if split is None or not lines or 'youtube_id' not in lines[0]:
      continue
    if split in splits:
      raise ValueError(
        f'{root} has two tables of the split {split!r}; keep one of them.'
      )
    stems = [_kinetics_stem(line, table) for line in lines]
    splits[split] = [
      tables.Row(
        stem, raw_videos.File(str(found[stem])), line.get('label') or None
      )
      for stem, line in zip(stems, lines, strict=True)
      if stem in found
    ]
    missing = len(lines) - len(splits[split])
    if missing:
      _log.warning(
        '%s: %d of %d videos do not exist.', table, missing, len(lines)
      )
  if not splits:
    raise FileNotFoundError(
      f'{root} has no table of Kinetics; add train.csv with the columns label,'
      ' youtube_id, time_start and time_end.'
    )
  # Some editions do not publish the labels of the test split.
  if not all(row.label for row in splits.get('test', ())):
    del splits['test']
  rows = [row for rows in splits.values() for row in rows]
  names = tuple(sorted({row.label for row in rows if row.label}))
  return tables.Table('kinetics', splits, names, description='Kinetics.')


def bair(source: str) -> tables.Table:
  """Returns BAIR robot pushing, small: the main camera and the actions.

  Args:
    source: Folder `softmotion30_44k/`, or the folder that contains it.
  """
  root = unpacked.folder(
    file_paths.local(source), 'softmotion30_44k', 'the records'
  )
  splits = {
    split: [
      tables.Row(path.stem, raw_videos.Robot(str(path), fps=10.0))
      for path in sorted((root / split).glob('*.tfrecords'))
    ]
    for split in ('train', 'test')
  }
  return tables.Table(
    'bair', splits, action_width=4, description='BAIR robot pushing, small.'
  )


def moving_mnist(source: str) -> tables.Table:
  """Returns the 10,000 test videos of Moving MNIST; it has no other split.

  Args:
    source: File `mnist_test_seq.npy`, or its folder.

  Raises:
    FileNotFoundError: If there is no such file.
    ValueError: If the array in the file has another rank.
  """
  path = file_paths.local(source)
  path = path / 'mnist_test_seq.npy' if path.is_dir() else path
  if not path.is_file():
    raise FileNotFoundError(
      f'{path} does not exist; give the path of mnist_test_seq.npy.'
    )
  shape = np.load(path, mmap_mode='r').shape
  if len(shape) != 4:
    raise ValueError(
      f'{path} has shape {shape}; Moving MNIST has shape [t, n, h, w]. Give the'
      ' original file mnist_test_seq.npy.'
    )
  rows = [
    tables.Row(f'{i:05d}', raw_videos.Column(str(path), i, fps=10.0))
    for i in range(shape[1])
  ]
  return tables.Table(
    'moving_mnist_seq',
    {'test': rows},
    num_channels=1,
    description='Moving MNIST, the test videos.',
  )


def sky_timelapse(source: str) -> tables.Table:
  """Returns Sky Timelapse; each folder of frames is a video.

  Args:
    source: Folder with `sky_train/` and `sky_test/`.
  """
  root = file_paths.local(source)
  splits = {
    split: [
      tables.Row(
        folder.relative_to(root).as_posix(),
        image_sequences.Images(str(folder), fps=30.0),
      )
      for folder in unpacked.image_folders(
        unpacked.folder(root, f'sky_{split}', 'frames')
      )
    ]
    for split in ('train', 'test')
  }
  return tables.Table('sky_timelapse', splits, description='Sky Timelapse.')


def something_something(source: str) -> tables.Table:
  """Returns Something-Something V2, with labels and captions.

  The label is the template, 'Pushing something from left to right', and the
  caption contains the names of the objects. The test split is left out, since
  its labels are not published.

  Args:
    source: Folder with the videos `<id>.webm` and the files `labels.json`,
      `train.json` and `validation.json`, all in any sub-folders. The names of
      the files may begin with `something-something-v2-`.

  Raises:
    FileNotFoundError: If one of these files is missing.
    BadFileError: If one of these files is damaged.
  """
  root = file_paths.local(source)
  found = unpacked.videos(root)
  labels = _table(root, 'labels')
  numbers = json_files.read(labels)
  for name, number in numbers.items():
    if not str(number).isdecimal():
      raise json_files.BadFileError(
        f'{labels}: {name!r} has the number {number!r:.80}; it must be an'
        ' integer.'
      )
  names = sorted(numbers, key=lambda name: int(numbers[name]))
  splits = {}
  for split in ('train', 'validation'):
    lines = json_files.read(_table(root, split), list)
    for line in lines:
      json_files.of_kind(line, dict, f'{_table(root, split)}: a video')
      for key in ('id', 'template', 'label'):
        json_files.entry(line, key, str, str(_table(root, split)))
    splits[split] = [
      tables.Row(
        line['id'],
        raw_videos.File(str(found[line['id']])),
        line['template'].replace('[', '').replace(']', ''),
        line['label'],
      )
      for line in lines
      if line['id'] in found
    ]
    if missing := len(lines) - len(splits[split]):
      _log.warning(
        '%s: %d of %d videos do not exist.', split, missing, len(lines)
      )
  return tables.Table(
    'something_something',
    splits,
    tuple(names),
    has_captions=True,
    description='Something-Something V2.',
  )


LAYOUTS = {
  'ucf101': ucf101,
  'kinetics': kinetics,
  'bair': bair,
  'moving_mnist': moving_mnist,
  'sky_timelapse': sky_timelapse,
  'something_something': something_something,
}


def _kinetics_stem(line: dict[str, Any], table: pathlib.Path) -> str:
  """Returns the name of the file of a video, without suffix."""
  try:
    start, end = (round(float(line[f'time_{x}'])) for x in ('start', 'end'))
  except (KeyError, ValueError) as error:
    raise ValueError(
      f'{table} has the line {line}; it must have time_start and time_end, in'
      ' seconds.'
    ) from error
  return f'{line["youtube_id"]}_{start:06d}_{end:06d}'


def _table(root: pathlib.Path, name: str) -> pathlib.Path:
  names = (f'{name}.json', f'something-something-v2-{name}.json')
  found = [path for path in folders.walk(root).files if path.name in names]
  if not found:
    raise FileNotFoundError(
      f'{root} has no file {names[0]} or {names[1]}; unpack them there.'
    )
  return found[0]

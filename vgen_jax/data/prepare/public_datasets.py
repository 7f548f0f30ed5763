"""Known datasets as their makers ship them, unpacked: where what of them is.

  ucf101               UCF-101/<class>/*.avi, ucfTrainTestlist/*.txt
  kinetics             <anything>/<id>_<start>_<end>.mp4, <split>.csv
  bair                 softmotion30_44k/<split>/*.tfrecords
  moving_mnist         mnist_test_seq.npy
  sky_timelapse        sky_train/**/<frames>.jpg, sky_test/**
  something_something  <video folder>/<id>.webm, labels/*.json

Nothing is downloaded: their makers ask for consent, or for a form.
"""

import csv
import json
import logging
import pathlib
from typing import Any

import numpy as np

from vgen_jax.data.files import video_folder
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables

_log = logging.getLogger(__name__)

# Names that makers give to splits.
_SPLITS = {
  'train': 'train',
  'val': 'validation',
  'validate': 'validation',
  'validation': 'validation',
  'test': 'test',
}


def ucf101(source: str, fold: int = 1) -> tables.Table:
  """Returns UCF-101 in one of its three official splits.

  Clips cut from one video share a group, which the lists keep together: a
  split of one's own would put near copies into training and test.

  Args:
    source: Folder with `UCF-101/` and `ucfTrainTestlist/`.
    fold: 1, 2 or 3.
  """
  root = pathlib.Path(source)
  lists = _first(root, 'ucfTrainTestlist', 'the official splits')
  videos = _first(root, 'UCF-101', 'the videos')
  names = [line.split()[1] for line in _text(lists / 'classInd.txt')]
  splits = {}
  for split in ('train', 'test'):
    paths = [x.split()[0] for x in _text(lists / f'{split}list0{fold}.txt')]
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
  """Returns Kinetics-400, -600 or -700, of those videos that are there.

  Args:
    source: Folder with the videos, in folders of any kind, and with the tables
      `train.csv`, `validate.csv` (or `val.csv`), `test.csv`, of which one is
      enough; columns label, youtube_id, time_start, time_end.
  """
  root = pathlib.Path(source)
  found = _videos(root)
  splits = {}
  for table in sorted(root.rglob('*.csv')):
    words = table.stem.replace('-', '_').split('_')
    split = next((_SPLITS[w] for w in reversed(words) if w in _SPLITS), None)
    with table.open(newline='') as file:
      lines = list(csv.DictReader(file))
    if split is None or not lines or 'youtube_id' not in lines[0]:
      continue
    if split in splits:
      raise ValueError(f'{root} has two tables of {split!r}; keep one of them.')
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
        '%s: %d of %d videos are not there.', table, missing, len(lines)
      )
  if not splits:
    raise FileNotFoundError(
      f'{root} has no table of Kinetics; put train.csv there, with the columns'
      ' label, youtube_id, time_start, time_end.'
    )
  # Of the test split of some editions, nobody tells the labels.
  if not all(row.label for row in splits.get('test', ())):
    del splits['test']
  rows = [row for rows in splits.values() for row in rows]
  names = tuple(sorted({row.label for row in rows if row.label}))
  return tables.Table('kinetics', splits, names, description='Kinetics.')


def bair(source: str) -> tables.Table:
  """Returns BAIR robot pushing, small: its main camera, and the arm's actions.

  Args:
    source: Folder with `softmotion30_44k/`, or itself that.
  """
  root = _first(pathlib.Path(source), 'softmotion30_44k', 'the records')
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
  """Returns the 10,000 test videos of Moving MNIST; there are no others.

  Args:
    source: `mnist_test_seq.npy`, or its folder.
  """
  path = pathlib.Path(source)
  path = path / 'mnist_test_seq.npy' if path.is_dir() else path
  if not path.is_file():
    raise FileNotFoundError(f'{path} is not there; give mnist_test_seq.npy.')
  shape = np.load(path, mmap_mode='r').shape
  if len(shape) != 4:
    raise ValueError(f'{path} is {shape}; Moving MNIST is [t, n, h, w].')
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
  """Returns Sky Timelapse: each folder of frames is a video.

  Args:
    source: Folder with `sky_train/` and `sky_test/`.
  """
  root = pathlib.Path(source)
  splits = {
    split: [
      tables.Row(
        folder.relative_to(root).as_posix(),
        raw_videos.Images(str(folder), fps=30.0),
      )
      for folder in _image_folders(_first(root, f'sky_{split}', 'frames'))
    ]
    for split in ('train', 'test')
  }
  return tables.Table('sky_timelapse', splits, description='Sky Timelapse.')


def something_something(source: str) -> tables.Table:
  """Returns Something-Something V2: what is done, and in which words.

  The label is the template, 'Pushing [something] from left to right', and the
  caption has the things' names in it. The test split, whose labels are not
  told, is left out.

  Args:
    source: Folder with the videos, `<id>.webm`, in a folder of any name, and
      with `labels.json`, `train.json`, `validation.json`, in any folder, with
      or without `something-something-v2-` before these names.
  """
  root = pathlib.Path(source)
  found = _videos(root)
  numbers = json.loads(_table(root, 'labels').read_text())
  names = sorted(numbers, key=lambda name: int(numbers[name]))
  splits = {}
  for split in ('train', 'validation'):
    lines = json.loads(_table(root, split).read_text())
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
        '%s: %d of %d videos are not there.', split, missing, len(lines)
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


def _first(root: pathlib.Path, name: str, what: str) -> pathlib.Path:
  """Returns the folder `name` in `root`, or `root` if that is its name."""
  if root.name == name and root.is_dir():
    return root
  found = sorted(path for path in root.rglob(name) if path.is_dir())
  if not found:
    raise FileNotFoundError(
      f'{root} has no folder {name!r} with {what}; unpack it there.'
    )
  return found[0]


def _text(path: pathlib.Path) -> list[str]:
  if not path.is_file():
    raise FileNotFoundError(f'{path} is not there; unpack the official splits.')
  return [line for line in path.read_text().splitlines() if line.strip()]


def _videos(root: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns all videos below a folder, by their names without endings.

  Raises:
    FileNotFoundError: If there is no folder.
    ValueError: If two files have one name: a table means either of them.
  """
  if not root.is_dir():
    raise FileNotFoundError(f'{root} is no folder; give one with videos.')
  found: dict[str, pathlib.Path] = {}
  for path in sorted(root.rglob('*')):
    is_video = path.suffix.lower() in video_folder.EXTENSIONS
    if not is_video or path.name.startswith('.') or not path.is_file():
      continue
    other = found.setdefault(path.stem, path)
    if other != path and not other.samefile(path):
      raise ValueError(
        f'{other} and {path} are both a video {path.stem!r}; keep one of them.'
      )
  return found


def _kinetics_stem(line: dict[str, Any], table: pathlib.Path) -> str:
  """Returns the name of a video, without its ending."""
  try:
    start, end = (round(float(line[f'time_{x}'])) for x in ('start', 'end'))
  except (KeyError, ValueError) as error:
    raise ValueError(
      f'{table} has a line {line}; it needs time_start and time_end, in s.'
    ) from error
  return f'{line["youtube_id"]}_{start:06d}_{end:06d}'


def _image_folders(root: pathlib.Path) -> list[pathlib.Path]:
  folders = [path for path in root.rglob('*') if path.is_dir()]
  return sorted(path for path in folders if raw_videos.image_paths(path))


def _table(root: pathlib.Path, name: str) -> pathlib.Path:
  names = (f'{name}.json', f'something-something-v2-{name}.json')
  found = sorted(path for x in names for path in root.rglob(x))
  if not found:
    raise FileNotFoundError(f'{root} has none of {names}; unpack them there.')
  return found[0]

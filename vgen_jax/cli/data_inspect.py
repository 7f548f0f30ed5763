"""Shows what a dataset holds: schema, counts, durations, pictures, speed.

  vgen data inspect --data_dir=datasets/ucf101/1.0.0
  vgen data inspect --dataset=bair_robot_pushing_small --split=test
  vgen data inspect --config=configs/dit_world.py --out=sheet.png

Writes a sheet of clips, each a row of frames, and prints what it found; the
last line is JSON. The speed is that of drawing clips one by one in one thread.
"""

import argparse
import dataclasses
import json
import time
from typing import Any

import numpy as np
from PIL import Image

from vgen_jax.cli import data_prepare
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.core import faults
from vgen_jax.data.tfds import dataset
from vgen_jax.runtime import writers

_FRAMES_SHOWN = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument('--data_dir', default=None, help='Of one dataset.')
  parser.add_argument(
    '--dataset', default=None, help='Name in the TFDS catalogue.'
  )
  parser.add_argument('--config', default=None, help='Whose data to look at.')
  parser.add_argument('--split', default='train')
  parser.add_argument('--clip_shape', default='16,64,64,3', help='t,h,w,c')
  parser.add_argument('--num', type=int, default=8, help='Clips to show.')
  parser.add_argument(
    '--scan', type=int, default=200, help='Examples to open, evenly spread.'
  )
  parser.add_argument('--out', default='sheet.png', help='The sheet of clips.')


def run(args: argparse.Namespace) -> int:
  if min(args.num, args.scan) < 1:
    raise ValueError('--num and --scan must be 1 or more.')
  source = _source(args)
  schema = dataclasses.asdict(source.schema)
  schema['class_names'] = list(schema['class_names'])
  chosen = np.linspace(0, len(source) - 1, min(args.scan, len(source)))
  chosen = np.unique(chosen.round().astype(int)).tolist()
  told = {'schema': schema, 'clips': len(source)}
  told |= _lengths(source, chosen)
  clips, told['broken'], told['clips_per_cpu_second'] = _drawn(source, chosen)
  told['labels_seen'] = len({int(c['label']) for c in clips if 'label' in c})
  if clips:
    told['sheet'] = args.out
    Image.fromarray(_sheet(clips, args.num)).save(args.out)
  for name, value in told.items():
    print(f'{name:22} {_short(value)}')
  print(json.dumps({'data_inspect': told}))
  return 0


def _source(args: argparse.Namespace) -> Any:
  if args.config:
    config = config_lib.replace(
      config_lib.load(args.config), config_lib.parse_overrides(args.overrides)
    )
    spec = config.data.to_dict()
    return build.source(spec, config.clip_shape, split=args.split)
  if not (args.data_dir or args.dataset):
    raise ValueError(
      'Give --data_dir, --dataset or --config: a dataset to open.'
    )
  return dataset.TFDSVideo(
    data_prepare.clip_shape(args.clip_shape),
    args.dataset,
    args.data_dir,
    args.split,
    short='loop',
  )


def _lengths(source: Any, chosen: list[int]) -> dict[str, Any]:
  """Returns how long examples are, where a source tells."""
  if not hasattr(source, 'frames'):
    return {}
  frames, seconds = [], []
  for index in chosen:
    try:
      video_thwc, rate = source.frames(index)
    except faults.ClipError:
      continue  # They are counted where clips are drawn.
    frames.append(len(video_thwc))
    if rate:
      seconds.append(len(video_thwc) / rate)
  return {'frames': _spread(frames), 'seconds': _spread(seconds)}


def _drawn(
  source: Any, chosen: list[int]
) -> tuple[list[dict[str, np.ndarray]], list[str], float]:
  """Returns clips, what is wrong with others, and clips per CPU-second."""
  clips, broken = [], []
  began = time.process_time()
  for index in chosen:
    try:
      clips.append(source[index])
    except faults.ClipError as error:
      broken.append(str(error))
  spent = max(time.process_time() - began, 1e-9)
  return clips, broken, round(len(chosen) / spent, 1)


def _sheet(clips: list[dict[str, np.ndarray]], num: int) -> np.ndarray:
  """Returns an image of some of the clips, and of some of their frames."""
  rows = np.linspace(0, len(clips) - 1, num).round().astype(int)
  t = len(clips[0]['video'])
  shown = np.linspace(0, t - 1, _FRAMES_SHOWN).round().astype(int)
  return writers.grid(
    np.stack([clips[i]['video'][np.unique(shown)] for i in np.unique(rows)])
  )


def _spread(values: list[float]) -> dict[str, float] | None:
  if not values:
    return None
  least, middle, most = np.quantile(values, (0, 0.5, 1)).tolist()
  return {'least': least, 'median': middle, 'most': most}


def _short(value: Any) -> str:
  word = str(value)
  return word if len(word) <= 200 else word[:197] + '...'

"""Implementation of `vgen data inspect`."""

import argparse
from collections.abc import Sequence
import dataclasses
import json
import time
from typing import Any

import numpy as np
from PIL import Image

from vgen_jax.cli import prepare_dataset
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.core import atomic_files
from vgen_jax.core import checks
from vgen_jax.core import faults
from vgen_jax.core import file_paths
from vgen_jax.data.tfds import dataset
from vgen_jax.runtime.output import pictures

_FRAMES_SHOWN = 8
_CLIP_SHAPE = '16,64,64,3'
_IMAGES = ('.png', '.jpg', '.webp')


def run(args: argparse.Namespace) -> int:
  """Inspects the dataset; returns the exit code."""
  checks.at_least('--num', args.num, 1)
  checks.at_least('--scan', args.scan, 1)
  _check_used(args)
  out = file_paths.local(args.out)
  if out.suffix.lower() not in _IMAGES:
    raise ValueError(
      f'--out is {args.out!r}; its name must end in one of {list(_IMAGES)}.'
    )
  atomic_files.check_folder(out.parent)
  source = _source(args)
  schema = dataclasses.asdict(source.schema)
  schema['class_names'] = list(schema['class_names'])
  chosen = np.linspace(0, len(source) - 1, min(args.scan, len(source)))
  chosen = np.unique(chosen.round().astype(int)).tolist()
  report = {'schema': schema, 'clips': len(source)}
  report |= _lengths(source, chosen)
  clips, report['broken'], report['clips_per_cpu_second'] = _read(
    source, chosen
  )
  report['num_labels'] = len({int(c['label']) for c in clips if 'label' in c})
  if clips:
    report['sheet'] = args.out
    image = Image.fromarray(_sheet(clips, args.num, source.schema.class_names))
    with atomic_files.replacing(out) as temporary:
      image.save(temporary, Image.registered_extensions()[out.suffix.lower()])
  for name, value in report.items():
    print(f'{name:22} {_shortened(value)}')
  print(json.dumps({'data_inspect': report}))
  return 0


def _check_used(args: argparse.Namespace) -> None:
  """Raises ValueError if a flag would have no effect."""
  if not args.config:
    if args.overrides:
      raise ValueError(
        f'--config.{args.overrides[0]} has no effect without --config; remove'
        ' it.'
      )
    return
  if args.clip_shape is not None:
    raise ValueError(
      f'--clip_shape is {args.clip_shape!r}, which has no effect with --config;'
      ' use --config.clip_shape.'
    )
  for name in ('data_dir', 'dataset'):
    if getattr(args, name) is not None:
      raise ValueError(
        f'--{name} has no effect with --config; give one of the two.'
      )


def _source(args: argparse.Namespace) -> Any:
  if args.config:
    config = config_lib.replace(
      config_lib.load(args.config), config_lib.parse_overrides(args.overrides)
    )
    spec = config.data.to_dict()
    return build.source(spec, config.clip_shape, split=args.split)
  if not (args.data_dir or args.dataset):
    raise ValueError(
      'No dataset to inspect: give --data_dir, --dataset or --config.'
    )
  return dataset.TFDSVideo(
    prepare_dataset.clip_shape(args.clip_shape or _CLIP_SHAPE),
    args.dataset,
    args.data_dir,
    args.split,
    short='loop',
  )


def _lengths(source: Any, chosen: list[int]) -> dict[str, Any]:
  """Returns the durations of examples, if the source reads whole videos."""
  if not isinstance(source, dataset.TFDSVideo):
    return {}
  frames, seconds = [], []
  for index in chosen:
    try:
      video_thwc, rate = source.frames(index)
    except faults.ClipError:
      continue  # `_read` reports it.
    frames.append(len(video_thwc))
    if rate:
      seconds.append(len(video_thwc) / rate)
  return {'frames': _quantiles(frames), 'seconds': _quantiles(seconds)}


def _read(
  source: Any, chosen: list[int]
) -> tuple[list[dict[str, np.ndarray]], list[str], float]:
  """Returns clips, errors about other clips, and clips per CPU-second."""
  clips, broken = [], []
  start = time.process_time()
  for index in chosen:
    try:
      clips.append(source[index])
    except faults.ClipError as error:
      broken.append(str(error))
  seconds = max(time.process_time() - start, 1e-9)
  return clips, broken, round(len(chosen) / seconds, 1)


def _sheet(
  clips: list[dict[str, np.ndarray]], num: int, names: Sequence[str]
) -> np.ndarray:
  """Returns an image of some clips, with some of their frames."""
  rows = np.linspace(0, len(clips) - 1, num).round().astype(int)
  t = len(clips[0]['video'])
  shown = np.linspace(0, t - 1, _FRAMES_SHOWN).round().astype(int)
  chosen = [clips[i] for i in np.unique(rows)]
  video_bthwc = np.stack([clip['video'][np.unique(shown)] for clip in chosen])
  labels = [names[x['label']] for x in chosen if names and 'label' in x]
  return pictures.sheet([pictures.Section(video_bthwc, labels=labels)])


def _quantiles(values: list[float]) -> dict[str, float] | None:
  """Returns smallest, median and largest value; None if there are no values."""
  if not values:
    return None
  smallest, median, largest = np.quantile(values, (0, 0.5, 1)).tolist()
  return {'min': smallest, 'median': median, 'max': largest}


def _shortened(value: Any) -> str:
  text = str(value)
  return text if len(text) <= 200 else text[:197] + '...'

"""Implementation of `vgen data bench`."""

import argparse
from collections.abc import Callable
import itertools
import json
import math
import statistics
import tempfile
import time
from typing import Any

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import sources
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.data import pipeline
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.data.prepare import write
from vgen_jax.data.tfds import dataset
from vgen_jax.data.tfds import examples as tfds_examples
from vgen_jax.data.tfds import storage
from vgen_jax.synthetic.world import source as world

# Target speeds of the pipeline, relative to a bare loop; for `world`, in clips
# per CPU-second at 16x64x64.
TARGETS = {'jpeg': 0.6, 'mp4': 0.75, 'raw': 0.45}
WORLD_TARGET = 2000
FORMATS = (*TARGETS, 'world')
_BATCH_BYTES = 6 << 20
_NUM_SHUFFLED = 100_000


def run(args: argparse.Namespace) -> int:
  """Prints the speeds; returns the exit code."""
  for name in ('rounds', 'num_clips', 'num_threads'):
    checks.at_least(f'--{name}', getattr(args, name), 1)
  if not 0 < args.seconds < math.inf:
    raise ValueError(
      f'--seconds is {args.seconds}; it must be positive and finite.'
    )
  formats = args.formats.split(',')
  for kind in formats:
    checks.one_of('an entry of --formats', kind, FORMATS)
  shapes = [_shape(text) for text in args.shapes.split(',')]
  rows = [_measured(kind, shape, args) for shape in shapes for kind in formats]
  if not args.json:
    print('| storage | clip | bytes | bare loop | pipeline | ratio | target |')
    print('|---|---|---|---|---|---|---|')
    for row in rows:
      print('| ' + ' | '.join(_cell(value) for value in row.values()) + ' |')
  print(json.dumps({'data_bench': rows}))
  return 0


class Noisy:
  """World with camera noise: uniform colours would compress too well."""

  def __init__(self, clip_shape: ClipShape, num_clips: int):
    self._world = world.World(clip_shape, num_clips=num_clips, label=None)
    self.schema = self._world.schema

  def __getitem__(self, index: int) -> Clip:
    video_thwc = self._world[index]['video']
    noise = np.random.default_rng(index).normal(0, 2, video_thwc.shape)
    return {'video': np.uint8(np.clip(video_thwc + noise, 0, 255))}


class _Counted:
  """A source that counts the clips that are read, also if they are not used.

  The source repeats its clips up to the size of a typical dataset, since Grain
  shuffles a hundred clips more slowly than a million.
  """

  def __init__(self, source: Any):
    self._source = source
    self.schema = source.schema
    self.num_read = itertools.count()

  def __len__(self) -> int:
    return max(len(self._source), _NUM_SHUFFLED)

  def __getitem__(self, index: int) -> Clip:
    next(self.num_read)  # It is thread-safe.
    return self._source[index % len(self._source)]


class _CountedViews(_Counted, sources.HasRandomViews):
  """A counted source with random views."""

  def random_view(self, index: int, rng: np.random.Generator) -> Clip:
    next(self.num_read)
    return self._source.random_view(index % len(self._source), rng)


def _measured(
  kind: str, clip_shape: ClipShape, args: argparse.Namespace
) -> dict[str, Any]:
  """Returns a row of the table."""
  with tempfile.TemporaryDirectory() as folder:
    if kind == 'world':
      source = world.World(clip_shape)
      bare, size = source.__getitem__, 0
    else:
      source, bare, size = _stored(kind, clip_shape, folder, args.num_clips)
    bares, pipelines = [], []
    for i in range(args.rounds + 1):
      rates = (
        _bare_rate(bare, len(source), args.seconds),
        _pipeline_rate(source, i, args.seconds, args.num_threads),
      )
      if i:  # The first round opens files and fills caches.
        bares.append(rates[0])
        pipelines.append(rates[1])
  ratio = statistics.median(
    b / a for a, b in zip(bares, pipelines, strict=True)
  )
  rate = statistics.median(pipelines)
  target = TARGETS.get(kind)
  if kind == 'world':
    target = WORLD_TARGET if clip_shape[:2] == (16, 64) else None
  return {
    'storage': kind,
    'clip': 'x'.join(map(str, clip_shape[:3])),
    'bytes': size,
    'bare_loop': round(statistics.median(bares), 1),
    'pipeline': round(rate, 1),
    'ratio': round(ratio, 3),
    'target': target,
  }


def _stored(
  kind: str, clip_shape: ClipShape, folder: str, num_clips: int
) -> tuple[Any, Callable[[int], Any], int]:
  """Returns a dataset on disk, its bare loop, and the bytes per record."""
  noisy = Noisy(clip_shape, num_clips)
  rows = [
    tables.Row(f'{i:04d}', raw_videos.Clip(noisy, i)) for i in range(num_clips)
  ]
  table = tables.Table('bench', {'train': rows})
  path, _ = write.write(table, folder, raw_videos.Options(kind))
  source = dataset.TFDSVideo(clip_shape, data_dir=path, split='all')
  examples = tfds_examples.Examples(None, path, {})
  records = examples.records('train')
  size = sum(len(records[i]) for i in range(num_clips)) // num_clips
  values = [examples.parse(records[i])['video'] for i in range(num_clips)]
  if kind == 'mp4':
    return source, lambda i: storage.read_mp4(values[i], np.arange), size
  if kind == 'jpeg':
    images = [list(value) for value in values]
    return source, lambda i: storage.read_images(images[i], np.arange), size
  count = int(np.prod(clip_shape))

  def view(index: int) -> np.ndarray:
    return np.frombuffer(records[index], np.uint8, count).reshape(clip_shape)

  return source, view, size


def _bare_rate(loop: Callable[[int], Any], num: int, seconds: float) -> float:
  """Returns the speed of a bare loop, in clips per CPU-second."""
  order = np.random.default_rng(0).permutation(num).tolist()
  start = time.process_time()
  for done in itertools.count(1):
    loop(order[done % num])
    if (duration := time.process_time() - start) > seconds:
      return done / duration
  return 0.0


def _pipeline_rate(
  source: Any, seed: int, seconds: float, num_threads: int
) -> float:
  """Returns the speed of the pipeline, in clips per CPU-second."""
  has_views = isinstance(source, sources.HasRandomViews)
  counted = (_CountedViews if has_views else _Counted)(source)
  size = max(1, min(32, _BATCH_BYTES // int(np.prod(source.clip_shape))))
  reader = pipeline.Reader(num_threads=num_threads)
  start = time.process_time()
  with pipeline.batches(
    counted, batch_size=size, seed=seed, reader=reader
  ) as batches:
    while time.process_time() - start < seconds:
      next(batches)
  # Clips that were read ahead count, since they took time.
  return next(counted.num_read) / (time.process_time() - start)


def _shape(text: str) -> ClipShape:
  try:
    t, h, w = (int(size) for size in text.split('x'))
  except ValueError as error:
    raise ValueError(
      f'--shapes has {text!r}; it must have shapes TxHxW, such as 16x64x64.'
    ) from error
  checks.at_least('the smallest size in --shapes', min(t, h, w), 1)
  return t, h, w, 3


def _cell(value: Any) -> str:
  if value is None:
    return ''
  return f'{value:,}' if isinstance(value, int | float) else str(value)

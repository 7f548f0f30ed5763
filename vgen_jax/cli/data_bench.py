"""Times the pipeline beside bare loops that do no more than decode.

  vgen data bench
  vgen data bench --formats=jpeg --shapes=16x64x64 --turns=9

A bare loop takes bytes that are in memory and decodes them; for `raw`, where
there is nothing to decode, it reads records; for `world` it draws. The pipeline
shuffles, reads, decodes, cuts, and batches. They take turns, a second or so
each, and the median turn counts, in clips per CPU-second: time on the wall
tells more about what else the machine does. Prints a table in Markdown and,
last, a line of JSON.
"""

import argparse
from collections.abc import Callable
import itertools
import json
import statistics
import tempfile
import time
from typing import Any

import numpy as np

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

# Of a bare loop's speed, what the pipeline is to reach; of the world, clips per
# CPU-second at 16x64x64.
TARGETS = {'jpeg': 0.6, 'mp4': 0.75, 'raw': 0.45}
WORLD_TARGET = 2000
_SHAPES = '16x64x64,32x128x128'
_BATCH_BYTES = 6 << 20
_NUM_SHUFFLED = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument('--formats', default=','.join([*TARGETS, 'world']))
  parser.add_argument('--shapes', default=_SHAPES, help='t x h x w, several.')
  parser.add_argument('--turns', type=int, default=5)
  parser.add_argument(
    '--seconds', type=float, default=1.0, help='Of CPU time, for a turn.'
  )
  parser.add_argument('--num_clips', type=int, default=64)
  parser.add_argument('--num_threads', type=int, default=2)
  parser.add_argument(
    '--json', action='store_true', help='Print nothing but the line of JSON.'
  )


def run(args: argparse.Namespace) -> int:
  formats = args.formats.split(',')
  known = [*TARGETS, 'world']
  if unknown := sorted(set(formats) - set(known)):
    raise ValueError(f'--formats has {unknown}; it may have {known}.')
  rows = [
    _measured(kind, shape, args)
    for shape in map(_shape, args.shapes.split(','))
    for kind in formats
  ]
  if not args.json:
    print('| storage | clip | bytes | bare loop | pipeline | ratio | target |')
    print('|---|---|---|---|---|---|---|')
    for row in rows:
      print('| ' + ' | '.join(_cell(value) for value in row.values()) + ' |')
  print(json.dumps({'data_bench': rows}))
  return 0


class Noisy:
  """The world, with the noise of a camera: flat colours would be too easy."""

  def __init__(self, clip_shape: ClipShape, num_clips: int):
    self._world = world.World(clip_shape, num_clips=num_clips, label=None)
    self.schema = self._world.schema

  def __getitem__(self, index: int) -> Clip:
    video_thwc = self._world[index]['video']
    noise = np.random.default_rng(index).normal(0, 2, video_thwc.shape)
    return {'video': np.uint8(np.clip(video_thwc + noise, 0, 255))}


class _Counted:
  """A source that counts the clips that are drawn, whether used or not.

  It shows the same clips over and over, as many as a dataset has: to shuffle a
  hundred of them takes Grain longer than to shuffle a million.
  """

  def __init__(self, source: Any):
    self._source = source
    self.schema = source.schema
    self.drawn = itertools.count()
    if hasattr(source, 'draw'):
      self.draw = self._draw

  def __len__(self) -> int:
    return max(len(self._source), _NUM_SHUFFLED)

  def __getitem__(self, index: int) -> Clip:
    next(self.drawn)  # Safe among threads.
    return self._source[index % len(self._source)]

  def _draw(self, index: int, rng: np.random.Generator) -> Clip:
    next(self.drawn)
    return self._source.draw(index % len(self._source), rng)


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
    for turn in range(args.turns + 1):
      rates = (
        _bare_rate(bare, len(source), args.seconds),
        _pipeline_rate(source, turn, args.seconds, args.num_threads),
      )
      if turn:  # The first opens files and fills caches.
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
  """Returns a dataset on disk, a loop over it, and bytes of a record."""
  noisy = Noisy(clip_shape, num_clips)
  rows = [
    tables.Row(f'{i:04d}', raw_videos.Clip(noisy, i)) for i in range(num_clips)
  ]
  table = tables.Table('bench', {'train': rows})
  place, _ = write.write(table, folder, raw_videos.Options(kind))
  source = dataset.TFDSVideo(clip_shape, data_dir=place, split='all')
  examples = tfds_examples.Examples(None, place, {})
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
  order = np.random.default_rng(0).permutation(num).tolist()
  began = time.process_time()
  for done in itertools.count(1):
    loop(order[done % num])
    if (spent := time.process_time() - began) > seconds:
      return done / spent
  return 0.0


def _pipeline_rate(
  source: Any, seed: int, seconds: float, num_threads: int
) -> float:
  counted = _Counted(source)
  size = max(1, min(32, _BATCH_BYTES // int(np.prod(source.clip_shape))))
  began = time.process_time()
  with pipeline.batches(
    counted, batch_size=size, seed=seed, num_threads=num_threads
  ) as batches:
    while time.process_time() - began < seconds:
      next(batches)
  # What was read ahead took its time as well.
  return next(counted.drawn) / (time.process_time() - began)


def _shape(word: str) -> ClipShape:
  try:
    t, h, w = (int(size) for size in word.split('x'))
  except ValueError as error:
    raise ValueError(
      f'--shapes has {word!r}; it takes shapes such as {_SHAPES}.'
    ) from error
  return t, h, w, 3


def _cell(value: Any) -> str:
  if value is None:
    return ''
  return f'{value:,}' if isinstance(value, int | float) else str(value)

"""Encodes clips once, so that what learns from them need not at each step.

  vgen data encode --workdir=runs/fsq_world --out=datasets
  vgen data encode --workdir=runs/fsq_world --out=datasets --split=validation
  vgen data encode --workdir=runs/fsq_world --out=datasets \\
      --data=configs/maskgit_world.py --config.data.num_clips=10000

The tokenizer is that of a run, with the average that it samples from; the clips
are those that it learned from, or those of another config. Codes are kept if it
has a codebook, else its latents. Train on them with

  config.data = {'name': 'data.encoded.Encoded', 'folder': <folder>}
  config.frozen = {'autoencoder': <workdir>}

The last line tells in JSON what the folder is: <out>/<hash of tokenizer and
data>. A command that was cut off goes on where it was when repeated, and each
host of a pod does its share. Clips are fixed: no random window, crop or flip of
them is seen in training.
"""

import argparse
from collections.abc import Callable
import dataclasses
import inspect
import json
import pathlib
import time
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict
import numpy as np

from vgen_jax.cli import cluster
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import digests
from vgen_jax.data import encoded
from vgen_jax.data import pipeline
from vgen_jax.data.prepare import encodings
from vgen_jax.families.base import VideoModel
from vgen_jax.inference import runs
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.training import frozen
from vgen_jax.training import step as step_lib

DTYPES = ('float16', 'float32')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument('--workdir', required=True, help='Of the tokenizer.')
  parser.add_argument('--out', required=True, help='Folder of datasets.')
  parser.add_argument(
    '--step', type=int, default=None, help='Checkpoint; else the latest.'
  )
  add = parser.add_argument_group('what is encoded').add_argument
  add('--data', default=None, help='Config whose clips to take.')
  add('--split', default=None, help='Of the data; else what is trained on.')
  add('--num', type=int, default=None, help='Clips, the first ones; else all.')
  add = parser.add_argument_group('how').add_argument
  add('--dtype', default='float16', help=f'Of latents: {", ".join(DTYPES)}.')
  add('--batch', type=int, default=64, help='Clips at a time, on a host.')
  add('--shard', type=int, default=1024, help='Clips in a shard.')
  add('--num_threads', type=int, default=2, help='Batches read at a time.')
  cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
  began = time.perf_counter()
  _check(args)
  cluster.join(args)
  found = runs.load(args.workdir, step=args.step)
  settings = settings_lib.read(found.config)
  variables = frozen.tokenizer(found.state, settings.sample_from)
  config = config_lib.load(args.data) if args.data else found.config
  config = config_lib.replace(
    config, config_lib.parse_overrides(args.overrides)
  )
  source, data, split = _source(config, args.split)
  num_clips = min(args.num or len(source), len(source))
  manifest = encoded.Manifest(
    **_kept(found.model, tuple(config.clip_shape), args.dtype),
    num_clips=num_clips,
    shard_clips=args.shard,
    tokenizer=digests.tree(variables),
    autoencoder=settings.model[frozen.TOKENIZER],
    workdir=args.workdir,
    step=found.step,
    data=data,
    split=split,
    clip_shape=tuple(config.clip_shape),
    schema=dataclasses.asdict(source.schema),
  )
  folder = pathlib.Path(args.out).expanduser() / manifest.key
  devices = jax.local_device_count()
  written = encodings.write(
    str(folder),
    manifest,
    source,
    encoder(found.model, variables, manifest.kind),
    batch_size=-(-args.batch // devices) * devices,
    num_threads=args.num_threads,
    faults=settings_lib.read(config).faults,
  )
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices('encoded')
  if jax.process_index():
    return 0
  shards = list((folder / split).glob('*.npy'))
  told = {
    'folder': str(folder),
    'split': split,
    manifest.kind: list(manifest.shape),
    'dtype': manifest.dtype,
    'clips': num_clips,
    'shards': len(shards),
    'written': written,  # By this host, this time.
    'bytes': sum(file.stat().st_size for file in shards),
    'seconds': round(time.perf_counter() - began, 1),
  }
  print(json.dumps({'data_encode': told}))
  return 0


def encoder(
  model: VideoModel, variables: dict[str, Any], kind: str
) -> Callable[[np.ndarray], np.ndarray]:
  """Returns what makes codes or latents of clips, uint8 `[b, t, h, w, c]`.

  Each device of this host has a copy of the tokenizer, and a share of the
  clips, whose number they must divide. Hosts need not call it in step.

  Args:
    model: A family with a part `autoencoder`.
    variables: Of that part, on the host.
    kind: 'codes' or 'latents'.
  """
  mesh = Mesh(np.array(jax.local_devices()), ('data',))
  whole, shared = NamedSharding(mesh, P()), NamedSharding(mesh, P('data'))

  def encode(model: VideoModel, video_bthwc: jax.Array) -> jax.Array:
    video_bthwc = step_lib.prepare({'video': video_bthwc}, 0)['video']
    return getattr(model.autoencoder, kind)(video_bthwc)

  apply = jax.jit(lambda *args: model.apply(*args, method=encode))
  variables = jax.device_put(variables, whole)
  return lambda video: jax.device_get(
    apply(variables, jax.device_put(video, shared))
  )


def _check(args: argparse.Namespace) -> None:
  """Raises ValueError if flags have no meaning."""
  for name in ('num', 'batch', 'shard'):
    value = getattr(args, name)
    if value is not None and value < 1:
      raise ValueError(f'--{name} is {value}; it must be 1 or more.')
  if args.dtype not in DTYPES:
    raise ValueError(f'--dtype is {args.dtype!r}; it must be one of {DTYPES}.')
  for text in args.overrides:
    if text.partition('=')[0].partition('.')[0] not in ('data', 'clip_shape'):
      raise ValueError(
        f'--config.{text} says nothing of the clips; only config.data and'
        ' config.clip_shape count here.'
      )


def _source(
  config: ConfigDict, split: str | None
) -> tuple[pipeline.Source, dict[str, Any], str]:
  """Returns the clips of a config, their spec less the split, and that."""
  settings = settings_lib.read(config)
  data = dict(settings.data)
  own = data.pop('split', 'train')
  split = split or own
  source = build.source(
    data, settings.clip_shape, split=split, faults=settings.faults.policy
  )
  if isinstance(source, encoded.Encoded):
    raise ValueError(
      'config.data is of encoded clips; name a config of clips by --data.'
    )
  takes = inspect.signature(type(source)).parameters
  if split != 'train' and 'split' not in takes:
    raise ValueError(
      f'--split is {split!r}, but {data["name"]} has no splits; leave it out.'
    )
  return source, data, split


def _kept(
  model: VideoModel, clip_shape: tuple[int, ...], dtype: str
) -> dict[str, Any]:
  """Returns kind, shape and dtype of what a tokenizer makes of a clip."""
  network = getattr(model, frozen.TOKENIZER, None)
  if not isinstance(network, autoencoder.Autoencoder):
    raise ValueError(
      f'--workdir is of a run of {type(model).__name__}, which has no'
      f' {frozen.TOKENIZER}; name the run of a tokenizer.'
    )
  shape = tuple(network.latent_shape(clip_shape))
  num_codes = model.apply({}, method=lambda model: model.autoencoder.num_codes)
  if not num_codes:
    return {'kind': 'latents', 'shape': shape, 'dtype': dtype}
  smallest = np.min_scalar_type(num_codes - 1).name
  return {'kind': 'codes', 'shape': shape[:3], 'dtype': smallest}

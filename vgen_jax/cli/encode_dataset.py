"""Implementation of `vgen data encode`."""

import argparse
from collections.abc import Callable
import dataclasses
import inspect
import json
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
from vgen_jax.core import checks
from vgen_jax.core import digests
from vgen_jax.core import file_paths
from vgen_jax.data import encoded
from vgen_jax.data import identity
from vgen_jax.data import pipeline
from vgen_jax.data.encodings import manifest as manifest_lib
from vgen_jax.data.prepare import encodings
from vgen_jax.families.base import VideoModel
from vgen_jax.inference import runs
from vgen_jax.nn import batch_sharding
from vgen_jax.runtime.pod import agreement
from vgen_jax.training import frozen
from vgen_jax.training import step as step_lib

DTYPES = ('float16', 'float32')


def run(args: argparse.Namespace) -> int:
  """Encodes the clips; returns the exit code."""
  start = time.perf_counter()
  _check(args)
  cluster.join(args)
  found = runs.load(args.workdir, step=args.step)
  settings = settings_lib.read(found.config)
  variables = frozen.tokenizer(found.state, settings.sample_from)
  config = config_lib.load(args.data) if args.data else found.config
  config = config_lib.replace(
    config, config_lib.parse_overrides(args.overrides)
  )
  agreement.check({'config': config.to_dict()})
  source, data, split = _source(config, args.split)
  agreement.check_data(lambda: source, 'data')
  num_clips = min(args.num or len(source), len(source))
  manifest = manifest_lib.Manifest(
    **_stored(found.model, tuple(config.clip_shape), args.dtype),
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
    identity=identity.of(source).plain(),
  )
  folder = file_paths.local(args.out) / manifest.key
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
  report = {
    'folder': str(folder),
    'split': split,
    manifest.kind: list(manifest.shape),
    'dtype': manifest.dtype,
    'clips': num_clips,
    'shards': len(shards),
    'written': written,  # By this host in this call.
    'bytes': sum(file.stat().st_size for file in shards),
    'seconds': round(time.perf_counter() - start, 1),
  }
  print(json.dumps({'data_encode': report}))
  return 0


def encoder(
  model: VideoModel, variables: dict[str, Any], kind: str
) -> Callable[[np.ndarray], np.ndarray]:
  """Returns a function that encodes clips, uint8 `[b, t, h, w, c]`.

  Each device of this host has a copy of the tokenizer and a shard of the clips,
  so the number of clips must be a multiple of the number of devices. Hosts need
  not call the function at the same time.

  Args:
    model: Family with a part `autoencoder`.
    variables: Variables of that part, on the host.
    kind: 'codes' or 'latents'.
  """
  mesh = Mesh(np.array(jax.local_devices()), ('data',))
  replicated = NamedSharding(mesh, P())
  sharded = NamedSharding(mesh, P('data'))

  def encode(model: VideoModel, video_bthwc: jax.Array) -> jax.Array:
    video_bthwc = step_lib.prepare({'video': video_bthwc}, 0)['video']
    return getattr(model.autoencoder, kind)(video_bthwc)

  apply = jax.jit(
    batch_sharding.on_mesh(
      mesh, lambda *args: model.apply(*args, method=encode)
    )
  )
  variables = jax.device_put(variables, replicated)
  return lambda video: jax.device_get(
    apply(variables, jax.device_put(video, sharded))
  )


def _check(args: argparse.Namespace) -> None:
  """Raises ValueError if flags are out of range."""
  for name in ('num', 'batch', 'shard', 'num_threads'):
    value = getattr(args, name)
    if value is not None:
      checks.at_least(f'--{name}', value, 1)
  if args.dtype is not None:
    checks.one_of('--dtype', args.dtype, DTYPES)
  for text in args.overrides:
    if text.partition('=')[0].partition('.')[0] not in ('data', 'clip_shape'):
      raise ValueError(
        f'--config.{text} has no effect on the clips; only config.data and'
        ' config.clip_shape can be set here.'
      )


def _source(
  config: ConfigDict, split: str | None
) -> tuple[pipeline.Source, dict[str, Any], str]:
  """Returns a source of clips, its spec without the split, and the split."""
  settings = settings_lib.read(config)
  data = dict(settings.data)
  own = data.pop('split', 'train')
  split = split or own
  source = build.source(
    data, settings.clip_shape, split=split, faults=settings.faults.policy
  )
  if isinstance(source, encoded.Encoded):
    raise ValueError(
      'config.data contains encoded clips; give a config of clips with pixels'
      ' with --data.'
    )
  parameters = inspect.signature(type(source)).parameters
  if split != 'train' and 'split' not in parameters:
    raise ValueError(
      f'--split is {split!r}, but {data["name"]} has no splits; remove --split.'
    )
  return source, data, split


def _stored(
  model: VideoModel, clip_shape: tuple[int, ...], dtype: str | None
) -> dict[str, Any]:
  """Returns the fields of a manifest about the codes or latents of a clip."""
  if 'reconstruct' not in model.supported_tasks:
    raise ValueError(
      f'--workdir contains a run of {type(model).__name__}, which has no'
      f' {frozen.TOKENIZER}; give the directory of a run of a tokenizer.'
    )
  shape = tuple(model.autoencoder.latent_shape(clip_shape))
  num_codes = model.apply({}, method=lambda model: model.autoencoder.num_codes)
  if not num_codes:
    precision = DTYPES[0] if dtype is None else dtype
    latents = {'kind': 'latents', 'shape': shape, 'dtype': precision}
    return latents | {'num_codes': 0}
  if dtype is not None:
    raise ValueError(
      f'--dtype is {dtype}, but the tokenizer has a codebook, so that codes are'
      ' stored, which are integers; remove --dtype.'
    )
  smallest = np.min_scalar_type(num_codes - 1).name
  codes = {'kind': 'codes', 'shape': shape[:3], 'dtype': smallest}
  return codes | {'num_codes': num_codes}

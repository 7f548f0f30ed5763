"""Measures what devices exchange in a train step of the DiT.

  python -m experiments.benchmarks.activations
  python -m experiments.benchmarks.activations --topology=v5p:4x4x4

Each call compiles a step with FSDP over all devices twice: with
`nn.batch_sharding.constrain` as it is, and as the identity. The first command
compiles for 8 CPU devices, the second for a TPU that need not exist: this works
on any machine with the packages `libtpu` and 16 GB of memory. Nothing is run;
times are estimates of the compiler. Results are in activations.md.
"""

import argparse
import collections
import os
import pathlib
import re
import time

import numpy as np

os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')
os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
from jax.experimental import topologies
from jax.sharding import AxisType
from jax.sharding import Mesh

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.nn import batch_sharding
from vgen_jax.runtime import sharding
from vgen_jax.training import collectives
from vgen_jax.training import setup as setup_lib

_ROOT = pathlib.Path(__file__).parents[2]
_CLIP = (16, 32, 32, 3)
_PATCH = (1, 2, 2)


def make_setup(args: argparse.Namespace, devices: np.ndarray):
  """Returns the setup of a DiT on a mesh of devices, with FSDP over all."""
  config = config_lib.load(f'{_ROOT}/configs/dit_world.py:{args.size}')
  config.unlock()
  config.batch_size = args.batch_size
  config.clip_shape = _CLIP
  config.model.denoiser.patch_size = _PATCH
  config.model.denoiser.remat = args.remat
  if args.depth:
    config.model.denoiser.depth = args.depth
  if args.dtype:
    config.model.denoiser.dtype = args.dtype
  config.mesh = dict(data=1, fsdp=devices.size, tensor=1)
  mesh = Mesh(
    devices.reshape(1, -1, 1),
    ('data', 'fsdp', 'tensor'),
    axis_types=(AxisType.Auto,) * 3,
  )
  sharding.make_mesh = lambda axes: mesh
  return setup_lib.make(settings_lib.read(config))


def measure(args: argparse.Namespace, setup, kind: str) -> dict[str, str]:
  """Returns a row of the table: memory, estimated time and collectives.

  Args:
    args: Flags of the script.
    setup: Setup of the run whose step is compiled.
    kind: Whether steps have the constraint, 'with' or 'without'.
  """
  state = setup.state_shapes()
  shards = sharding.of_batch(setup.mesh)
  batch = {
    key: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=shards)
    for key, x in setup.batch.items()
  }
  platform = 'tpu' if args.topology else 'cpu'
  start = time.monotonic()
  lowered = setup.train_step().trace(state, batch)
  compiled = lowered.lower(lowering_platforms=(platform,)).compile()
  seconds = time.monotonic() - start
  found = collectives.parse(compiled.as_text())
  clip_numbers = (
    np.prod(_CLIP[:3]) // np.prod(_PATCH) * setup.model.denoiser.width
  )
  whole = args.batch_size * clip_numbers
  largest = collections.Counter(
    f'{one.kind} {list(shape)}'
    for one in found
    for shape in one.shapes
    if np.prod(shape) >= whole
  )
  temporary = compiled.memory_analysis().temp_size_in_bytes / 2**30
  cost = compiled.cost_analysis() or {}
  estimate = cost.get('optimal_seconds', -1)
  return {
    'constraint': kind,
    'temporary memory of a device': f'{temporary:.2f} GiB',
    'estimated step': f'{1e3 * estimate:.1f} ms' if estimate > 0 else '-',
    'collectives': ', '.join(
      f'{n} {name}' for name, n in collectives.count(found).items()
    ),
    'results that hold activations of the whole batch': '; '.join(
      f'{n} x {name}' for name, n in largest.items()
    )
    or 'none',
    'compiled in': f'{seconds:.0f} s',
  }


def table(rows: list[dict[str, str]]) -> str:
  lines = [
    list(rows[0]),
    ['---'] * len(rows[0]),
    *(list(r.values()) for r in rows),
  ]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    '--topology', default='', help="TPU, such as 'v5p:4x4x4'; '' for 8 CPUs."
  )
  parser.add_argument(
    '--size', default='', help='Size of configs/dit_world.py.'
  )
  parser.add_argument(
    '--batch_size', type=int, default=0, help='Number of clips.'
  )
  args = parser.parse_args()
  args.remat, args.depth, args.dtype = 'none', 4, 'float32'
  if args.topology:
    topology = topologies.get_topology_desc(
      platform='tpu', topology_name=args.topology
    )
    devices = np.array(topology.devices)
    args.remat, args.depth, args.dtype = 'full', 0, ''
    # Layers choose their form by the backend.
    jax.default_backend = lambda: 'tpu'
  else:
    jax.config.update('jax_num_cpu_devices', 8)
    devices = np.array(jax.devices())
  args.size = args.size or ('XL' if args.topology else 'S')
  args.batch_size = args.batch_size or (512 if args.topology else 16)

  constrain, rows = batch_sharding.constrain, []
  for kind in ('without', 'with'):
    batch_sharding.constrain = constrain if kind == 'with' else lambda x: x
    rows.append(measure(args, make_setup(args, devices), kind))
    print(rows[-1], flush=True)
  name = re.sub('[^a-z]', '', str(devices[0].platform).lower())
  print(
    f'DiT {args.size}, {args.depth or "all"} blocks, {args.batch_size} clips of'
    f' {_CLIP}, patches {_PATCH}, remat {args.remat}, fsdp {devices.size},'
    f' {args.topology or name}, JAX {jax.__version__}\n'
  )
  print(table(rows))


if __name__ == '__main__':
  main()

"""How fast do DiT sizes train on this accelerator?

  python experiments/benchmarks/dit_speed.py --sizes=S,B,L --steps=30

Trains `configs/dit_world.py` of each size in bfloat16 on batches that are on
the device already, so that the model alone is timed; the sizes take turns, a
few steps each, and the median turn counts. Memory is what the compiler plans
for a step, state included. Prints a Markdown table and, last, a line of JSON.
"""

import argparse
import json
import statistics
import time

import jax

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.runtime import flops as flops_lib
from vgen_jax.training import compilation
from vgen_jax.training import loop
from vgen_jax.training import setup as setup_lib

_GIB = 2**30


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--config', default='configs/dit_world.py')
  parser.add_argument('--sizes', default='S,B,L')
  parser.add_argument('--steps', type=int, default=30, help='Steps a turn.')
  parser.add_argument('--turns', type=int, default=3)
  parser.add_argument(
    '--set', nargs='*', default=[], help='path=value, as batch_size=32.'
  )
  args = parser.parse_args()
  sizes = args.sizes.split(',')
  overrides = config_lib.parse_overrides(args.set)
  runs = {size: _Timed(f'{args.config}:{size}', overrides) for size in sizes}
  for _ in range(args.turns):
    for run in runs.values():
      run.turn(args.steps)

  device = jax.devices()[0]
  print(f'{device.device_kind}, JAX {jax.__version__}, {args}\n')
  print('| size | parameters | clips/s | steps/s | TFLOP/s | MFU | memory |')
  print('|---|---|---|---|---|---|---|')
  rows = {size: run.row(device) for size, run in runs.items()}
  for size, row in rows.items():
    mfu = '-' if row['mfu'] is None else f'{row["mfu"]:.1%}'
    print(
      f'| {size} | {row["params"] / 1e6:.1f} M | {row["clips"]:.1f} |'
      f' {row["steps"]:.3f} | {row["flops"] / 1e12:.3g} | {mfu} |'
      f' {row["bytes"] / _GIB:.2f} GiB |'
    )
  print(json.dumps({'dit_speed': {'device': device.device_kind, **rows}}))


class _Timed:
  """A model that trains, and the seconds of each of its turns."""

  def __init__(self, path: str, overrides: dict):
    config = config_lib.replace(config_lib.load(path), overrides)
    setup = setup_lib.make(settings_lib.read(config))
    setup_lib.check_batch_size(setup)
    self._step, self._cost = compilation.compile_step(setup)
    self._state = setup.first_state()
    with loop.batches_from(setup, 0) as batches:
      self._batch = next(batches)
    self._batch_size = setup.settings.batch_size
    self._seconds: list[float] = []  # Of one step, in each turn.
    self.turn(2)
    self._seconds.clear()

  def turn(self, steps: int) -> None:
    begun = time.perf_counter()
    for _ in range(steps):
      self._state, metrics = self._step(self._state, self._batch)
    jax.block_until_ready((self._state, metrics))
    self._seconds.append((time.perf_counter() - begun) / steps)

  def row(self, device: jax.Device) -> dict:
    seconds = statistics.median(self._seconds)
    rate = self._cost.flops / seconds
    peak = flops_lib.peak_flops(device)
    return {
      'params': sum(self._cost.num_params.values()),
      'steps': 1 / seconds,
      'clips': self._batch_size / seconds,
      'flops': rate,
      'mfu': rate / peak / jax.device_count() if peak else None,
      'bytes': self._cost.memory.get('total', 0),
    }


if __name__ == '__main__':
  main()

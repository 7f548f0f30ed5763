"""Measures the cost of metrics: verifier, Frechet distance and I3D.

  python -m experiments.benchmarks.metrics_speed

Reports CPU-seconds, because other jobs may share the machine: the verifier on
clips of 16 x 64 x 64, real and blurred; adding the moments of 64 features, and
the distance of two sets, for the widths of I3D's logits and Inception's pooled
features; and I3D features of 16 frames of 224 x 224 with random weights, which
cost as much as trained ones. On an accelerator, read the wall-clock seconds.
Prints a Markdown table and then a line of JSON.
"""

import argparse
from collections.abc import Callable
import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.evaluation.scores import frechet
from vgen_jax.pretrained import i3d
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.synthetic.world.corruptions import registry as corruptions
from vgen_jax.synthetic.world.corruptions import rerendering


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--i3d_clips', type=int, default=4, help='Clips for I3D; 0 for none.'
  )
  args = parser.parse_args()
  rows = {}
  world = world_lib.World((16, 64, 64, 3))
  verifier = verifier_lib.Verifier(world)
  clips = rerendering.generate(world, 64)
  blurred = corruptions.corrupt(clips, 'blur', 1.5, 0)
  rows['verifier, real clips'] = speed(
    lambda: verifier.features(clips.video_bthwc), 64
  )
  rows['verifier, blurred clips'] = speed(
    lambda: verifier.features(blurred), 64
  )
  rng = np.random.default_rng(0)
  for width in (400, 2048):
    features = rng.standard_normal((64, width)).astype(np.float32)
    add = jax.jit(frechet.update)
    before = frechet.empty(width)
    rows[f'Frechet update, {width} wide'] = speed(
      lambda add=add, before=before, features=features: jax.block_until_ready(
        add(before, features)
      ),
      64,
    )
    sets = rng.standard_normal((2, 2 * width, width))
    one, other = map(frechet.of_features, sets)
    rows[f'Frechet distance, {width} wide'] = speed(
      lambda one=one, other=other: frechet.distance(one, other), 1, repeats=1
    )
  if args.i3d_clips:
    rows['I3D, 16 frames'] = i3d_speed(args.i3d_clips, repeats=1)

  device = jax.devices()[0].device_kind
  print(f'{device}, JAX {jax.__version__}\n')
  print('| what | clips per CPU-second | clips per second |')
  print('|---|---|---|')
  for what, row in rows.items():
    print(f'| {what} | {row["per_cpu_s"]:.3g} | {row["per_s"]:.3g} |')
  print(json.dumps({'metrics_speed': {'device': device, **rows}}))


def i3d_speed(num_clips: int, repeats: int) -> dict[str, float]:
  """Returns clips of 16 frames per second for I3D, as `speed` does."""
  network = i3d.I3D(batch_norm_eps=1e-3)
  video = jnp.zeros((num_clips, 16, i3d.SIDE, i3d.SIDE, 3))
  variables = jax.jit(network.init)(jax.random.key(0), video[:1])
  apply = jax.jit(network.apply)
  call = lambda: jax.block_until_ready(apply(variables, video))
  return speed(call, num_clips, repeats)


def speed(call: Callable[[], object], count: int, repeats: int = 5) -> dict:
  """Returns items per CPU-second and per second of a call, once compiled.

  Args:
    call: Function to call.
    count: Number of items that a call processes.
    repeats: Number of timed calls; one call before is not timed.
  """
  call()
  cpu, wall = time.processspeed(), time.perf_counter()
  for _ in range(repeats):
    call()
  cpu, wall = time.processspeed() - cpu, time.perf_counter() - wall
  return {'per_cpu_s': count * repeats / cpu, 'per_s': count * repeats / wall}


if __name__ == '__main__':
  main()

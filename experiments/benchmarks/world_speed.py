"""Measures whether the world model generates 15 frames per second.

  python -m experiments.benchmarks.world_speed --sizes=base

Times one step of `configs/world_transformer_actions.py` of each size, from a
frame and an action to the next frame, for one clip with a full cache. For
comparison, the same frame is recomputed from the whole window without a cache.
The two alternate, and the median is reported. Parameters are random, which
costs as much as trained ones. `base` is bfloat16, for an accelerator; use
`--sizes=cpu` on a CPU. Prints a Markdown table and then a line of JSON.
"""

import argparse
import functools
import json
import pathlib
import statistics
import time

import jax
import jax.numpy as jnp

from vgen_jax.config import build
from vgen_jax.config import loading as config_lib

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_CONFIG = _ROOT / 'configs/world_transformer_actions.py'


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--sizes', default='base', help='Sizes of the config, separated by commas.'
  )
  parser.add_argument(
    '--repeats', type=int, default=30, help='Measurements of each time.'
  )
  args = parser.parse_args()
  device = jax.devices()[0].device_kind
  print(f'{device}, JAX {jax.__version__}, {args}\n')
  print(
    '| size | frame | parameters | step | frames/s | without cache | ratio |'
  )
  print('|---|---|---|---|---|---|---|')
  rows = {}
  for size in args.sizes.split(','):
    row = rows[size] = measure(size, args.repeats)
    print(
      f'| {size} | {row["side"]} x {row["side"]} |'
      f' {row["params"] / 1e6:.2f} M | {row["step_ms"]:.2f} ms |'
      f' {1e3 / row["step_ms"]:.1f} | {row["no_cache_ms"]:.2f} ms |'
      f' {row["no_cache_ms"] / row["step_ms"]:.1f} |'
    )
  print(json.dumps({'world_speed': {'device': device, **rows}}))


def measure(size: str, repeats: int) -> dict[str, float]:
  """Returns median times in milliseconds, and properties of the model."""
  config = config_lib.load(f'{_CONFIG}:{size}')
  shape = tuple(config.clip_shape)
  source = build.source(config.data.to_dict(), shape)
  network = build.model(config.model.to_dict(), source.schema).predictor
  clip = source[0]
  video_bthwc = clip['video'][None].astype(jnp.float32) / 127.5 - 1
  action_bta = jnp.asarray(clip['action'])[None]
  say = functools.partial(network.apply, num_outputs=shape[-1])
  init = functools.partial(
    network.init, num_outputs=shape[-1], method='predict_all'
  )
  variables = jax.jit(init)(jax.random.key(0), video_bthwc, action_bta)

  @jax.jit
  def step(carry, frame_bhwc, action_ba):
    return say(variables, carry, frame_bhwc, action_ba)

  @jax.jit
  def without_cache(video_bthwc, action_bta):
    out = say(variables, video_bthwc, action_bta, method='predict_all')
    return out[:, -1]

  carry = network.initial_carry((1, *shape[1:3]))
  for t in range(shape[0]):  # Fills the memory, and compiles.
    carry, _ = step(carry, video_bthwc[:, t], action_bta[:, t])
  jax.block_until_ready(without_cache(video_bthwc, action_bta))
  times = {'step_ms': [], 'no_cache_ms': []}
  for _ in range(repeats):
    for name, call in (
      ('step_ms', lambda: step(carry, video_bthwc[:, -1], action_bta[:, -1])),
      ('no_cache_ms', lambda: without_cache(video_bthwc, action_bta)),
    ):
      start = time.perf_counter()
      jax.block_until_ready(call())
      times[name].append(1e3 * (time.perf_counter() - start))
  sizes = [x.size for x in jax.tree.leaves(variables)]
  return {
    'side': shape[1],
    'params': sum(sizes),
    **{name: statistics.median(values) for name, values in times.items()},
  }


if __name__ == '__main__':
  main()

"""Measures how fast a transformer generates codes, relative to a limit.

  python -m experiments.benchmarks.ar_decode --batches=1,8

Generates clips of codes with a VideoGPT of random weights, with its KV cache
and by recomputing the whole clip for each code. The two alternate, and the
median is reported. The limit is set by memory bandwidth: for each code, all
weights and on average half the cache of each clip must be read once. The
bandwidth is that of an in-place update of a large array, the best of its
measurements. Prints a Markdown table and then a line of JSON.
"""

import argparse
import json
import math
import statistics
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vgen_jax.families.codes import autoregressive
from vgen_jax.models import videogpt

_COPY_BYTES = 2**28  # Larger than all caches of a CPU.


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--batches', default='1,8', help='Numbers of clips in a batch.'
  )
  parser.add_argument('--width', type=int, default=576, help='Size of a token.')
  parser.add_argument('--depth', type=int, default=8, help='Number of blocks.')
  parser.add_argument('--heads', type=int, default=9, help='Attention heads.')
  parser.add_argument(
    '--codes', type=int, default=1024, help='Size of the codebook.'
  )
  parser.add_argument(
    '--grid', default='4,8,8', help='Numbers of codes along t, h, w.'
  )
  parser.add_argument('--dtype', default='', help="'' fits the device.")
  parser.add_argument(
    '--repeats', type=int, default=5, help='Measurements of each speed.'
  )
  parser.add_argument(
    '--passes', type=int, default=4, help='Recomputed codes per repeat.'
  )
  args = parser.parse_args()
  gpu = jax.default_backend() == 'gpu'
  args.dtype = args.dtype or ('bfloat16' if gpu else 'float32')
  batches = [int(b) for b in args.batches.split(',')]

  options = Options(
    args.codes,
    args.width,
    args.depth,
    args.heads,
    tuple(int(n) for n in args.grid.split(',')),
    args.dtype,
    args.passes,
  )
  copy = Copy()
  generations = {b: Generation(options, b) for b in batches}
  for _ in range(args.repeats):
    copy.measure()
    for generation in generations.values():
      generation.measure()

  device, bandwidth = jax.devices()[0], copy.bandwidth()
  rows = {b: generation.row(bandwidth) for b, generation in generations.items()}
  print(f'{device.device_kind}, JAX {jax.__version__}, {args}')
  print(f'Copies run at {bandwidth / 1e9:.1f} GB/s.\n')
  print(
    '| clips | with cache, codes/s | recomputed, codes/s | ratio | limit,'
    ' codes/s | fraction of limit | ms per frame |'
  )
  print('|---|---|---|---|---|---|---|')
  for b, row in rows.items():
    print(
      f'| {b} | {row["cached"]:.0f} | {row["recomputed"]:.1f} |'
      f' {row["ratio"]:.1f} | {row["limit"]:.0f} | {row["fraction"]:.0%} |'
      f' {row["frame_ms"]:.1f} |'
    )
  print(json.dumps({'ar_decode': {'device': device.device_kind, **rows}}))


class Options(NamedTuple):
  """A transformer, and the clips of codes that it generates.

  Attributes:
    codes: Size of the codebook.
    width: Size of a token.
    depth: Number of blocks.
    heads: Attention heads of a block.
    grid: Codes along t, h and w of a clip.
    dtype: Dtype of matrix products.
    passes: Number of codes that each repeat generates without a cache.
  """

  codes: int = 1024
  width: int = 576
  depth: int = 8
  heads: int = 9
  grid: tuple[int, int, int] = (4, 8, 8)
  dtype: str = 'float32'
  passes: int = 4


class Copy:
  """An update of a large array, and the seconds of each repeat."""

  def __init__(self):
    self._array = jnp.zeros(_COPY_BYTES // 4, jnp.float32)
    self._run = jax.jit(lambda x: x + 1, donate_argnums=0)
    self._seconds: list[float] = []
    self.measure()
    self._seconds.clear()

  def measure(self) -> None:
    begun = time.perf_counter()
    self._array = jax.block_until_ready(self._run(self._array))
    self._seconds.append(time.perf_counter() - begun)

  def bandwidth(self) -> float:
    """Bytes that are read and written per second."""
    return 2 * _COPY_BYTES / min(self._seconds)


class Generation:
  """Generation with and without a KV cache, and the seconds of each repeat."""

  def __init__(self, options: Options, batch_size: int):
    grid = options.grid
    net = videogpt.VideoGPT(
      options.codes,
      options.width,
      options.depth,
      options.heads,
      dropout=0.0,
      dtype=options.dtype,
    )
    model = autoregressive.Autoregressive((*grid, 1), net)
    codes = jnp.zeros((batch_size, *grid), jnp.int32)
    rngs = {'params': jax.random.key(0), 'noise': jax.random.key(1)}
    self._variables = jax.jit(model.init)(rngs, {'codes': codes})
    self._key_b = jax.random.split(jax.random.key(2), batch_size)
    self._codes, self._grid, self._options = codes, grid, options
    self._cached = jax.jit(
      lambda v, key_b: model.apply(v, key_b, {}, method='sample')
    )
    own = lambda v: {'params': v['params']['transformer']}

    def recompute(variables, codes):
      def step(codes, place):
        logits = net.apply(own(variables), codes, {}, train=False)
        flat = logits.reshape(batch_size, -1, options.codes)
        code_b = flat[:, place].argmax(-1)
        new = codes.reshape(batch_size, -1).at[:, place].set(code_b)
        return new.reshape(codes.shape), None

      return jax.lax.scan(step, codes, jnp.arange(options.passes))[0]

    self._recomputed = jax.jit(recompute)
    self._seconds: list[tuple[float, float]] = []  # Of one code of each clip.
    self.measure()
    self._seconds.clear()

  def measure(self) -> None:
    cached = _seconds(self._cached, self._variables, self._key_b)
    recomputed = _seconds(self._recomputed, self._variables, self._codes)
    num = math.prod(self._grid)
    self._seconds.append((cached / num, recomputed / self._options.passes))

  def row(self, bandwidth: float) -> dict[str, float]:
    cached, recomputed = zip(*self._seconds, strict=True)
    seconds, again = statistics.median(cached), statistics.median(recomputed)
    b = len(self._key_b)
    limit = b * bandwidth / self._bytes()
    return {
      'cached': b / seconds,
      'recomputed': b / again,
      'ratio': statistics.median(
        r / c for c, r in zip(cached, recomputed, strict=True)
      ),
      'limit': limit,
      'fraction': b / seconds / limit,
      'frame_ms': 1e3 * seconds * self._grid[1] * self._grid[2],
    }

  def _bytes(self) -> float:
    """Bytes read for one code: kernels, and half of each clip's cache."""
    itemsize = jnp.dtype(self._options.dtype).itemsize
    kernels = [
      x.size
      for path, x in jax.tree_util.tree_leaves_with_path(self._variables)
      if path[-1].key == 'kernel'
    ]
    clip = (
      2 * self._options.depth * self._options.width * math.prod(self._grid) / 2
    )
    return itemsize * (sum(kernels) + len(self._key_b) * clip)


def _seconds(run, *args) -> float:
  begun = time.perf_counter()
  jax.block_until_ready(run(*args))
  return time.perf_counter() - begun


if __name__ == '__main__':
  main()

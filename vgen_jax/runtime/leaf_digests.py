"""Digests of the arrays of a state, which detect damage of a checkpoint.

The digest of an array is a sum over its elements, modulo 2**32. The term of an
element mixes its bits with its index, so a change of any single element changes
the digest, and other changes do with a probability of 1 - 2**-32. A sum does
not depend on how the array is split over devices and processes, so a state can
be checked on other devices than those that saved it.

The mixing function is `lowbias32` of Wellons, "Prospecting for Hash Functions",
2018, https://nullprogram.com/blog/2018/07/31/.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core.types import Array

_CHUNK = 1 << 16  # Elements that NumPy mixes at a time, to stay in its cache.


def of(tree: Any) -> dict[str, str]:
  """Returns {path of a leaf: 'dtype[shape] digest'}, such as 'float32[2] 0f..'.

  All processes must call this at the same point of the program.

  Args:
    tree: Tree of JAX arrays of any dtype; keys of JAX count as their data.
  """
  leaves = {
    jax.tree_util.keystr(path, simple=True, separator='/'): _plain(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }
  sums = {name: 0 for name in leaves}
  on_host = jax.default_backend() == 'cpu' and all(
    leaf.is_fully_addressable for leaf in leaves.values()
  )
  if on_host:  # Compilation would take longer than the sums.
    sums = {name: on_cpu(np.asarray(leaf)) for name, leaf in leaves.items()}
  else:
    found = {name: on_devices(leaf) for name, leaf in leaves.items()}
    sums = {name: int(x) for name, x in jax.device_get(found).items()}
  return {
    name: f'{leaf.dtype}{list(leaf.shape)} {sums[name]:08x}'
    for name, leaf in leaves.items()
  }


def on_cpu(array: np.ndarray) -> int:
  """Returns the digest of an array on the host, from 0 to 2**32 - 1."""
  bits = np.ascontiguousarray(array).reshape(-1)
  size = bits.dtype.itemsize
  bits = bits.view(np.dtype(f'u{min(size, 4)}'))
  total = 0
  for first in range(0, len(bits), _CHUNK):
    part = bits[first : first + _CHUNK].astype(np.uint32)
    index = np.arange(first, first + len(part), dtype=np.int64)
    part ^= _mixed(index.astype(np.uint32))
    total += int(_mixed(part).sum(dtype=np.uint64))
  return total % 2**32


@jax.jit  # Compiled once for each shape, since arrays of equal shape are many.
def on_devices(array: Array) -> Array:
  """Returns the digest of an array that may be split over devices, uint32."""
  if array.dtype == jnp.bool_:
    array = array.astype(jnp.uint8)
  bits = {1: jnp.uint8, 2: jnp.uint16}.get(array.dtype.itemsize, jnp.uint32)
  array = jax.lax.bitcast_convert_type(array, bits).astype(jnp.uint32)
  index = jnp.zeros(array.shape, jnp.uint32)
  for axis in range(array.ndim):
    stride = math.prod(array.shape[axis + 1 :]) % 2**32
    position = jax.lax.broadcasted_iota(jnp.uint32, array.shape, axis)
    index += position * np.uint32(stride)
  return _mixed(array ^ _mixed(index)).sum(dtype=jnp.uint32)


def _mixed(x: Any) -> Any:
  """Returns a bijection of uint32 numbers in which each bit affects all."""
  x = x ^ (x >> np.uint32(16))
  x = x * np.uint32(0x7FEB352D)
  x = x ^ (x >> np.uint32(15))
  x = x * np.uint32(0x846CA68B)
  return x ^ (x >> np.uint32(16))


def _plain(leaf: Any) -> Array:
  if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    return jax.random.key_data(leaf)
  return jnp.asarray(leaf)

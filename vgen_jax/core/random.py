"""Random numbers for each clip of a batch, from one key per clip.

The noise of a clip does not depend on the other clips in its batch. So
gradients accumulated over small batches equal those of one large batch, and a
generated clip is the same for any batch size.
"""

import jax

from vgen_jax.core import checks
from vgen_jax.core.types import Array


def of_seed(seed: int) -> Array:
  """Returns the key of a seed.

  JAX only uses the last 32 bits of a seed, so that 0 and 2**32 would give the
  same numbers, and so would -1 and 2**32 - 1.

  Raises:
    ValueError: If the seed is not from 0 to 2**32 - 1.
  """
  checks.in_range('seed', seed, 0, checks.MAX_SEED)
  return jax.random.key(seed)


def keys(key: Array, position_b: Array) -> Array:
  """Returns a key for each clip, `[b]`.

  Args:
    key: Key of the whole batch.
    position_b: Index of each clip in the whole batch, int32.
  """
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(position_b)


def fold_in(key_b: Array, data: int | Array) -> Array:
  """Returns `jax.random.fold_in(key, data)` for each key, `[b]`."""
  return jax.vmap(jax.random.fold_in, in_axes=(0, None))(key_b, data)


def normal(key_b: Array, shape: tuple[int, ...]) -> Array:
  """Returns float32 samples of N(0, 1), `[b, *shape]`, one row per key."""
  return jax.vmap(lambda key: jax.random.normal(key, shape))(key_b)


def uniform(key_b: Array, shape: tuple[int, ...] = ()) -> Array:
  """Returns uniform float32 samples in [0, 1), `[b, *shape]`, a row per key."""
  return jax.vmap(lambda key: jax.random.uniform(key, shape))(key_b)

"""Random numbers that belong to a clip, not to a batch.

Noise for clip i is drawn from a key of its own. So a clip does not depend on
how many others share its batch: gradients accumulated over small batches are
those of a big one, and a sample is the same in any batch size.
"""

import jax

from vgen_jax.core.types import Array


def keys(key: Array, position_b: Array) -> Array:
  """Returns a key for each clip, `[b]`, by its place in the whole batch."""
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(position_b)


def fold_in(key_b: Array, data: int | Array) -> Array:
  """Returns new keys `[b]`, one stream of `data` for each old key."""
  return jax.vmap(jax.random.fold_in, in_axes=(0, None))(key_b, data)


def normal(key_b: Array, shape: tuple[int, ...]) -> Array:
  """Draws float32 `[b, *shape]` from N(0, 1), each row from its own key."""
  return jax.vmap(lambda key: jax.random.normal(key, shape))(key_b)


def uniform(key_b: Array, shape: tuple[int, ...] = ()) -> Array:
  """Draws float32 `[b, *shape]` from [0, 1), each row from its own key."""
  return jax.vmap(lambda key: jax.random.uniform(key, shape))(key_b)

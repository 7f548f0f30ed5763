"""A cache of the keys and values of past tokens: a ring buffer of fixed size.

Axis suffixes of this file, in addition to those of core/shapes.py: `a` heads,
`e` width of a head, `m` slots of the ring buffer.
"""

from typing import NamedTuple

from jax import lax
import jax.numpy as jnp

from vgen_jax.core.types import Array


class KeyValues(NamedTuple):
  """Keys and values of tokens; an axis of layers may come first.

  Attributes:
    key_bmae: Keys of m tokens.
    value_bmae: Values of the same tokens.
  """

  key_bmae: Array
  value_bmae: Array


def empty(
  depth: int, num_clips: int, size: int, heads: tuple[int, int], dtype: str
) -> KeyValues:
  """Returns a cache of zeros, `[depth, num_clips, size, *heads]`.

  Args:
    depth: Number of layers, the first axis.
    num_clips: Number of clips, b.
    size: Number of tokens to keep. The next token overwrites the oldest one.
    heads: Number of heads, and width of a head.
    dtype: Dtype of the keys and values.
  """
  zeros = jnp.zeros((depth, num_clips, size, *heads), dtype)
  return KeyValues(zeros, zeros)


def write(cached: KeyValues, token: KeyValues, position: Array) -> KeyValues:
  """Returns the cache of one layer, with the token at a position replaced.

  Args:
    cached: Keys and values of the layer, a ring buffer of m slots.
    token: Keys and values of one token, `[b, 1, a, e]` each.
    position: Index of the token in its sequence, int32; the slot is this index
      modulo m.
  """
  slot = position % cached.key_bmae.shape[1]
  return KeyValues(
    *(
      lax.dynamic_update_slice_in_dim(old, new.astype(old.dtype), slot, 1)
      for old, new in zip(cached, token, strict=True)
    )
  )


def filled_mask(cached: KeyValues, position: Array) -> Array:
  """Returns which slots hold a token once `position` is written.

  The result is bool `[1, 1, m]`.
  Once the ring buffer is full, its slots are not in the order of positions, so
  positions must be part of the keys.
  """
  return (jnp.arange(cached.key_bmae.shape[1]) <= position)[None, None]


def window_mask(num_tokens: int, window: int) -> Array:
  """Returns the causal mask of a sliding window, bool `[1, n, n]`.

  The mask is True where token n attends to token m, n - window < m <= n: the
  tokens that a cache of `window` slots holds.
  """
  position_n = jnp.arange(num_tokens)
  distance_nn = position_n[:, None] - position_n[None]
  return ((distance_nn >= 0) & (distance_nn < window))[None]

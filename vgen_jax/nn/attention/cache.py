"""What attention has seen so far: keys and values, in a ring of fixed size.

Letters of this file: `a` heads, `e` width of a head, `m` slots of the ring.
"""

from typing import NamedTuple

from jax import lax
import jax.numpy as jnp

from vgen_jax.core.types import Array


class KeyValues(NamedTuple):
  """Tokens as attention looks at them; layers may be stacked in front."""

  key_bmae: Array
  value_bmae: Array


def empty(
  depth: int, num_clips: int, size: int, heads: tuple[int, int], dtype: str
) -> KeyValues:
  """Returns a ring of `size` slots for each of `depth` layers, all zero.

  Args:
    depth: Number of layers, the first axis.
    num_clips: Clips side by side.
    size: Tokens to remember; the token after them takes the first one's slot.
    heads: Number of heads, and width of one.
    dtype: Of what is kept.
  """
  zeros = jnp.zeros((depth, num_clips, size, *heads), dtype)
  return KeyValues(zeros, zeros)


def write(seen: KeyValues, token: KeyValues, place: Array) -> KeyValues:
  """Returns the ring of one layer with the token of a place in its slot."""
  slot = place % seen.key_bmae.shape[1]
  return KeyValues(
    *(
      lax.dynamic_update_slice_in_dim(old, new.astype(old.dtype), slot, 1)
      for old, new in zip(seen, token, strict=True)
    )
  )


def filled(seen: KeyValues, place: Array) -> Array:
  """Returns which slots hold a token once `place` is written, `[1, 1, m]`.

  Keys must know their places: slots are in no order once the ring is full.
  """
  return (jnp.arange(seen.key_bmae.shape[1]) <= place)[None, None]


def band(num_tokens: int, window: int) -> Array:
  """Returns what a ring of `window` slots lets each token see, `[1, n, n]`."""
  place_n = jnp.arange(num_tokens)
  back_nn = place_n[:, None] - place_n[None]
  return ((back_nn >= 0) & (back_nn < window))[None]

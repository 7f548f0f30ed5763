"""From logits to codes: temperature, top-k, top-p, and draws by clip."""

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array


def restrict(
  logits: Array, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Array:
  """Returns logits `[..., k]` of the codes that may be drawn; others are -inf.

  Args:
    logits: Of all codes, last axis.
    temperature: They are divided by it, first of all; 0 leaves the likeliest
      code alone.
    top_k: How many of the likeliest codes are left; 0 for all. Codes that are
      as likely as the last of them stay, too.
    top_p: The likeliest codes are left that have this probability together, or
      just more; of 0, the likeliest one. Of equals the first count as likelier.

  Reference for `top_p`: Holtzman et al., "The Curious Case of Neural Text
  Degeneration", 2019, https://arxiv.org/abs/1904.09751
  """
  if temperature == 0:
    best = jax.nn.one_hot(logits.argmax(-1), logits.shape[-1], dtype=bool)
    return jnp.where(best, 0.0, -jnp.inf)
  logits = logits / temperature
  if 0 < top_k < logits.shape[-1]:
    least = jax.lax.top_k(logits, top_k)[0][..., -1:]
    logits = jnp.where(logits < least, -jnp.inf, logits)
  if top_p < 1:
    order = jnp.argsort(-logits, axis=-1)
    share = jax.nn.softmax(jnp.take_along_axis(logits, order, axis=-1))
    stays = jnp.cumsum(share, axis=-1) - share < top_p
    stays = stays.at[..., 0].set(True)
    place = jnp.argsort(order, axis=-1)
    stays = jnp.take_along_axis(stays, place, axis=-1)
    logits = jnp.where(stays, logits, -jnp.inf)
  return logits


def draw(key_b: Array, logits: Array) -> Array:
  """Draws int32 codes `[b, ...]` by logits `[b, ..., k]`, a key for a clip."""
  return jax.vmap(jax.random.categorical)(key_b, logits).astype(jnp.int32)


def log_likelihood(logits: Array, codes: Array) -> Array:
  """Returns the log-probability of codes `[...]` by logits `[..., k]`, nats."""
  logits = jax.nn.log_softmax(logits.astype(jnp.float32))
  return jnp.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]

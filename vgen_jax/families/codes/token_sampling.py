"""Sampling of codes from logits: temperature, top-k, top-p."""

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array


def filtered(
  logits: Array, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Array:
  """Returns logits `[..., k]` with those of excluded codes set to -inf.

  Args:
    logits: Logits of all codes, on the last axis.
    temperature: Divisor of the logits, applied first; 0 keeps only the most
      likely code.
    top_k: Number of the most likely codes that are kept; 0 keeps all. Codes as
      likely as the last of them are kept too.
    top_p: Probability mass to keep: the smallest set of the most likely codes
      whose probabilities sum to this or more; 0 keeps the most likely code.
      Among equally likely codes the first are kept.

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
    probability = jax.nn.softmax(jnp.take_along_axis(logits, order, axis=-1))
    is_kept = jnp.cumsum(probability, axis=-1) - probability < top_p
    is_kept = is_kept.at[..., 0].set(True)
    rank = jnp.argsort(order, axis=-1)
    is_kept = jnp.take_along_axis(is_kept, rank, axis=-1)
    logits = jnp.where(is_kept, logits, -jnp.inf)
  return logits


def sample(key_b: Array, logits: Array) -> Array:
  """Samples int32 codes `[b, ...]` by logits `[b, ..., k]`, one key a clip."""
  return jax.vmap(jax.random.categorical)(key_b, logits).astype(jnp.int32)


def log_likelihood(logits: Array, codes: Array) -> Array:
  """Returns log-probabilities, in nats, of codes `[...]`: logits `[..., k]`."""
  logits = jax.nn.log_softmax(logits.astype(jnp.float32))
  return jnp.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]

"""Sampling of codes from logits: temperature, top-k, top-p."""

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array

# Stands for a code whose logits are NaN; autoencoders decode it to NaN.
NOT_A_CODE = -1


def filtered(
  logits: Array, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Array:
  """Returns logits `[..., k]` with those of excluded codes set to -inf.

  Logits that give no distribution, because one is NaN or the largest is
  infinite, all become NaN.

  Args:
    logits: Logits of all codes, on the last axis.
    temperature: Divisor of the logits, applied first; 0 keeps only the most
      likely code, for any `top_k` and `top_p`.
    top_k: Number of the most likely codes that are kept; 0 keeps all. Codes as
      likely as the last of them are kept too.
    top_p: Probability mass to keep: the smallest set of the most likely codes
      whose probabilities sum to this or more; 0 keeps the most likely code.
      Among equally likely codes the first are kept.

  Reference for `top_p`: Holtzman et al., "The Curious Case of Neural Text
  Degeneration", 2019, https://arxiv.org/abs/1904.09751
  """
  # The maximum is NaN if any is.
  logits = jnp.where(
    jnp.isfinite(logits.max(-1, keepdims=True)), logits, jnp.nan
  )
  if temperature == 0:
    best = jax.nn.one_hot(logits.argmax(-1), logits.shape[-1], dtype=bool)
    kept = jnp.where(best, 0.0, -jnp.inf)
    return jnp.where(jnp.isnan(logits), jnp.nan, kept)
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
  """Samples int32 codes `[b, ...]` from logits `[b, ..., k]`, one key per clip.

  A code is NOT_A_CODE if its logits are NaN.
  """
  codes = jax.vmap(jax.random.categorical)(key_b, logits).astype(jnp.int32)
  return jnp.where(jnp.isnan(logits.max(-1)), NOT_A_CODE, codes)


def log_likelihood(logits: Array, codes: Array) -> Array:
  """Returns the log-probability of each code, float32 `[...]`, in nats.

  Args:
    logits: Logits of all codes, `[..., k]`.
    codes: Codes `[...]`, int.
  """
  logits = jax.nn.log_softmax(logits.astype(jnp.float32))
  return jnp.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]

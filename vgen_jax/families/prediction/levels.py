"""Pixels as categorical variables: a softmax over levels of each channel.

A network's output `[..., c * l]` has a logit for each channel and each of `l`
levels, which are evenly spaced from -1 (black) to 1 (white).
"""

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array


def sample(
  key_b: Array, output_bhwp: Array, num_levels: int, temperature: float
) -> Array:
  """Returns frames `[b, h, w, c]` in [-1, 1], sampled from outputs.

  Values whose logits are NaN or infinite are NaN.

  Args:
    key_b: Keys, one for each clip.
    output_bhwp: Outputs of the network.
    num_levels: Number of levels, l.
    temperature: Divisor of the logits; 0 selects the most likely levels.
  """
  logits_bhwcl = _logits(output_bhwp, num_levels)
  if temperature:
    level_bhwc = jax.vmap(jax.random.categorical)(
      key_b, logits_bhwcl / temperature
    )
  else:
    level_bhwc = logits_bhwcl.argmax(-1)
  frame_bhwc = level_bhwc * (2 / (num_levels - 1)) - 1
  # Logits that are not numbers would give a valid level.
  is_number_bhwc = jnp.isfinite(logits_bhwcl.max(-1))
  return jnp.where(is_number_bhwc, frame_bhwc, jnp.nan)


def nats(output_bthwp: Array, target_bthwc: Array, num_levels: int) -> Array:
  """Returns the negative log-likelihood of each value, in nats.

  Args:
    output_bthwp: Outputs of the network.
    target_bthwc: Frames in [-1, 1]; values are rounded to the nearest level.
    num_levels: Number of levels, l.
  """
  log_prob_bthwcl = jax.nn.log_softmax(_logits(output_bthwp, num_levels))
  level_bthwc = jnp.rint((target_bthwc + 1) / 2 * (num_levels - 1))
  level_bthwc1 = level_bthwc.astype(jnp.int32)[..., None]
  return -jnp.take_along_axis(log_prob_bthwcl, level_bthwc1, axis=-1)[..., 0]


def _logits(output: Array, num_levels: int) -> Array:
  return output.reshape(*output.shape[:-1], -1, num_levels)

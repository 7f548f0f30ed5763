"""Classifier-free guidance by a label."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition

# (noisy_bthwc, time_b, condition) -> output_bthwc
Denoiser = Callable[[Array, Array, Condition], Array]


def guided(
  denoiser: Denoiser,
  num_classes: int,
  scale: float,
  interval: tuple[float, float] = (0.0, 1.0),
) -> Callable[[Array, Array, Condition], Array]:
  """Returns `(noisy_bthwc, time, condition) -> output_bthwc`, guided.

  The output is `null + scale * (conditional - null)`: scale 1 gives the
  denoiser's own output, 0 ignores labels, more than 1 amplifies their effect.
  All predictions at one time are affine functions of each other, so the result
  does not depend on which of them the denoiser outputs.

  Args:
    denoiser: Network; label `num_classes` means no label.
    num_classes: Number of labels.
    scale: Strength of guidance.
    interval: First and last time with guidance. At other times the denoiser
      runs once, with the label.

  Reference: Ho and Salimans, "Classifier-Free Diffusion Guidance", 2022,
  https://arxiv.org/abs/2207.12598, whose w is `scale - 1`; for `interval`,
  Kynkäänniemi et al., "Applying Guidance in a Limited Interval Improves Sample
  and Distribution Quality in Diffusion Models", 2024,
  https://arxiv.org/abs/2404.07724
  """

  def once(noisy_bthwc: Array, time: Array, condition: Condition) -> Array:
    time_b = jnp.full(len(noisy_bthwc), time)
    return denoiser(noisy_bthwc, time_b, condition)

  def twice(noisy_bthwc: Array, time: Array, condition: Condition) -> Array:
    # Pairs are adjacent, so that a batch sharded over devices is not moved.
    null_b = jnp.full_like(condition['label'], num_classes)
    label_b = jnp.stack([condition['label'], null_b], axis=1).reshape(-1)
    pairs_bthwc = jnp.repeat(noisy_bthwc, 2, axis=0)
    output = once(pairs_bthwc, time, condition | {'label': label_b})
    output = output.reshape(-1, 2, *output.shape[1:])
    conditional_bthwc, null_bthwc = output[:, 0], output[:, 1]
    return null_bthwc + scale * (conditional_bthwc - null_bthwc)

  def either(noisy_bthwc: Array, time: Array, condition: Condition) -> Array:
    if scale == 1 or 'label' not in condition:
      return once(noisy_bthwc, time, condition)
    first, last = interval
    if (first, last) == (0, 1):
      return twice(noisy_bthwc, time, condition)
    inside = (first <= time) & (time <= last)
    return jax.lax.cond(inside, twice, once, noisy_bthwc, time, condition)

  return either

"""Weighted sums of layers of video."""

import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array


def compose(layers_nbthwc: Array, weights_nbthw: Array) -> Array:
  """Returns the sum of layers weighted at each pixel, `[b, t, h, w, c]`.

  With weights that are not negative and sum to 1 along n, each pixel of the
  result is a convex combination of the pixels of the layers.

  Args:
    layers_nbthwc: n layers of clips.
    weights_nbthw: Weight of each layer at each pixel, the same for all its
      channels.

  Raises:
    ValueError: If the shapes do not agree.
  """
  shapes.sizes('', layers_nbthwc=layers_nbthwc, weights_nbthw=weights_nbthw)
  return (weights_nbthw[..., None] * layers_nbthwc).sum(axis=0)


def blend(front: Array, back: Array, mask_bthw: Array) -> Array:
  """Returns `mask * front + (1 - mask) * back`, `[b, t, h, w, c]`.

  Args:
    front: Clips `[b, t, h, w, c]`, visible where the mask is 1.
    back: Clips of the same shape, visible where the mask is 0.
    mask_bthw: Mask from 0 to 1.
  """
  weights = jnp.stack([mask_bthw, 1 - mask_bthw])
  return compose(jnp.stack([front, back]), weights)

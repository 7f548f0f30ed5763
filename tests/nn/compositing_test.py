"""Tests of compositing.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.nn import compositing

LAYERS = jax.random.normal(jax.random.key(0), (3, 2, 2, 4, 4, 3))


def test_weights_that_sum_to_one_give_convex_combinations():
  logits = jax.random.normal(jax.random.key(1), LAYERS.shape[:-1])
  weights = jax.nn.softmax(logits, axis=0)
  video = compositing.compose(LAYERS, weights)
  expected = np.einsum('nbthw,nbthwc->bthwc', weights, LAYERS)
  np.testing.assert_allclose(video, expected, atol=1e-6)
  assert (video <= LAYERS.max(axis=0) + 1e-6).all()
  assert (video >= LAYERS.min(axis=0) - 1e-6).all()
  # Other weights leave the range of the layers.
  outside = compositing.compose(LAYERS, 2 * weights)
  assert (outside > LAYERS.max(axis=0)).any()


def test_one_layer_with_weight_one_is_returned():
  weights = jnp.zeros(LAYERS.shape[:-1]).at[1].set(1)
  assert (compositing.compose(LAYERS, weights) == LAYERS[1]).all()


def test_blend():
  front, back = LAYERS[:2]
  mask = jax.random.uniform(jax.random.key(2), front.shape[:-1])
  expected = mask[..., None] * front + (1 - mask[..., None]) * back
  np.testing.assert_allclose(
    compositing.blend(front, back, mask), expected, atol=1e-6
  )
  assert (compositing.blend(front, back, jnp.ones_like(mask)) == front).all()
  assert (compositing.blend(front, back, jnp.zeros_like(mask)) == back).all()


def test_wrong_shapes():
  with pytest.raises(ValueError, match='weights_nbthw'):
    compositing.compose(LAYERS, jnp.ones((2, 2, 2, 4, 4)))

"""Tests of compositing.py."""

import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn import compositing

LAYERS = arrays.normal((3, 2, 2, 4, 4, 3))

blend = compiled.jit(compositing.blend)
compose = compiled.jit(compositing.compose)


def test_weights_that_sum_to_one_give_convex_combinations():
  weights = np.exp(arrays.normal(LAYERS.shape[:-1], seed=1))
  weights /= weights.sum(axis=0)
  video = compose(LAYERS, weights)
  expected = np.einsum('nbthw,nbthwc->bthwc', weights, LAYERS)
  np.testing.assert_allclose(video, expected, atol=1e-6)
  assert (video <= LAYERS.max(axis=0) + 1e-6).all()
  assert (video >= LAYERS.min(axis=0) - 1e-6).all()
  # Other weights leave the range of the layers.
  outside = compose(LAYERS, 2 * weights)
  assert (outside > LAYERS.max(axis=0)).any()


def test_one_layer_with_weight_one_is_returned():
  weights = np.zeros(LAYERS.shape[:-1], np.float32)
  weights[1] = 1
  assert (compose(LAYERS, weights) == LAYERS[1]).all()


def test_blend():
  front, back = LAYERS[:2]
  mask = arrays.uniform(front.shape[:-1], seed=2)
  expected = mask[..., None] * front + (1 - mask[..., None]) * back
  np.testing.assert_allclose(blend(front, back, mask), expected, atol=1e-6)
  assert (blend(front, back, np.ones_like(mask)) == front).all()
  assert (blend(front, back, np.zeros_like(mask)) == back).all()


def test_wrong_shapes():
  with pytest.raises(ValueError, match='weights_nbthw'):
    compositing.compose(LAYERS, np.ones((2, 2, 2, 4, 4)))

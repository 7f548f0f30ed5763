"""Tests of models/world_transformer.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.families.prediction import recurrent
from vgen_jax.models import world_transformer

T, B = 7, 2
NETWORK = world_transformer.WorldTransformer(16, 2, 2, patch=2, window=3)
VIDEO = jax.random.uniform(jax.random.key(0), (B, T, 4, 6, 3), minval=-1)
ACTION = jax.random.uniform(jax.random.key(1), (B, T, 2), minval=-1)
predict_all = functools.partial(
  NETWORK.apply, method='predict_all', num_outputs=5
)


@functools.cache
def variables():
  init = functools.partial(NETWORK.init, method='predict_all', num_outputs=5)
  return jax.jit(init)(jax.random.key(2), VIDEO, ACTION)


def one_by_one(video_bthwc, action_bta):
  carry = NETWORK.initial_carry((B, 4, 6))
  step = jax.jit(functools.partial(NETWORK.apply, num_outputs=5))
  outputs = []
  for t in range(video_bthwc.shape[1]):
    carry, output = step(
      variables(), carry, video_bthwc[:, t], action_bta[:, t]
    )
    outputs.append(output)
  return jnp.stack(outputs, 1), carry


def test_one_by_one_is_as_together():
  """Also beyond the window, where the ring has gone round twice."""
  wanted = jax.jit(predict_all)(variables(), VIDEO, ACTION)
  found, (ring, time) = one_by_one(VIDEO, ACTION)
  np.testing.assert_allclose(found, wanted, atol=1e-5)
  assert np.std(wanted) > 0.1
  assert ring.key_bmae.shape == (2, B * 6, 3, 2, 8)  # It does not grow.
  assert time == T
  # A memory that forgot, as a cheat: frames then matter no more.
  forget = functools.partial(NETWORK.apply, num_outputs=5)
  _, blind = forget(
    variables(), NETWORK.initial_carry((B, 4, 6)), VIDEO[:, 4], ACTION[:, 4]
  )
  assert np.abs(blind - wanted[:, 4]).max() > 0.01


def test_frames_see_the_past_within_reach_and_no_future():
  """Two blocks with windows of 3 frames reach 4 frames back."""

  def said(video_bthwc, action_bta):
    return jnp.square(
      predict_all(variables(), video_bthwc, action_bta)[:, 5]
    ).sum()

  frames, actions = jax.jit(jax.grad(said, (0, 1)))(VIDEO, ACTION)
  seen_t = [float(jnp.abs(frames[:, t]).max()) for t in range(T)]
  assert seen_t[0] == 0
  assert min(seen_t[1:6]) > 0
  assert seen_t[6] == 0
  done_t = [float(jnp.abs(actions[:, t]).max()) for t in range(T)]
  assert [x > 0 for x in done_t] == [x > 0 for x in seen_t]


def test_frames_are_seen_whole():
  """A pixel of one corner tells on the opposite one."""
  corner = lambda video: predict_all(variables(), video, ACTION)[0, 3, 0, 0, 0]
  gradient = jax.jit(jax.grad(corner))(VIDEO)
  assert np.abs(gradient[0, 3, 3, 5]).max() > 0
  assert np.abs(gradient[1]).max() == 0


def test_the_family_learns_alike_both_ways():
  """`predict_all` is faster than the scan, and says the same."""
  fields = dict(residual=True, action_width=2)
  fast = recurrent.Recurrent((T, 4, 6, 3), NETWORK, **fields)
  # So slowly does it fall that all frames are the truth.
  slow = fast.clone(scheduled_sampling=1e12)
  batch = {'video': VIDEO, 'action': ACTION, 'step': jnp.zeros(B, jnp.int32)}
  rngs = {'noise': jax.random.key(0), 'params': jax.random.key(1)}
  params = jax.jit(fast.init)(rngs, batch)

  def loss(params, model):
    return model.apply(
      params, batch, player='predictor', train=True, rngs=rngs, method='loss'
    )[0]

  grad = jax.jit(jax.value_and_grad(loss), static_argnums=1)
  one, two = grad(params, fast), grad(params, slow)
  np.testing.assert_allclose(one[0], two[0], rtol=1e-5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=2e-4), one[1], two[1]
  )


def test_patches_that_do_not_fit_are_refused():
  with pytest.raises(ValueError, match=r'is 4 x 6; .* the patch size, 3 x 3'):
    NETWORK.clone(patch=3).initial_carry((B, 4, 6))


def test_heads_that_do_not_fit_are_refused():
  network = NETWORK.clone(num_heads=3)
  with pytest.raises(ValueError, match='width is 16'):
    network.init(
      jax.random.key(0), VIDEO, num_outputs=3, method=network.predict_all
    )

"""Tests of models/world_transformer.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.families.prediction import recurrent
from vgen_jax.models import world_transformer

T, B = 7, 2
NETWORK = world_transformer.WorldTransformer(16, 2, 2, patch=2, window=3)
RNG = np.random.default_rng(0)
VIDEO = np.float32(RNG.uniform(-1, 1, (B, T, 4, 6, 3)))
ACTION = np.float32(RNG.uniform(-1, 1, (B, T, 2)))
predict_all = functools.partial(
  NETWORK.apply, method='predict_all', num_outputs=5
)


@functools.cache
def variables():
  return compiled.init(
    NETWORK, jax.random.key(2), VIDEO, ACTION, num_outputs=5,
    method='predict_all',
  )  # fmt: skip


def one_by_one(video_bthwc, action_bta):
  carry = NETWORK.initial_carry((B, 4, 6))
  outputs = []
  for t in range(video_bthwc.shape[1]):
    carry, output = step(carry, video_bthwc[:, t], action_bta[:, t])
    outputs.append(output)
  return np.stack(outputs, 1), carry


def step(carry, frame_bhwc, action_ba):
  """Returns the carry after a frame, and the prediction of the next frame."""
  return compiled.apply(
    NETWORK, variables(), carry, frame_bhwc, action_ba, num_outputs=5
  )


def test_frame_by_frame_equals_predict_all():
  """Frames beyond the window are equal, too, when the cache is overwritten."""
  expected = compiled.jit(predict_all)(variables(), VIDEO, ACTION)
  actual, (cached, time) = one_by_one(VIDEO, ACTION)
  np.testing.assert_allclose(actual, expected, atol=1e-5)
  assert np.std(expected) > 0.1
  assert cached.key_bmae.shape == (2, B * 6, 3, 2, 8)  # It does not grow.
  assert time == T
  # With an empty cache the output differs, so the test can fail.
  empty = NETWORK.initial_carry((B, 4, 6))
  _, without_past = step(empty, VIDEO[:, 4], ACTION[:, 4])
  assert np.abs(without_past - expected[:, 4]).max() > 0.01


def test_frames_depend_on_the_window_and_not_on_the_future():
  """With windows of 3 frames, two blocks depend on 4 earlier frames."""

  def output_energy(video_bthwc, action_bta):
    return jnp.square(
      predict_all(variables(), video_bthwc, action_bta)[:, 5]
    ).sum()

  frames, actions = compiled.jit(jax.grad(output_energy, (0, 1)))(VIDEO, ACTION)
  seen_t = [float(np.abs(frames[:, t]).max()) for t in range(T)]
  assert seen_t[0] == 0
  assert min(seen_t[1:6]) > 0
  assert seen_t[6] == 0
  done_t = [float(np.abs(actions[:, t]).max()) for t in range(T)]
  assert [x > 0 for x in done_t] == [x > 0 for x in seen_t]


def test_pixels_depend_on_the_whole_frame():
  """A pixel in one corner depends on the opposite corner."""
  corner = lambda video: predict_all(variables(), video, ACTION)[0, 3, 0, 0, 0]
  gradient = compiled.jit(jax.grad(corner))(VIDEO)
  assert np.abs(gradient[0, 3, 3, 5]).max() > 0
  assert np.abs(gradient[1]).max() == 0


def test_recurrent_training_uses_predict_all(monkeypatch):
  def fail(*args, **kwargs):
    raise AssertionError('Frames are predicted one by one.')

  monkeypatch.setattr(world_transformer.WorldTransformer, '__call__', fail)
  model = recurrent.Recurrent((T, 4, 6, 3), NETWORK, action_width=2)
  batch = {'video': VIDEO, 'action': ACTION}
  rngs = {'noise': jax.random.key(0), 'params': jax.random.key(1)}
  jax.eval_shape(model.init, rngs, batch)
  slow = model.clone(scheduled_sampling=1.0)
  batch['step'] = jnp.zeros(B, jnp.int32)
  with pytest.raises(AssertionError, match='one by one'):
    jax.eval_shape(
      lambda batch: slow.init(
        rngs, batch, player='predictor', train=True, method='loss'
      ),
      batch,
    )


def test_losses_and_gradients_are_equal_with_predict_all_and_scan():
  """`predict_all` is the faster way."""
  fields = dict(residual=True, action_width=2)
  fast = recurrent.Recurrent((T, 4, 6, 3), NETWORK, **fields)
  # The fraction of given frames stays 1, so the scan uses the true frames.
  slow = fast.clone(scheduled_sampling=1e12)
  batch = {'video': VIDEO, 'action': ACTION, 'step': jnp.zeros(B, jnp.int32)}
  rngs = {'noise': jax.random.key(0), 'params': jax.random.key(1)}
  params = compiled.init(fast, rngs, batch)

  def loss(params, model):
    return model.apply(
      params, batch, player='predictor', train=True, rngs=rngs, method='loss'
    )[0]

  grad = compiled.jit(jax.value_and_grad(loss), static_argnums=1)
  one, two = grad(params, fast), grad(params, slow)
  np.testing.assert_allclose(one[0], two[0], rtol=1e-5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=2e-4), one[1], two[1]
  )


def test_patches_that_do_not_fill_the_frame_raise():
  with pytest.raises(ValueError, match=r'is 4 x 6; .* the patch size, 3 x 3'):
    NETWORK.clone(patch=3).initial_carry((B, 4, 6))


def test_num_heads_that_does_not_divide_width_raises():
  network = NETWORK.clone(num_heads=3)
  with pytest.raises(ValueError, match='width is 16'):
    network.init(
      jax.random.key(0), VIDEO, num_outputs=3, method=network.predict_all
    )

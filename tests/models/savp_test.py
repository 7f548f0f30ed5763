"""Tests of models/savp.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.models import latent_inputs
from vgen_jax.families.prediction import latent_roll_out
from vgen_jax.models import savp
from vgen_jax.nn import compositing
from vgen_jax.nn.convolution import dynamic_kernels

SHAPE = latent_inputs.SHAPE
VIDEO = latent_inputs.VIDEO
NOISE = latent_inputs.NOISE
ACTION = arrays.normal((2, 3, 2), 7)
LAST_BT = np.zeros((2, 3), bool)
POSTERIOR, PRIOR = (
  latent_roll_out.Masks(~LAST_BT, uses_bt, ~LAST_BT)
  for uses_bt in (~LAST_BT, LAST_BT)
)
NETWORK = savp.SAVP(SHAPE, 2, 2, width=2, num_levels=2, posterior_widths=(4, 8))


@functools.cache
def variables() -> dict:
  """Returns random parameters, none of which is zero."""
  return latent_inputs.random_variables(
    NETWORK, VIDEO, POSTERIOR, NOISE, ACTION, method=_roll_out
  )


def _roll_out(network, video, masks, noise, action):
  return latent_roll_out.roll_out(network, video, masks, noise, action)


@compiled.jit
def _predictions(video, masks, noise, action):
  return NETWORK.apply(
    variables(), video, masks, noise, action, method=_roll_out
  )


def predictions(video=VIDEO, masks=POSTERIOR, noise=NOISE, action=ACTION):
  return _predictions(video, masks, noise, action)


@compiled.jit
def _layers(frame_bhwc, latent_bd):
  return NETWORK.apply(
    variables(),
    NETWORK.bind(variables()).initial_carry((2, 8, 8)),
    frame_bhwc,
    latent_bd,
    ACTION[:, 0],
    method='layers',
  )[1]


def test_layers_are_convex_combinations():
  layers = _layers(VIDEO[:, 0], NOISE[:, 0])
  assert layers.layers_nbthwc.shape == (7, 2, 1, 8, 8, 3)
  np.testing.assert_allclose(layers.weights_nbthw.sum(0), 1, atol=1e-6)
  assert layers.weights_nbthw.min() >= 0
  np.testing.assert_allclose(layers.kernel_bnij.sum((2, 3)), 1, atol=1e-6)
  assert layers.kernel_bnij.min() >= 0
  frame = VIDEO[:, 0]
  np.testing.assert_array_equal(
    layers.layers_nbthwc[:4, :, 0],
    dynamic_kernels.apply(frame, layers.kernel_bnij),
  )
  # In the first step the current frame is the first one.
  for i in (4, 5):
    np.testing.assert_array_equal(layers.layers_nbthwc[i, :, 0], frame)
  assert np.abs(layers.layers_nbthwc[6]).max() < 1
  composed = compositing.compose(layers.layers_nbthwc, layers.weights_nbthw)
  predicted = predictions(noise=_noise_for(NOISE)).frame_bhwc[:, 0]
  error = np.abs(composed[:, 0] - predicted)
  # Norms over a few pixels amplify rounding: noise of 1e-7 in the frame
  # changes some pixels by 1.2e-4.
  assert error.max() < 5e-4
  assert error.mean() < 1e-5


def _noise_for(latent_btd):
  """Returns noise with which the posterior gives these latents."""
  posterior = compiled.apply(
    NETWORK, variables(), VIDEO, method='encode_targets'
  )
  return (latent_btd - posterior.mean) / jnp.exp(posterior.log_variance / 2)


def changes(before, after):
  return [
    bool(np.abs(before - after)[:, i].max() > 1e-6)
    for i in range(before.shape[1])
  ]


def test_what_predictions_depend_on():
  before = predictions()
  frames = before.frame_bhwc
  # Frame 2 is the target of prediction 1.
  future = arrays.multiply(VIDEO, np.s_[:, 2], -1)
  after = predictions(future)
  assert changes(before.posterior.mean, after.posterior.mean) == [
    False, True, True,
  ]  # fmt: skip
  assert changes(frames, after.frame_bhwc) == [False, True, True]
  moved = predictions(noise=arrays.add(NOISE, np.s_[:, 1], 1)).frame_bhwc
  assert changes(frames, moved) == [False, True, True]
  action = arrays.multiply(ACTION, np.s_[:, 1], -2)
  moved = predictions(action=action).frame_bhwc
  assert changes(frames, moved) == [False, True, True]
  # The first frame is still an input of the last prediction.
  past = arrays.multiply(VIDEO, np.s_[:, 0], -1)
  assert changes(frames, predictions(past).frame_bhwc)[2]


def test_rollouts_of_prior_and_posterior_differ():
  posterior, prior = predictions(), predictions(masks=PRIOR)
  assert changes(posterior.frame_bhwc, prior.frame_bhwc) == [True] * 3
  assert not np.any(prior.prior.mean)
  assert np.any(posterior.posterior.mean)
  # A rollout of the prior does not depend on the frames that it predicts.
  other = predictions(arrays.multiply(VIDEO, np.s_[:, 3], -1), PRIOR)
  np.testing.assert_array_equal(prior.frame_bhwc, other.frame_bhwc)


def test_channels_of_the_released_size():
  """Levels are 32, 64, 128 down and 64, 32, 32 up; five have a ConvLSTM."""
  net = savp.SAVP((12, 64, 64, 3), 8)
  assert net._widths == [32, 64, 128, 64, 32, 32]
  carry = jax.eval_shape(lambda: net.bind({}).initial_carry((1, 64, 64)))
  assert [state[0].shape[1:] for state in carry.cells] == [
    (32, 32, 32), (16, 16, 64), (8, 8, 128), (16, 16, 64), (32, 32, 32),
  ]  # fmt: skip


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (dict(kernel_size=4), 'kernel_size is 4; it must be odd'),
    (dict(width=1), 'width is 1'),
    (dict(num_kernels=0), 'num_kernels is 0'),
    (dict(num_levels=4), '8 x 8; each number must be a multiple'),
  ],
)
def test_wrong_fields(fields, message):
  with pytest.raises(ValueError, match=message):
    NETWORK.clone(**fields)

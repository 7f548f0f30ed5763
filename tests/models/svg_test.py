"""Tests of models/svg.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests.models import latent_inputs
from vgen_jax.models import svg
from vgen_jax.nn import latent_prediction

SHAPE = latent_inputs.SHAPE
VIDEO = latent_inputs.VIDEO
NOISE = latent_inputs.NOISE
NO_CONDITION = np.zeros((2, 3, 0))


def network(**fields) -> svg.SVG:
  small = dict(latent_width=2, width=4, code_width=6, hidden_width=8)
  return svg.SVG(SHAPE, **small | dict(norm='none') | fields)


@functools.cache
def variables_of(net: svg.SVG, num_conditions: int = 0) -> dict:
  """Returns random parameters, none of which is zero."""
  return latent_inputs.random_variables(
    net,
    VIDEO,
    NOISE[..., : net.latent_width],
    np.zeros((2, 3, num_conditions)),
    method='predict_all',
    num_context=2,
  )


def predict_all(
  net, video=VIDEO, noise=NOISE, condition=NO_CONDITION, num_context=2
):
  """Returns the predictions of the network with random parameters."""
  variables = variables_of(net, condition.shape[-1])
  run = latent_inputs.applied(net, 'predict_all', num_context=num_context)
  return run(variables, video, noise[..., : net.latent_width], condition)


def inputs_at(net, i: int, uses_posterior=True, is_context=True):
  targets = latent_inputs.applied(net, 'encode_targets')(
    variables_of(net), VIDEO
  )
  return latent_prediction.Inputs(
    targets[:, i],
    NOISE[:, i],
    np.full(2, uses_posterior),
    np.full(2, is_context),
    NO_CONDITION[:, i],
  )


def test_parameter_counts_equal_the_released_code():
  """The released code was counted by hand; comments explain differences."""
  shape = (4, 64, 64, 1)
  net = svg.SVG(shape)
  params = jax.eval_shape(
    lambda: net.init(
      jax.random.key(0),
      jnp.zeros((1, *shape)),
      jnp.zeros((1, 3, 10)),
      jnp.zeros((1, 3, 0)),
      num_context=2,
      method='predict_all',
    )
  )['params']
  counts = {
    name: sum(x.size for x in jax.tree.leaves(part))
    for name, part in params.items()
  }
  # An LSTM of PyTorch has two bias vectors of 4 * 256, one of Flax only one.
  second_bias = 4 * 256
  assert counts == {
    # Group norm has a scale and a bias for each channel, as batch norm has.
    'encoder': 3_805_376,
    'decoder': 6_558_529,
    'code_lstm': 1_121_152 - 2 * second_bias,
    'posterior_lstm': 564_500 - second_bias,
    'prior_lstm': 564_500 - second_bias,
  }


def test_one_pass_equals_single_steps():
  net = network(norm='group')
  step = latent_inputs.applied(net, '__call__')
  carry, found = net.initial_carry((2, 8, 8)), []
  for i in range(3):
    inputs = inputs_at(net, i, is_context=i < 2)
    carry, prediction = step(variables_of(net), carry, VIDEO[:, i], inputs)
    found.append(prediction)
  one, other = (
    predict_all(net),
    jax.tree.map(lambda *x: jnp.stack(x, 1), *found),
  )
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, atol=1e-5)
  assert np.std(one.frame_bhwc) > 0.01
  assert np.abs(one.frame_bhwc).max() <= 1


def moved(before, after):
  """Returns for each part of a prediction the times at which it differs."""
  parts = {
    'frame': (before.frame_bhwc, after.frame_bhwc),
    'posterior': (before.posterior.mean, after.posterior.mean),
    'prior': (before.prior.mean, after.prior.mean),
  }
  return {
    name: [bool(np.abs(a - b)[:, i].max() > 1e-6) for i in range(3)]
    for name, (a, b) in parts.items()
  }


def test_what_predictions_depend_on():
  net = network()
  before = predict_all(net)
  # Frame 2 is the target of the prediction with index 1.
  video = arrays.multiply(VIDEO, np.s_[:, 2], -1)
  found = moved(before, predict_all(net, video))
  assert found == {
    'frame': [False, True, True],
    'posterior': [False, True, True],
    'prior': [False, False, True],  # The prior has not read the target.
  }
  noise = arrays.add(NOISE, np.s_[:, 1], 1)
  found = moved(before, predict_all(net, noise=noise))
  assert found['frame'] == [False, True, True]
  assert not any(found['posterior'] + found['prior'])


def test_skip_connections_are_those_of_the_last_known_frame():
  net = network()
  two, three = (predict_all(net, num_context=n).frame_bhwc for n in (2, 3))
  # Predictions 0 and 1 use the features of frames 0 and 1 in both cases.
  np.testing.assert_allclose(two[:, :2], three[:, :2], atol=1e-6)
  assert np.abs(two - three)[:, 2].max() > 1e-4


def test_latents_of_the_prior_may_be_replaced_by_standard_ones():
  net = network()
  inputs = inputs_at(net, 0, uses_posterior=False)
  prior, standard, other_target = (
    latent_inputs.applied(net, '__call__', standard_prior=standard)(
      variables_of(net), net.initial_carry((2, 8, 8)), VIDEO[:, 0], x
    )[1].frame_bhwc
    for x, standard in (
      (inputs, False),
      (inputs, True),
      (inputs._replace(target=-inputs.target), False),
    )
  )
  assert np.abs(prior - standard).max() > 1e-4
  np.testing.assert_array_equal(prior, other_target)


def test_a_label_moves_prior_and_posterior_of_attributes():
  net = network(prior='attributes', num_classes=3)
  assert net.condition_keys == ('label',)
  label = np.repeat(np.eye(3, dtype=np.float32)[:2, None], 3, 1)
  before = predict_all(net, condition=label)
  found = moved(before, predict_all(net, condition=label[::-1]))
  assert all(found['prior'] + found['posterior'])
  # Networks with another prior do not read the label.
  assert network(num_classes=3).condition_keys == ()


def test_the_fixed_prior_is_standard_and_actions_move_predictions():
  net = network(action_width=2, prior='fixed')
  assert net.condition_keys == ('action',)
  action = arrays.normal((2, 3, 2), 7)
  before = predict_all(net, condition=action)
  after = predict_all(net, condition=arrays.multiply(action, np.s_[:, 1], -2))
  assert moved(before, after)['frame'] == [False, True, True]
  assert 'prior_lstm' not in variables_of(net, 2)['params']
  assert not np.any(before.prior.mean)
  assert not np.any(before.prior.log_variance)
  assert np.any(before.posterior.mean)


def test_without_latents_the_network_is_deterministic():
  net = network(latent_width=0)
  prediction = predict_all(net)
  names = set(variables_of(net)['params'])
  assert names == {'encoder', 'decoder', 'code_lstm'}
  assert prediction.prior.mean.shape == (2, 3, 0)
  assert prediction.posterior.divergence(prediction.prior).sum() == 0


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (dict(prior='normal'), "prior is 'normal'; it must be one of"),
    (dict(norm='batch'), "norm is 'batch'"),
    (dict(latent_width=-1), 'latent_width is -1'),
    (dict(prior='attributes'), 'num_classes is 0'),
    (dict(clip_shape=(4, 12, 12, 3)), '12 x 12 pixels'),
  ],
)
def test_wrong_fields(fields, message):
  with pytest.raises(ValueError, match=message):
    network(**fields) if 'clip_shape' not in fields else svg.SVG(**fields)


def test_frames_of_another_size_are_an_error():
  with pytest.raises(ValueError, match='16 x 16 pixels; this SVG is built for'):
    network().initial_carry((2, 16, 16))

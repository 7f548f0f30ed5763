"""Tests of models/videovae.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests.models import latent_inputs
from vgen_jax.models import videovae
from vgen_jax.nn import latent_prediction

SHAPE = latent_inputs.SHAPE
VIDEO = latent_inputs.VIDEO
NOISE = latent_inputs.NOISE
# Attributes of 3 and 2 values, the same for all frames.
ATTRIBUTES = np.repeat(
  np.array([[1, 0, 0, 0, 1], [0, 0, 1, 1, 0]], jnp.float32)[:, None], 3, 1
)
SMALL = dict(
  latent_width=2,
  num_classes=6,
  attribute_sizes=(3, 2),
  layers=((3, 3, 2), (4, 2, 1)),
  dense_widths=(7,),
  code_width=6,
  hidden_width=5,
  stage_width=8,
  dropout=0.0,
)


def network(**fields) -> videovae.VideoVAE:
  return videovae.VideoVAE(**{'clip_shape': SHAPE, **SMALL, **fields})


def everything(net, video, noise, condition):
  net.attribute_logits(video)
  return net.predict_all(video, noise, condition, num_context=1)


@functools.cache
def variables_of(net: videovae.VideoVAE) -> dict:
  """Returns random parameters, none of which is zero."""
  return latent_inputs.random_variables(
    net, VIDEO, NOISE, ATTRIBUTES, method=everything
  )


def predict_all(net, video=VIDEO, noise=NOISE, condition=ATTRIBUTES):
  run = latent_inputs.applied(net, 'predict_all', num_context=1)
  return run(variables_of(net), video, noise, condition)


def differing(before, after) -> dict[str, list[bool]]:
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


def test_layers_of_the_paper_size():
  """The widths are those of the re-implementation and of the paper."""
  shape = (4, 64, 64, 3)
  net = videovae.VideoVAE(shape, num_classes=24, attribute_sizes=(6, 4))
  params = jax.eval_shape(
    lambda: net.init(
      jax.random.key(0),
      jnp.zeros((1, *shape)),
      jnp.zeros((1, 3, 512)),
      jnp.zeros((1, 3, 10)),
      method=everything,
    )
  )['params']
  kernel = lambda part, name: params[part][name]['kernel'].shape
  assert kernel('encoder', 'Conv3D_0') == (1, 9, 9, 3, 10)
  assert kernel('encoder', 'Conv3D_1') == (1, 7, 7, 10, 20)
  assert kernel('encoder', 'Conv3D_2') == (1, 5, 5, 20, 40)
  assert kernel('encoder', 'Conv3D_3') == (1, 3, 3, 40, 80)
  assert kernel('encoder', 'Dense_0') == (1280, 1024)
  assert kernel('encoder', 'Dense_1') == (1024, 512)
  assert kernel('decoder', 'Dense_0') == (512, 1024)
  assert kernel('decoder', 'Dense_1') == (1024, 1280)
  assert kernel('decoder', 'ConvTranspose3D_3') == (1, 9, 9, 10, 3)
  # Each stage has a hidden layer of 128, and a mean and a variance as outputs.
  assert kernel('stage_1', 'Dense_0') == (512, 128)
  assert kernel('stage_2', 'Dense_0') == (2 * 512 + 10, 128)
  assert kernel('stage_3', 'Dense_0') == (2 * 512 + 128, 128)
  assert kernel('prior_stage', 'Dense_0') == (128 + 10, 128)
  for part in ('stage_1', 'stage_2', 'stage_3', 'prior_stage'):
    assert kernel(part, 'Dense_1') == (128, 2 * 512)
  # The LSTM reads the latent and stage 1.
  assert kernel('lstm', 'ii') == (512 + 2 * 512, 512)


def test_one_pass_equals_single_steps():
  net = network()
  variables = variables_of(net)
  step = latent_inputs.applied(net, '__call__')
  targets = latent_inputs.applied(net, 'encode_targets')(variables, VIDEO)
  carry, found = net.initial_carry((2, 8, 8)), []
  for i in range(3):
    inputs = latent_prediction.Inputs(
      targets[:, i],
      NOISE[:, i],
      np.ones(2, bool),
      np.ones(2, bool),
      ATTRIBUTES[:, i],
    )
    carry, prediction = step(variables, carry, VIDEO[:, i], inputs)
    found.append(prediction)
  one, other = (
    predict_all(net),
    jax.tree.map(lambda *x: jnp.stack(x, 1), *found),
  )
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, atol=1e-5)
  assert one.frame_bhwc.shape == (2, 3, 8, 8, 3)
  assert np.std(one.frame_bhwc) > 0.01
  assert np.abs(one.frame_bhwc).max() <= 1


def test_what_predictions_depend_on():
  net = network()
  before = predict_all(net)
  # Frame 2 is the target of the prediction with index 1.
  video = arrays.multiply(VIDEO, np.s_[:, 2], -1)
  found = differing(before, predict_all(net, video))
  assert found == {
    'frame': [False, True, True],
    'posterior': [False, True, True],
    'prior': [False, False, True],  # The prior has not read the target.
  }
  # Attributes of one frame: later frames depend on them through its latent.
  other = arrays.put(ATTRIBUTES, np.s_[:, 1], ATTRIBUTES[::-1, 1])
  found = differing(before, predict_all(net, condition=other))
  assert found == {
    'frame': [False, True, True],
    'posterior': [False, True, True],
    'prior': [False, True, True],
  }
  noise = arrays.add(NOISE, np.s_[:, 1], 1)
  found = differing(before, predict_all(net, noise=noise))
  assert found['frame'] == [False, True, True]
  assert found['posterior'] == found['prior'] == [False, False, True]


def stages(net, variables, frame_bhwc, attribute_bk, hidden_bu):
  """Returns stage 1 and the posterior of a frame."""
  video = jnp.stack([frame_bhwc, frame_bhwc], axis=1)
  encode = latent_inputs.applied(net, 'encode_targets')
  first_bp = encode(variables, video)[:, 0]
  posterior = latent_inputs.applied(net, 'posterior')(
    variables, first_bp, attribute_bk, hidden_bu
  )
  return first_bp, posterior.mean


def test_each_stage_of_the_posterior_adds_its_input():
  net = network()
  variables = variables_of(net)
  hidden = np.float32(np.random.default_rng(8).normal(size=(2, 5)))
  given = VIDEO[:, 0], ATTRIBUTES[:, 0], hidden
  _, before = stages(net, variables, *given)
  others = VIDEO[::-1, 0], ATTRIBUTES[::-1, 0], hidden[::-1]
  # The stage whose weights of an input are set to zero is the one that has it.
  inputs = {
    0: ('stage_1', slice(0, 6)),  # The code of the frame.
    1: ('stage_2', slice(4, 9)),  # Follows 4 outputs of stage 1.
    2: ('stage_3', slice(4, 12)),  # Follows 4 outputs of stage 2.
  }
  for i, (part, rows) in inputs.items():
    changed = list(given)
    changed[i] = others[i]
    _, after = stages(net, variables, *changed)
    assert np.abs(after - before).max() > 1e-4, part
    without = jax.tree.map(np.copy, variables)
    without['params'][part]['Dense_0']['kernel'][rows] = 0
    one, two = (stages(net, without, *x)[1] for x in (given, changed))
    np.testing.assert_array_equal(one, two)


def test_the_prior_depends_on_the_past_and_on_attributes():
  net = network()
  prior = latent_inputs.applied(net, 'prior')
  hidden = arrays.normal((2, 5), 8)
  attribute = ATTRIBUTES[:, 0]
  of = lambda *x: prior(variables_of(net), *x)
  before = of(hidden, attribute)
  for other in (of(0 * hidden, attribute), of(hidden, attribute[::-1])):
    assert np.abs(other.mean - before.mean).max() > 1e-4
    assert np.abs(other.log_variance - before.log_variance).max() > 1e-4


def test_a_prior_without_attributes_does_not_depend_on_them():
  found = {}
  for has_attributes in (False, True):
    net = network(prior_attributes=has_attributes)
    other = predict_all(net, condition=ATTRIBUTES[::-1])
    found[has_attributes] = differing(predict_all(net), other)
  # Later priors depend on them through latents of the posterior.
  assert found[False]['prior'] == [False, True, True]
  assert found[True]['prior'] == [True, True, True]
  assert found[False]['posterior'] == [True, True, True]


def test_latents_of_the_prior_do_not_depend_on_the_target():
  net = network()
  variables = variables_of(net)
  inputs = latent_prediction.Inputs(
    latent_inputs.applied(net, 'encode_targets')(variables, VIDEO)[:, 0],
    NOISE[:, 0],
    np.zeros(2, bool),
    np.zeros(2, bool),
    ATTRIBUTES[:, 0],
  )
  frame = lambda inputs, standard=False: (
    latent_inputs.applied(net, '__call__', standard_prior=standard)(
      variables, net.initial_carry((2, 8, 8)), VIDEO[:, 0], inputs
    )[1].frame_bhwc
  )
  before = frame(inputs)
  np.testing.assert_array_equal(
    before, frame(inputs._replace(target=-inputs.target))
  )
  assert np.abs(before - frame(inputs, standard=True)).max() > 1e-4


def test_inferred_attributes_depend_on_past_frames_only():
  net = network()
  logits = latent_inputs.applied(net, 'attribute_logits')
  before = logits(variables_of(net), VIDEO)
  assert [x.shape for x in before] == [(2, 4, 3), (2, 4, 2)]
  after = logits(variables_of(net), arrays.multiply(VIDEO, np.s_[:, 2], -1))
  for one, other in zip(before, after, strict=True):
    moved = [bool(np.abs(one - other)[:, i].max() > 1e-6) for i in range(4)]
    assert moved == [False, False, True, True]


def test_dropout_is_on_in_training_only():
  net = network(dropout=0.5)

  def posterior_differs(train: bool) -> list[bool]:
    run = latent_inputs.applied(net, 'predict_all', num_context=1, train=train)
    one, other = (
      run(
        variables_of(net),
        VIDEO,
        NOISE,
        ATTRIBUTES,
        rngs={'dropout': jax.random.key(seed)},
      )
      for seed in (0, 1)
    )
    return differing(one, other)['posterior']

  assert posterior_differs(train=True) == [True, True, True]
  assert posterior_differs(train=False) == [False, False, False]


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (dict(latent_width=0), 'latent_width is 0'),
    (dict(dropout=1.0), 'dropout is 1.0'),
    (dict(action_width=2), 'action_width is 2'),
    (dict(num_classes=5), 'num_classes is 5'),
    (dict(num_classes=0, attribute_sizes=()), 'num_classes is 0'),
    (dict(layers=()), r'layers is \(\)'),
    (dict(layers=((3, 9, 1),)), 'kernel of side 9, but its input is 8 x 8'),
  ],
)
def test_wrong_fields(fields, message):
  with pytest.raises(ValueError, match=message):
    network(**fields)


def test_a_label_alone_is_one_attribute():
  assert network(attribute_sizes=()).sizes == (6,)

"""Tests of families/prediction/holistic.py and of the bound it uses."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tests import arrays
from tests import compiled
from vgen_jax.families.prediction import holistic
from vgen_jax.models import videovae
from vgen_jax.nn import attributes
from vgen_jax.nn import distributions
from vgen_jax.nn import latent_prediction

SHAPE = (6, 2, 2, 1)
SIZES = (3, 2)
KEY_B = arrays.keys(4, 1)
LABEL = np.array([0, 3, 5, 2])  # Attributes (0, 0), (1, 1), (2, 1), (1, 0).
STEP = np.float32([[0.1, 0.2, 0.3, -0.02, 0.02]])  # Of each one-hot attribute.


class Adder(latent_prediction.LatentPredictor):
  """Predicts frame + latent; the prior of the latent is known for attributes.

  Its mean is 0.1, 0.2 or 0.3 for the first attribute, minus or plus 0.02 for
  the second one. The posterior knows the change of the mean pixel. Attributes
  are inferred from the last frame: those of the nearest change of brightness
  per frame, since frame i is i changes brighter than the blank one.

  Attributes:
    ignores: Whether the prior ignores the attributes, a cheat.
  """

  sizes = SIZES
  ignores: bool = False
  log_variance: float = -12.0

  def initial_carry(self, shape_bhw):
    return jnp.zeros(shape_bhw[0])

  def encode_targets(self, video_bthwc, *, train=False):
    return video_bthwc[:, 1:].mean((2, 3))

  def attribute_logits(self, video_bthwc, *, train=False):
    number_1t1 = jnp.arange(video_bthwc.shape[1])[None, :, None]
    rate_bt1 = video_bthwc.mean((2, 3)) / jnp.maximum(number_1t1, 1)
    value_11k = (STEP[0, :3, None] + STEP[0, None, 3:]).reshape(1, 1, 6)
    each = -1e4 * jnp.square(rate_bt1 - value_11k)
    pairs = each.reshape(*each.shape[:2], *SIZES)
    return [jax.nn.logsumexp(pairs, 3), jax.nn.logsumexp(pairs, 2)]

  @nn.compact
  def __call__(
    self, carry, frame_bhwc, inputs, *, standard_prior=False, train=False
  ):
    scale = self.param('scale', nn.initializers.ones, ())
    move_bd = inputs.target - frame_bhwc.mean((1, 2))
    log_variance = jnp.full_like(move_bd, self.log_variance)
    posterior = distributions.Gaussian(move_bd, log_variance)
    mean_b1 = scale * (inputs.condition_bk @ STEP.T)
    if self.ignores:
      mean_b1 = jnp.full_like(mean_b1, 0.2)
    prior = distributions.Gaussian(mean_b1, log_variance)
    latent_bd = jnp.where(
      inputs.uses_posterior_b[:, None],
      posterior.from_noise(inputs.noise_bd),
      prior.from_noise(inputs.noise_bd),
    )
    frame_bhwc += latent_bd[:, :, None, None]
    return carry + 1, latent_prediction.Prediction(frame_bhwc, posterior, prior)

  def predict_all(
    self, video_bthwc, noise_btd, condition_btk, *, num_context, train=False
  ):
    targets, found = self.encode_targets(video_bthwc), []
    for i in range(video_bthwc.shape[1] - 1):
      yes_b = jnp.ones(len(video_bthwc), bool)
      inputs = latent_prediction.Inputs(
        targets[:, i], noise_btd[:, i], yes_b, yes_b, condition_btk[:, i]
      )
      found.append(self(0, video_bthwc[:, i], inputs)[1])
    return jax.tree.map(lambda *x: jnp.stack(x, 1), *found)


def model(ignores=False, log_variance=-12.0, **fields):
  adder = Adder(
    SHAPE, 1, num_classes=6, ignores=ignores, log_variance=log_variance
  )
  return holistic.Holistic(SHAPE, adder, **fields)


def rates(label_b) -> np.ndarray:
  """Returns the change of brightness per frame that labels encode."""
  first, second = np.divmod(np.asarray(label_b), 2)
  return 0.1 * (first + 1) + np.array([-0.02, 0.02])[second]


def clips(label_b=LABEL) -> np.ndarray:
  video_bt = np.float32(rates(label_b)[:, None] * np.arange(1, 7))
  video_bt111 = video_bt[:, :, None, None, None]
  return np.tile(video_bt111, (1, 1, 2, 2, 1))


def applied(net, method, *args, **kwargs):
  rngs = {'noise': jax.random.key(0)}
  batch = {'video': clips(), 'label': LABEL}
  variables = compiled.init(net, rngs | {'params': jax.random.key(0)}, batch)
  return compiled.apply(
    net, variables, *args, rngs=rngs, method=method, **kwargs
  )


def loss(net, **batch):
  batch = {'video': clips(), 'label': LABEL, **batch}
  return applied(net, 'loss', batch, player='predictor', train=False)


def sample(net, condition, value_btn=None):
  if value_btn is None:
    return applied(net, 'sample_unclipped', KEY_B, condition)
  return applied(net, 'sample_with_attributes', KEY_B, condition, value_btn)


def moves(video) -> np.ndarray:
  """Returns the change of brightness before each frame, `[b, t]`."""
  return np.diff(np.asarray(video)[:, :, 0, 0, 0], axis=1, prepend=0)


def test_the_loss_equals_one_computed_by_hand():
  net = model(beta=0.3, attribute_weight=0.5, log_variance=-2.0)
  label = jnp.array([1, 2, 5, 4])  # The clips have attributes of LABEL.
  found, terms = loss(net, label=label)
  # Both distributions have variance exp(-2): KL is a squared difference.
  kl_b = (rates(LABEL) - rates(label)) ** 2 * np.exp(2) / 2
  for i in range(6):  # The first frame, with number 0, is predicted, too.
    np.testing.assert_allclose(terms[f'kl_frame_{i}'], kl_b.mean(), rtol=1e-4)
  assert 'kl_frame_6' not in terms
  np.testing.assert_allclose(terms['kl'], 6 * kl_b.mean(), rtol=1e-4)

  blank = np.concatenate([np.zeros((4, 1, 2, 2, 1)), clips()], axis=1)
  logits = compiled.call(net.predictor.attribute_logits, np.float32(blank))
  value = np.stack(np.divmod(np.asarray(label), 2))
  entropy = 0.0
  for i in range(2):
    log_p = logits[i] - np.logaddexp.reduce(logits[i], -1, keepdims=True)
    entropy -= log_p[np.arange(4), :, value[i]].mean()
  np.testing.assert_allclose(terms['attribute_entropy'], entropy, rtol=1e-5)
  np.testing.assert_allclose(terms['accuracy_attribute_0'], 0.75)
  np.testing.assert_allclose(terms['accuracy_attribute_1'], 0.5)
  expected = terms['error'] + 0.3 * terms['kl'] + 0.5 * entropy
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_error_is_that_of_all_frames():
  # It is that of the noise of the latents, for each of 6 frames.
  for log_variance in (-2.0, -12.0):
    _, terms = loss(model(log_variance=log_variance))
    assert 0.2 < terms['error'] / (6 * np.exp(log_variance)) < 3


def follows(net, label_b=LABEL) -> bool:
  """Returns whether generated clips have the requested attributes."""
  found = moves(sample(net, {'label': label_b}))
  wrong_bt = np.abs(found - rates(label_b)[:, None]) > 0.01
  return not wrong_bt.any()


def test_clips_have_the_requested_attributes():
  assert follows(model())
  assert follows(model(), LABEL[::-1])


def test_a_prior_that_ignores_attributes_is_detected():
  assert not follows(model(ignores=True))


def without_control(prior_attributes: bool) -> bool:
  """Returns whether attributes have no effect on clips of a VideoVAE."""
  shape = (3, 8, 8, 3)
  network = videovae.VideoVAE(
    shape,
    num_classes=6,
    attribute_sizes=SIZES,
    latent_width=2,
    layers=((3, 3, 2),),
    dense_widths=(),
    code_width=6,
    hidden_width=5,
    stage_width=8,
    dropout=0.0,
    prior_attributes=prior_attributes,
  )
  net = holistic.Holistic(shape, network)
  video = arrays.uniform((4, *shape))
  rngs = {'noise': jax.random.key(0)}
  keys = rngs | {'params': jax.random.key(0)}
  variables = compiled.init(net, keys, {'video': video, 'label': LABEL})
  one, other = (
    compiled.apply(net, variables, KEY_B, {'label': label}, method='sample')
    for label in (LABEL, LABEL[::-1])
  )
  return bool((one == other).all())


def test_attributes_only_in_the_posterior_have_no_effect():
  assert without_control(prior_attributes=False)
  assert not without_control(prior_attributes=True)


def test_attributes_may_change_over_time():
  value_bn = compiled.call(lambda label: attributes.values(label, SIZES), LABEL)
  value_btn = np.repeat(value_bn[:, None], 6, axis=1)
  value_btn[:, 4:, 1] = 1 - value_btn[:, 4:, 1]
  found = moves(sample(model(), {}, value_btn))
  change_b = np.array([0.04, -0.04])[value_btn[:, 0, 1]]
  expected = np.repeat(rates(LABEL)[:, None], 6, axis=1)
  expected[:, 4:] += change_b[:, None]
  np.testing.assert_allclose(found, expected, atol=0.01)


def test_unknown_attributes_are_inferred_from_known_frames():
  video, net = clips(), model(num_context=1)
  found = moves(sample(net, {'known_video': video}))
  np.testing.assert_allclose(
    found, np.repeat(rates(LABEL)[:, None], 6, 1), atol=0.01
  )
  # One attribute is given, and the other one inferred.
  value_btn = np.full((4, 6, 2), holistic.UNKNOWN)
  value_btn[..., 1] = 0
  found = moves(sample(net, {'known_video': video}, value_btn))[:, 1:]
  expected = rates(2 * (LABEL // 2))[:, None]
  np.testing.assert_allclose(found, np.repeat(expected, 5, 1), atol=0.01)


def test_without_frames_unknown_attributes_are_those_of_the_blank_frame():
  """These have a change of 0 per frame; the nearest is that of label 0."""
  found = moves(sample(model(), {}))
  np.testing.assert_allclose(found, np.full((4, 6), 0.08), atol=0.01)


def test_samples_do_not_depend_on_unknown_frames():
  net = model(num_context=2)
  changed = arrays.add(clips(), np.s_[:, 2:], 1)
  one, other = (sample(net, {'known_video': x}) for x in (clips(), changed))
  np.testing.assert_array_equal(one, other)
  np.testing.assert_array_equal(one[:, :2], clips()[:, :2])
  # A mask states which frames are known, here one, and keeps single pixels.
  known = arrays.put(np.zeros((4, *SHAPE), bool), np.s_[:, 0], True)
  pixel = arrays.put(known, np.s_[:, 5, 0, 0], True)
  video = arrays.add(clips(), np.s_[:, 1:], 1)
  condition = {'known_video': video, 'label': LABEL}
  found = sample(net, {**condition, 'known': known})
  np.testing.assert_allclose(
    moves(found)[:, 1:3], moves(clips())[:, 1:3], atol=0.01
  )
  kept = sample(net, {**condition, 'known': pixel})
  np.testing.assert_array_equal(kept, np.where(pixel, video, found))


def test_known_frames_are_inputs():
  """Predictions continue the brightness of the last known frame."""
  video = arrays.add(clips(), np.s_[:, 1], 0.5)
  found = sample(model(num_context=2), {'known_video': video, 'label': LABEL})
  np.testing.assert_allclose(
    found[:, 2], video[:, 1] + rates(LABEL)[:, None, None, None], atol=0.01
  )


def test_training_may_use_inferred_attributes():
  label = LABEL[::-1]
  given, inferred = (
    loss(model(infer_attributes=x), label=label)[1] for x in (False, True)
  )
  # The inferred attributes are the true ones, so the prior is exact.
  assert given['kl'] > 10
  assert inferred['kl'] < 1e-3
  assert inferred['attribute_entropy'] == given['attribute_entropy'] > 1


def test_clips_may_be_longer_than_in_training():
  video = np.concatenate([clips(), clips()], axis=1)
  found = sample(model(num_context=1), {'known_video': video, 'label': LABEL})
  assert found.shape == (4, 12, 2, 2, 1)

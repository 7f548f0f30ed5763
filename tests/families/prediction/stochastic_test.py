"""Tests of families/prediction/stochastic.py and latent_roll_out.py."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families.prediction import stochastic
from vgen_jax.nn import distributions
from vgen_jax.nn import latent_prediction

SHAPE = (6, 2, 2, 1)
KEY_B = arrays.keys(3, 1)


class Adder(latent_prediction.LatentPredictor):
  """Predicts frame + latent; the posterior knows the change of the mean pixel.

  The prior is N(mean, 1) with the parameter `mean` plus the action, if any, and
  the number of the label. The carry counts frames.
  """

  deviation: float = 0.1

  @property
  def condition_keys(self):
    label = ('label',) if self.num_classes else ()
    return (*super().condition_keys, *label)

  def initial_carry(self, shape_bhw):
    return jnp.zeros(shape_bhw[0])

  def encode_targets(self, video_bthwc, *, train=False):
    return video_bthwc[:, 1:].mean((2, 3))

  @nn.compact
  def __call__(
    self, carry, frame_bhwc, inputs, *, standard_prior=False, train=False
  ):
    mean = self.param('mean', nn.initializers.constant(0.5), (1,))
    move_bd = inputs.target - frame_bhwc.mean((1, 2))
    log_variance = jnp.full_like(move_bd, 2 * np.log(self.deviation))
    posterior = distributions.Gaussian(move_bd, log_variance)
    label_b1 = (
      inputs.condition_bk[:, self.action_width :]
      @ jnp.arange(self.num_classes)[:, None]
    )
    prior_mean = mean[None] + label_b1
    if self.action_width:
      prior_mean += inputs.condition_bk[:, :1]
    zeros = jnp.zeros_like(move_bd)
    prior = distributions.Gaussian(prior_mean + zeros, zeros)
    source = distributions.Gaussian(zeros, zeros) if standard_prior else prior
    latent_bd = jnp.where(
      inputs.uses_posterior_b[:, None],
      posterior.from_noise(inputs.noise_bd),
      source.from_noise(inputs.noise_bd),
    )
    frame_bhwc += latent_bd[:, :, None, None]
    return carry + 1, latent_prediction.Prediction(frame_bhwc, posterior, prior)


class Leaking(stochastic.Stochastic):
  """A cheat: generated frames have latents of the posterior of the truth."""

  def prior_predictions(
    self, video_bthwc, known_bt, key_b, condition, **kwargs
  ):
    everything_bt = jnp.ones_like(known_bt)
    return super().prior_predictions(
      video_bthwc, everything_bt, key_b, condition, **kwargs
    )


def model(cls=stochastic.Stochastic, adder=None, **fields):
  adder = adder or Adder(SHAPE, latent_width=1)
  return cls(SHAPE, adder, **{'num_context': 2} | fields)


def clips(num_clips: int = 3) -> np.ndarray:
  """Returns clips whose pixels change by the same random number."""
  moves = np.random.default_rng(0).random((num_clips, 6)) / 5
  video_bt111 = np.float32(np.cumsum(moves, axis=1))[:, :, None, None, None]
  return np.tile(video_bt111, (1, 1, 2, 2, 1))


def applied(model, batch, method='loss', seed=0, **kwargs):
  rngs = {'noise': jax.random.key(seed)}
  variables = compiled.init(model, rngs | {'params': jax.random.key(0)}, batch)
  options = {'rngs': rngs, 'method': method, **kwargs}
  if method == 'loss':
    options = {'player': 'predictor', 'train': False, **options}
    return compiled.apply(model, variables, batch, **options)
  return functools.partial(compiled.apply, model, variables, **options)


def sampler(model, **batch):
  """Returns `(key_b, condition) -> video_bthwc`, without the clipping."""
  return applied(model, {'video': clips(), **batch}, 'sample_unclipped')


def test_the_bound_equals_one_computed_by_hand():
  video, beta = clips(), 0.3
  loss, terms = applied(model(beta=beta), {'video': video})
  move_bt = np.diff(video[:, :, 0, 0, 0], axis=1)
  # KL of N(move, 0.1^2) from N(0.5, 1).
  kl_bt = 0.5 * (0.1**2 + (move_bt - 0.5) ** 2 - 1 - 2 * np.log(0.1))
  for i in range(5):
    np.testing.assert_allclose(
      terms[f'kl_frame_{i + 1}'], kl_bt[:, i].mean(), rtol=1e-5
    )
  assert 'kl_frame_0' not in terms
  assert 'kl_frame_6' not in terms
  np.testing.assert_allclose(terms['kl'], kl_bt.sum(1).mean(), rtol=1e-5)
  # The error is that of the noise: its variance is 0.01, for 5 frames.
  assert 0 < terms['error'] < 5 * 0.01 * 4
  np.testing.assert_allclose(
    loss, terms['error'] + beta * terms['kl'], rtol=1e-5
  )
  noiseless = Adder(SHAPE, 1, deviation=1e-6)
  _, exact = applied(model(adder=noiseless), {'video': video})
  assert exact['error'] < 1e-8


def test_the_weight_of_the_divergence_changes():
  annealed = model(beta=2.0, beta_start=10, beta_warmup=20)
  sudden = model(beta=2.0, beta_start=10)
  small = model(beta=2.0, beta_initial=0.4, beta_start=10, beta_warmup=20)
  for net, step, expected in (
    (annealed, 10, 0), (annealed, 15, 0.5), (annealed, 30, 2),
    (annealed, 99, 2), (sudden, 9, 0), (sudden, 10, 2), (model(beta=2.0), 0, 2),
    (small, 0, 0.4), (small, 10, 0.4), (small, 20, 1.2), (small, 30, 2),
  ):  # fmt: skip
    step_b = np.full(3, step, np.int32)
    _, terms = applied(net, {'video': clips(), 'step': step_b})
    assert terms['beta'] == pytest.approx(expected), (net, step)
  with pytest.raises(ValueError, match='so it has no effect'):
    model(beta=2.0, beta_initial=0.4)


def future_has_an_effect(net) -> bool:
  """Returns whether samples change if the unknown frames of clips do."""
  sample, video = sampler(net), clips()
  changed = arrays.add(video, np.s_[:, 2:], 0.7)
  one, other = (sample(KEY_B, {'known_video': x}) for x in (video, changed))
  np.testing.assert_array_equal(one[:, :2], video[:, :2])
  return bool((one != other).any())


def test_samples_do_not_depend_on_the_future():
  assert not future_has_an_effect(model())


def test_a_model_that_samples_its_posterior_is_detected():
  assert future_has_an_effect(model(Leaking))


def test_unknown_frames_may_be_not_numbers():
  video = arrays.put(clips(), np.s_[:, 2:], np.nan)
  assert np.isfinite(sampler(model())(KEY_B, {'known_video': video})).all()


def test_latents_of_known_frames_are_from_the_posterior():
  """Each later frame is the frame before it plus a sample of N(mean, 1)."""
  num = 4000
  adder = Adder(SHAPE, 1, deviation=1e-6)
  sample = sampler(model(adder=adder))
  video = np.repeat(clips()[:1], num, 0)
  keys = arrays.keys(num, 2)
  moves = np.diff(sample(keys, {'known_video': video})[:, :, 0, 0, 0], axis=1)
  np.testing.assert_allclose(moves[:, 0], np.diff(video[:, :2, 0, 0, 0])[:, 0])
  np.testing.assert_allclose(moves[:, 1:].mean(0), 0.5, atol=0.06)
  np.testing.assert_allclose(moves[:, 1:].std(0), 1, atol=0.06)
  correlation = np.corrcoef(moves[:, 1:].T) - np.eye(4)
  assert np.abs(correlation).max() < 0.07  # The noise of frames is independent.


@pytest.mark.parametrize(
  ('latents', 'mean'), [('prior', 0.5), ('standard', 0.0), ('zero', 0.5)]
)
def test_sources_of_latents(latents, mean):
  num = 2000
  sample = sampler(model(latents=latents))
  video = np.repeat(clips()[:1], num, 0)
  keys = arrays.keys(num, 3)
  moves = np.diff(sample(keys, {'known_video': video})[:, 1:, 0, 0, 0], axis=1)
  np.testing.assert_allclose(moves.mean(0), mean, atol=0.1)
  assert np.allclose(moves, mean, atol=1e-5) == (latents == 'zero')


def test_clips_do_not_depend_on_the_rest_of_the_batch():
  sample = sampler(model())
  three = sample(KEY_B, {'known_video': clips()})
  for i in range(3):
    key_b = arrays.take_keys(KEY_B, np.s_[i : i + 1])
    one = sample(key_b, {'known_video': clips()[i : i + 1]})
    np.testing.assert_allclose(three[i], one[0], atol=1e-6)
  key_b = arrays.take_keys(KEY_B, np.s_[::-1])
  other = sample(key_b, {'known_video': clips()})
  assert np.abs(three - other)[0, 2:].max() > 0.01


def test_longer_clips_begin_like_shorter_ones():
  sample = sampler(model())
  short = sample(KEY_B, {'known_video': clips()})
  longer = np.concatenate([clips(), clips()], axis=1)
  long = sample(KEY_B, {'known_video': longer})
  np.testing.assert_allclose(long[:, :6], short, atol=1e-6)
  assert long.shape[1] == 12


def test_frames_that_are_known_later_are_inputs():
  sample, video = sampler(model(latents='zero')), clips()
  known = arrays.put(np.zeros((3, 6, 2, 2, 1), bool), np.s_[:, [0, 1, 3]], True)
  found = sample(KEY_B, {'known_video': video, 'known': known})
  np.testing.assert_array_equal(found[:, (0, 1, 3)], video[:, (0, 1, 3)])
  np.testing.assert_allclose(found[:, 2], video[:, 1] + 0.5, atol=1e-6)
  np.testing.assert_allclose(found[:, 4], video[:, 3] + 0.5, atol=1e-6)
  # Single known pixels are kept, but are not inputs.
  pixel = arrays.put(known, np.s_[:, 4, 0, 0], True)
  kept = sample(KEY_B, {'known_video': video, 'known': pixel})
  np.testing.assert_array_equal(kept, np.where(pixel, video, found))


def test_actions_and_labels_move_the_prior():
  adder = Adder(SHAPE, 1, action_width=2, num_classes=3)
  net = model(adder=adder, latents='zero')
  assert net.condition_keys == ('known_video', 'known', 'action', 'label')
  action = arrays.uniform((3, 6, 2), 4)
  given = {'action': action, 'label': np.array([0, 2, 1])}
  sample = sampler(net, **given)
  condition = {'known_video': clips(), **given}
  moves = np.diff(sample(KEY_B, condition)[:, :, 0, 0, 0], axis=1)[:, 1:]
  label_b = given['label']
  expected = 0.5 + label_b[:, None] + action[:, 1:-1, 0]
  np.testing.assert_allclose(moves, expected, atol=1e-5)
  for key in given:
    rest = {k: x for k, x in condition.items() if k != key}
    with pytest.raises(ValueError, match=f"no '{key}'"):
      sample(KEY_B, rest)
  with pytest.raises(ValueError, match="'action' has shape"):
    sample(KEY_B, condition | {'action': action[..., :1]})
  with pytest.raises(ValueError, match='text'):
    sample(KEY_B, condition | {'text': label_b})


class Copier(Adder):
  """Predicts its input plus 1, so that outputs show which inputs it had."""

  def __call__(self, carry, frame_bhwc, inputs, **kwargs):
    carry, prediction = super().__call__(carry, frame_bhwc, inputs, **kwargs)
    return carry, prediction._replace(frame_bhwc=frame_bhwc + 1)


def test_scheduled_sampling_uses_generated_frames_in_later_steps():
  num = 64
  video = np.zeros((num, *SHAPE), np.float32)
  net = model(adder=Copier(SHAPE, 1), scheduled_sampling=10.0, beta=0.0)

  def error(step, train=True):
    batch = {'video': video, 'step': np.full(num, step, np.int32)}
    return float(applied(net, batch, train=train)[1]['error'])

  real_only, generated = 5 * 1, 1 + 1 + 4 + 9 + 16
  assert error(0, train=False) == pytest.approx(real_only)
  assert error(1000) == pytest.approx(generated)
  half = error(int(10 * np.log(10)))  # p = 1/2: each input is real or not.
  assert real_only + 2 < half < generated - 4


class Parallel(Adder):
  """An adder whose `predict_all` is a rollout on real frames."""

  has_predict_all = True

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


def test_one_pass_and_a_rollout_have_equal_losses():
  one = applied(model(), {'video': clips()})
  other = applied(model(adder=Parallel(SHAPE, 1)), {'video': clips()})
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5)

"""Tests of families/prediction/adversarial.py."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from tests import compiled
from tests.families.prediction import stochastic_test as tiny
from vgen_jax.families.adversarial import critics
from vgen_jax.families.prediction import adversarial
from vgen_jax.nn.convolution import pyramids
from vgen_jax.nn.convolution import recurrent

SHAPE = (6, 4, 4, 1)
VIDEO = np.asarray(tiny.clips()).repeat(2, 2).repeat(2, 3)


class Critic(nn.Module):
  """A critic whose logit is a weight times the mean of its features."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    weight = self.param('weight', nn.initializers.constant(2.0), ())
    x = pyramids.Down((2, 3), (1, 4, 4), 'spectral')(video_bthwc, train=train)
    return weight * x.mean((1, 2, 3, 4)), None


class Flat(Critic):
  """A critic without features."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    weight = self.param('weight', nn.initializers.constant(2.0), ())
    return weight * video_bthwc.mean((1, 2, 3, 4))


def model(critic=None, **fields):
  critic = critic or Critic()
  return adversarial.Adversarial(
    SHAPE,
    tiny.Adder(SHAPE, latent_width=1),
    critic={'prior': critic, 'posterior': critic.clone()},
    **{'num_context': 2, 'error': 'l1'} | fields,
  )


def losses(net, video=VIDEO, change=lambda params: params, players=None):
  """Returns {player: (loss, terms)} and the parameters."""
  rngs = {'params': jax.random.key(0), 'noise': jax.random.key(1)}
  batch = {'video': video}
  variables = compiled.init(net, rngs, batch)
  variables = variables | {'params': change(variables['params'])}
  found = {}
  for player in players or net.players:
    found[player] = compiled.apply(
      net,
      variables,
      batch,
      player=player,
      train=False,
      rngs=rngs,
      method='loss',
    )
  return found, variables['params']


def scaled(part: str):
  """Returns a change of the logits of a critic."""
  weight = np.full((), 5, np.float32)
  return lambda params: {**params, part: {**params[part], 'weight': weight}}


def test_each_critic_has_its_own_clips():
  net = model()
  assert net.players == ('critic_prior', 'critic_posterior', 'predictor')
  critics_only = net.players[:2]
  before, params = losses(net, players=critics_only)
  assert set(params) == {'predictor', 'critic_prior', 'critic_posterior'}
  other = VIDEO.copy()
  other[:, 3:] += 0.5
  after, _ = losses(net, other, players=critics_only)
  logit = lambda found, name: float(found[f'critic_{name}'][1]['fake_logit'])
  # Clips with latents of the prior are predicted from real frames here, and
  # their first three frames do not depend on later ones.
  assert logit(before, 'prior') != logit(before, 'posterior')
  assert logit(after, 'posterior') != logit(before, 'posterior')


def test_the_loss_of_the_predictor_adds_up():
  net = model(adversarial_weight=0.3, feature_weight=7.0, beta=0.2)
  found, _ = losses(net, players=['predictor'])
  loss, terms = found['predictor']
  expected = (
    terms['error'] + 0.2 * terms['kl'] + 7.0 * terms['features']
    + 0.3 * (terms['adversarial_prior'] + terms['adversarial_posterior'])
  )  # fmt: skip
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  assert terms['features'] > 0
  for name in ('prior', 'posterior'):
    change = scaled(f'critic_{name}')
    changed, _ = losses(net, change=change, players=['predictor'])
    for other in ('prior', 'posterior'):
      key = f'adversarial_{other}'
      differs = changed['predictor'][1][key] != terms[key]
      assert bool(differs) == (name == other)


def test_variants():
  vae, params = losses(model(variant='vae'))
  assert set(params) == {'predictor'}
  assert set(vae) == {'predictor'}
  plain, _ = losses(
    model(adversarial_weight=0.0, feature_weight=0.0, variant='vae_gan'),
    players=['predictor'],
  )
  np.testing.assert_allclose(vae['predictor'][0], plain['predictor'][0])
  gan, params = losses(
    model(variant='gan', adversarial_weight=0.5), players=['predictor']
  )
  assert set(params) == {'predictor', 'critic_prior'}
  loss, terms = gan['predictor']
  assert set(terms) == {'error', 'adversarial_prior'}
  np.testing.assert_allclose(
    loss, terms['error'] + 0.5 * terms['adversarial_prior'], rtol=1e-5
  )


def test_predictions_of_both_sources_differ_and_come_from_one_rollout():
  net = model()
  rngs = {'params': jax.random.key(0), 'noise': jax.random.key(1)}
  variables = compiled.init(net, rngs, {'video': VIDEO})
  of = lambda *sources: compiled.apply(
    net,
    variables,
    {'video': VIDEO},
    sources,
    train=False,
    rngs=rngs,
    method='training_predictions',
  )
  posterior, prior = of('posterior', 'prior')
  assert np.abs(posterior.frame_bhwc - prior.frame_bhwc).max() > 0.1
  for both, (alone,) in ((posterior, of('posterior')), (prior, of('prior'))):
    for a, b in zip(jax.tree.leaves(both), jax.tree.leaves(alone), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-6)


def test_scheduled_sampling_has_the_schedule_of_the_paper():
  """A probability is k / (k + exp(step / k)), and 0 below 0.001; k = 900."""
  steps = np.array([0, 3000, 6122, 12_000, 20_000])
  exact = 900 / (900 + np.exp(steps / 900))
  found = np.array([recurrent.inverse_sigmoid(x, 900.0) for x in steps])
  np.testing.assert_allclose(found[:4], exact[:4], rtol=1e-4)
  np.testing.assert_allclose(found[[0, 2]], [0.9989, 0.5], atol=2e-4)
  assert found[4] == 0 < exact[4]


def test_features_of_a_critic_are_the_outputs_of_its_layers():
  network = Critic()
  variables = compiled.init(
    network, jax.random.key(0), VIDEO, {}, tiny.KEY_B, train=False
  )

  def both(variables, video):
    bound = network.bind(variables)
    logits_of = critics.with_features(bound, {}, tiny.KEY_B)
    alone, _ = bound(video, {}, tiny.KEY_B, train=False)
    return *logits_of(video), alone

  logit, features, alone = compiled.call(both, variables, VIDEO)
  assert [x.shape for x in features] == [(3, 6, 2, 2, 2), (3, 6, 1, 1, 3)]
  expected = 2 * features[1].mean((1, 2, 3, 4))
  np.testing.assert_allclose(logit, expected, rtol=1e-6)
  np.testing.assert_array_equal(logit, alone)


class Dropping(nn.Module):
  """A critic with dropout."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    hidden = pyramids.Down((2, 3))(video_bthwc, train=train)
    hidden = nn.Dropout(0.5)(hidden, deterministic=not train)
    return hidden.mean((1, 2, 3, 4))


@pytest.mark.parametrize('train', [True, False])
def test_critics_with_dropout_are_called_in_either_way(train):
  network = Dropping()
  variables = compiled.init(
    network, jax.random.key(0), VIDEO, {}, tiny.KEY_B, train=False
  )

  def all_logits(variables, video, key):
    bound = network.bind(variables, rngs={'dropout': key})
    arguments = bound, {}, tiny.KEY_B
    with_features = critics.with_features(*arguments, train=train)
    plain = critics.unbound(*arguments, train=train)
    once, twice = with_features(video)[0], with_features(video)[0]
    return once, twice, plain(video)

  call = lambda seed: compiled.call(
    all_logits, variables, VIDEO, jax.random.key(seed)
  )
  (once, twice, plain), (other, *_) = call(0), call(1)
  np.testing.assert_array_equal(once, twice)  # All calls drop the same.
  assert (once != other).any() == train
  assert (once != plain).any() == train


def test_cosine_distance():
  distance = compiled.jit(adversarial.cosine_distance)
  one = np.float32([[1.0, 0.0], [0.0, 2.0]])
  assert distance(one, 5 * one) == pytest.approx(0, abs=1e-6)
  assert distance(one, -one) == pytest.approx(2)
  assert distance(one, one[:, ::-1]) == pytest.approx(1)
  grad = compiled.jit(jax.grad(adversarial.cosine_distance))(0 * one, one)
  assert np.isfinite(grad).all()


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (dict(variant='savp'), "'savp'; it must be one of"),
    (dict(loss_kind='relativistic'), "'relativistic', which compares pairs"),
    (dict(adversarial_weight=-1.0), 'adversarial_weight is -1.0'),
  ],
)
def test_wrong_fields(fields, message):
  with pytest.raises(ValueError, match=message):
    model(**fields)


def test_missing_critics_and_features_are_errors():
  with pytest.raises(ValueError, match="variant 'vae_gan' also needs"):
    model().clone(critic={'prior': Critic()})
  with pytest.raises(ValueError, match='Flat gives no features'):
    losses(model(Flat()))


def test_only_critics_whose_features_are_compared_need_features():
  found, _ = losses(model(Flat(), feature_weight=0.0))
  assert 'features' not in found['predictor'][1]
  net = model().clone(critic={'prior': Flat(), 'posterior': Critic()})
  found, _ = losses(net)
  assert 'features' in found['predictor'][1]

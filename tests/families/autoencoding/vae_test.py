"""Tests of vae.py, with linear models of known likelihood."""

import functools
import math

import flax.linen as nn
import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families.autoencoding import likelihoods
from vgen_jax.families.autoencoding import vae
from vgen_jax.families.base import Update
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.bottlenecks import gaussian

SHAPE = (2, 2, 2, 1)
NUM_PIXELS, NUM_LATENTS = 8, 2
RNG = np.random.default_rng(0)
# Orthogonal columns, so that the posterior has independent latents.
WEIGHTS = np.linalg.qr(RNG.normal(size=(8, 2)))[0] * [[1.5, 0.6]]
CENTRE, SIGMA = RNG.normal(size=8) / 4, 0.3
VIDEO = arrays.uniform((6, *SHAPE), low=-1)

PAIR = np.zeros(NUM_LATENTS, np.float32)
MOMENTS = {'sum': PAIR, 'square': PAIR, 'weight': np.float32(0)}
STATS = {'latent_moments': {'autoencoder': {'moments': MOMENTS}}}


class Linear(autoencoder.Autoencoder):
  """Latents are linear in pixels, and pixels linear in latents."""

  bottleneck: nn.Module = gaussian.Gaussian(NUM_LATENTS)

  def setup(self):
    super().setup()
    self.decoder = nn.Dense(NUM_PIXELS)

  def latent_shape(self, clip_shape):
    return 1, 1, 1, NUM_LATENTS

  def encode(self, video_bthwc, *, train=False):
    return video_bthwc.reshape(-1, 1, 1, 1, NUM_PIXELS)

  def decode(self, latent_bthwd, *, train=False):
    return self.decoder(latent_bthwd).reshape(-1, *SHAPE)


def make(**fields):
  return vae.VAE(SHAPE, Linear(), **fields)


@functools.cache
def applied(model, player, transform):
  def loss(params, batch):
    return model.apply(
      {'params': params, **STATS},
      batch,
      player=player,
      train=False,
      method='loss',
      rngs={'noise': jax.random.key(3)},
    )

  return compiled.jit(transform(loss))


_IDENTITY = lambda loss: loss
_GRAD = functools.partial(jax.value_and_grad, has_aux=True)


def compute(model, params, batch):
  """Returns the loss and its terms."""
  return applied(model, 'autoencoder', _IDENTITY)(params, batch)


def differentiate(model, params, batch, player='autoencoder'):
  """Returns the loss with its terms, and the gradients."""
  return applied(model, player, _GRAD)(params, batch)


@pytest.fixture(scope='module')
def params():
  rngs = {'params': jax.random.key(1), 'noise': jax.random.key(2)}
  return compiled.init(make(), rngs, {'video': VIDEO})['params']


def true_params(off: float = 0.0):
  """Returns the true decoder, and its posterior with mean off by `off`."""
  middle = WEIGHTS.T @ WEIGHTS + SIGMA**2 * np.eye(2)
  to_mean = WEIGHTS @ np.linalg.inv(middle)
  log_variance = np.log(SIGMA**2 / np.diag(middle))
  kernel = np.concatenate([to_mean, np.zeros((8, 2))], 1)
  bias = np.concatenate([off - CENTRE @ to_mean, log_variance])
  project = {'kernel': np.float32(kernel), 'bias': np.float32(bias)}
  decoder = {'kernel': np.float32(WEIGHTS.T), 'bias': np.float32(CENTRE)}
  return {
    'autoencoder': {'bottleneck': {'project': project}, 'decoder': decoder}
  }


def test_bound_is_tight_for_the_true_posterior():
  """Probabilistic PCA (Tipping and Bishop) has a likelihood in closed form."""
  num = 100_000
  latent_nd = RNG.normal(size=(num, 2))
  noise_np = SIGMA * RNG.normal(size=(num, NUM_PIXELS))
  pixel_np = latent_nd @ WEIGHTS.T + CENTRE + noise_np
  batch = {'video': np.float32(pixel_np).reshape(-1, *SHAPE)}
  covariance = WEIGHTS @ WEIGHTS.T + SIGMA**2 * np.eye(8)
  off_np = pixel_np - CENTRE
  square_n = (off_np @ np.linalg.inv(covariance) * off_np).sum(1)
  log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
  exact = -0.5 * (square_n + log_det).mean()

  model = make(likelihood=likelihoods.Gaussian(scale=SIGMA))
  elbo = lambda *off: float(compute(model, true_params(*off), batch)[1]['elbo'])
  assert elbo() == pytest.approx(exact, abs=1e-2)
  # If off by a tenth, it is lower by KL(q || posterior).
  precision = (np.diag(WEIGHTS.T @ WEIGHTS) + SIGMA**2) / SIGMA**2
  gap = 0.5 * 0.1**2 * precision.sum()
  assert gap > 0.1
  assert exact - elbo(0.1) == pytest.approx(gap, abs=1e-2)


def test_loss_is_the_negative_elbo(params):
  loss, terms = compute(make(), params, {'video': VIDEO})
  assert loss == -terms['elbo'] == terms['nll'] + terms['kl']
  assert terms['beta_eff'] == 1
  doubled, more = compute(make(beta=2.0), params, {'video': VIDEO})
  assert doubled - loss == pytest.approx(float(terms['kl']), rel=1e-3)
  assert more['elbo'] == terms['elbo']
  # The loss is the mean over clips.
  both = {'video': VIDEO[:2], 'position': np.arange(2)}
  each = [
    compute(make(), params, {'video': VIDEO[i : i + 1], 'position': place})[0]
    for i, place in enumerate(np.arange(2).reshape(2, 1))
  ]
  both_loss = float(compute(make(), params, both)[0])
  assert sum(each) / 2 == pytest.approx(both_loss, rel=1e-5)


def test_means_correspond_to_a_large_beta(params):
  """Means have the gradients of sums with beta N / (2 variance d)."""
  batch = {'video': VIDEO}
  mean_model = make(
    likelihood=likelihoods.Gaussian(scale=0.5**0.5),  # Squared errors.
    recon_reduction='mean',
    kl_reduction='mean',
  )
  (_, terms), means = differentiate(mean_model, params, batch)
  assert terms['beta_eff'] == NUM_PIXELS / NUM_LATENTS
  variance = 0.3**2
  beta = NUM_PIXELS / (2 * variance * NUM_LATENTS)
  _, sums = differentiate(
    make(likelihood=likelihoods.Gaussian(scale=0.3), beta=beta), params, batch
  )
  scale = NUM_PIXELS / (2 * variance)
  for one, two in zip(*map(jax.tree.leaves, (means, sums)), strict=True):
    np.testing.assert_allclose(one * scale, two, rtol=1e-3, atol=1e-4)
  # A clip of 16 x 32 x 32 x 3 with 64 latents.
  clip = math.prod((16, 32, 32, 3))
  assert vae.effective_beta(0.5, 'mean', 'mean', clip, 64) == 384


@pytest.mark.parametrize('per', ['channel', 'latent'])
def test_free_nats_have_no_gradient(params, per):
  batch = {'video': VIDEO}
  norm = lambda grads: sum(
    np.abs(x).sum() for x in jax.tree.leaves(grads['autoencoder']['bottleneck'])
  )
  net = lambda nats: make(beta=1e4, free_nats=nats, free_per=per)
  (loss, terms), free = differentiate(net(100.0), params, batch)
  _, unweighted = differentiate(make(beta=0.0), params, batch)
  assert norm(free) == pytest.approx(float(norm(unweighted)), rel=1e-5)
  _, few = differentiate(net(1e-6), params, batch)
  assert norm(few) > 3 * norm(free)
  # The loss has the free nats as a constant.
  assert loss == pytest.approx(
    float(terms['nll']) + 1e4 * 100 * NUM_LATENTS, rel=1e-5
  )


def test_beta_warmup(params):
  model = make(beta=3.0, beta_warmup=10)
  beta = lambda **step: compute(model, params, {'video': VIDEO, **step})[1][
    'beta_eff'
  ]
  at = lambda step: beta(step=np.full(6, step, np.int32))
  assert [float(at(i)) for i in (0, 5, 10, 99)] == [0, 1.5, 3, 3]
  assert beta() == 3  # Outside of training, warmup has ended.


@pytest.mark.parametrize(
  ('name', 'best'),
  [
    ('Gaussian', lambda error: np.sqrt(np.square(error).mean())),
    ('Laplace', lambda error: np.abs(error).mean()),
  ],
)
def test_optimal_learned_scale_is_the_error(params, name, best):
  zeros = jax.tree.map(np.zeros_like, params)  # The output is always grey.
  scale = best(np.asarray(VIDEO))
  likelihood = getattr(likelihoods, name)(learned=True)
  model = make(likelihood=likelihood)
  assert model.players == ('autoencoder', 'likelihood')
  slope = lambda x: differentiate(
    model,
    {**zeros, 'likelihood': {'log_scale': np.float32(np.log(x))}},
    {'video': VIDEO},
    'likelihood',
  )[1]['likelihood']['log_scale']
  assert slope(scale) == pytest.approx(0, abs=1e-4)
  assert slope(0.8 * scale) < -0.5
  assert slope(1.2 * scale) > 0.5


def test_bits_of_pixels(params):
  """Uniformly distributed grey levels have slightly more than 8 bits."""
  model = make(likelihood=likelihoods.DiscretizedLogistic(scale=0.35))
  zeros = jax.tree.map(np.zeros_like, params)
  grey = np.rint(255 * arrays.uniform((900, *SHAPE), 5))
  _, terms = compute(model, zeros, {'video': grey * 2 / 255 - 1})
  assert terms['kl'] == 0
  assert terms['bits_per_dim'] == pytest.approx(8.0, abs=0.3)
  assert terms['bits_per_dim'] > 8  # No code is shorter than the entropy.
  assert make().updates == (Update('autoencoder'),)


def test_samples_are_decoded_prior_latents():
  key_b = arrays.keys(4000, 4)
  sample = lambda key_b, method: compiled.apply(
    make(), {'params': true_params()}, key_b, {}, method=method
  )
  samples = sample(key_b, 'sample_unclipped').reshape(-1, NUM_PIXELS)
  np.testing.assert_allclose(samples.mean(0), CENTRE, atol=0.08)
  np.testing.assert_allclose(np.cov(samples.T), WEIGHTS @ WEIGHTS.T, atol=0.12)
  clipped = sample(arrays.take_keys(key_b, np.s_[7:9]), 'sample').reshape(
    -1, NUM_PIXELS
  )
  np.testing.assert_allclose(clipped, samples[7:9].clip(-1, 1), atol=1e-6)


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (dict(recon_reduction='total'), "recon_reduction is 'total'"),
    (dict(free_per='clip'), "free_per is 'clip'"),
    (dict(beta=-1.0), 'beta is -1'),
    (dict(beta=float('nan')), 'beta is nan'),
  ],
)
def test_wrong_fields(fields, match):
  with pytest.raises(ValueError, match=match):
    make(**fields)


def test_wrong_parts(params):
  with pytest.raises(ValueError, match='scale is 0'):
    likelihoods.Gaussian(scale=0.0)
  model = vae.VAE(SHAPE, Linear(bottleneck=gaussian.Identity(NUM_LATENTS)))
  rngs = {'params': jax.random.key(1), 'noise': jax.random.key(2)}
  with pytest.raises(ValueError, match='no posterior'):
    compiled.shapes(model, rngs, {'video': VIDEO})

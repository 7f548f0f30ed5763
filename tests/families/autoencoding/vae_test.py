"""Tests of vae.py, with linear models of known likelihood."""

import math

import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.families.autoencoding import linear_vae
from vgen_jax.families.autoencoding import likelihoods
from vgen_jax.families.autoencoding import vae
from vgen_jax.families.base import Update
from vgen_jax.nn.bottlenecks import gaussian


@pytest.fixture(scope='module')
def params():
  rngs = {'params': jax.random.key(1), 'noise': jax.random.key(2)}
  return compiled.init(linear_vae.make(), rngs, {'video': linear_vae.VIDEO})[
    'params'
  ]


def test_bound_is_tight_for_the_true_posterior():
  """Probabilistic PCA (Tipping and Bishop) has a likelihood in closed form."""
  num = 100_000
  latent_nd = linear_vae.RNG.normal(size=(num, 2))
  noise_np = linear_vae.SIGMA * linear_vae.RNG.normal(
    size=(num, linear_vae.NUM_PIXELS)
  )
  pixel_np = latent_nd @ linear_vae.WEIGHTS.T + linear_vae.CENTRE + noise_np
  batch = {'video': np.float32(pixel_np).reshape(-1, *linear_vae.SHAPE)}
  covariance = (
    linear_vae.WEIGHTS @ linear_vae.WEIGHTS.T + linear_vae.SIGMA** 2 * np.eye(8)
  )
  off_np = pixel_np - linear_vae.CENTRE
  square_n = (off_np @ np.linalg.inv(covariance) * off_np).sum(1)
  log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
  exact = -0.5 * (square_n + log_det).mean()

  model = linear_vae.make(
    likelihood=likelihoods.Gaussian(scale=linear_vae.SIGMA)
  )
  elbo = lambda *off: float(
    linear_vae.compute(model, linear_vae.true_params(*off), batch)[1]['elbo']
  )
  assert elbo() == pytest.approx(exact, abs=1e-2)
  # If off by a tenth, it is lower by KL(q || posterior).
  precision = (
    np.diag(linear_vae.WEIGHTS.T @ linear_vae.WEIGHTS) + linear_vae.SIGMA**2
  ) / linear_vae.SIGMA**2
  gap = 0.5 * 0.1**2 * precision.sum()
  assert gap > 0.1
  assert exact - elbo(0.1) == pytest.approx(gap, abs=1e-2)


def test_loss_is_the_negative_elbo(params):
  loss, terms = linear_vae.compute(
    linear_vae.make(), params, {'video': linear_vae.VIDEO}
  )
  assert loss == -terms['elbo'] == terms['nll'] + terms['kl']
  assert terms['beta_eff'] == 1
  doubled, more = linear_vae.compute(
    linear_vae.make(beta=2.0), params, {'video': linear_vae.VIDEO}
  )
  assert doubled - loss == pytest.approx(float(terms['kl']), rel=1e-3)
  assert more['elbo'] == terms['elbo']
  # The loss is the mean over clips.
  both = {'video': linear_vae.VIDEO[:2], 'position': np.arange(2)}
  each = [
    linear_vae.compute(
      linear_vae.make(),
      params,
      {'video': linear_vae.VIDEO[i : i + 1], 'position': place},
    )[0]
    for i, place in enumerate(np.arange(2).reshape(2, 1))
  ]
  both_loss = float(linear_vae.compute(linear_vae.make(), params, both)[0])
  assert sum(each) / 2 == pytest.approx(both_loss, rel=1e-5)


def test_means_correspond_to_a_large_beta(params):
  """Means have the gradients of sums with beta N / (2 variance d)."""
  batch = {'video': linear_vae.VIDEO}
  mean_model = linear_vae.make(
    likelihood=likelihoods.Gaussian(scale=0.5**0.5),  # Squared errors.
    recon_reduction='mean',
    kl_reduction='mean',
  )
  (_, terms), means = linear_vae.differentiate(mean_model, params, batch)
  assert terms['beta_eff'] == linear_vae.NUM_PIXELS / linear_vae.NUM_LATENTS
  variance = 0.3**2
  beta = linear_vae.NUM_PIXELS / (2 * variance * linear_vae.NUM_LATENTS)
  _, sums = linear_vae.differentiate(
    linear_vae.make(likelihood=likelihoods.Gaussian(scale=0.3), beta=beta),
    params,
    batch,
  )
  scale = linear_vae.NUM_PIXELS / (2 * variance)
  for one, two in zip(*map(jax.tree.leaves, (means, sums)), strict=True):
    np.testing.assert_allclose(one * scale, two, rtol=1e-3, atol=1e-4)
  # A clip of 16 x 32 x 32 x 3 with 64 latents.
  clip = math.prod((16, 32, 32, 3))
  assert vae.effective_beta(0.5, 'mean', 'mean', clip, 64) == 384


@pytest.mark.parametrize('per', ['channel', 'latent'])
def test_free_nats_have_no_gradient(params, per):
  batch = {'video': linear_vae.VIDEO}
  norm = lambda grads: sum(
    np.abs(x).sum() for x in jax.tree.leaves(grads['autoencoder']['bottleneck'])
  )
  net = lambda nats: linear_vae.make(beta=1e4, free_nats=nats, free_per=per)
  (loss, terms), free = linear_vae.differentiate(net(100.0), params, batch)
  _, unweighted = linear_vae.differentiate(
    linear_vae.make(beta=0.0), params, batch
  )
  assert norm(free) == pytest.approx(float(norm(unweighted)), rel=1e-5)
  _, few = linear_vae.differentiate(net(1e-6), params, batch)
  assert norm(few) > 3 * norm(free)
  # The loss has the free nats as a constant.
  assert loss == pytest.approx(
    float(terms['nll']) + 1e4 * 100 * linear_vae.NUM_LATENTS, rel=1e-5
  )


def test_beta_warmup(params):
  model = linear_vae.make(beta=3.0, beta_warmup=10)
  beta = lambda **step: linear_vae.compute(
    model, params, {'video': linear_vae.VIDEO, **step}
  )[1]['beta_eff']
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
  scale = best(np.asarray(linear_vae.VIDEO))
  likelihood = getattr(likelihoods, name)(learned=True)
  model = linear_vae.make(likelihood=likelihood)
  assert model.players == ('autoencoder', 'likelihood')
  slope = lambda x: linear_vae.differentiate(
    model,
    {**zeros, 'likelihood': {'log_scale': np.float32(np.log(x))}},
    {'video': linear_vae.VIDEO},
    'likelihood',
  )[1]['likelihood']['log_scale']
  assert slope(scale) == pytest.approx(0, abs=1e-4)
  assert slope(0.8 * scale) < -0.5
  assert slope(1.2 * scale) > 0.5


def test_bits_of_pixels(params):
  """Uniformly distributed grey levels have slightly more than 8 bits."""
  model = linear_vae.make(
    likelihood=likelihoods.DiscretizedLogistic(scale=0.35)
  )
  zeros = jax.tree.map(np.zeros_like, params)
  grey = np.rint(255 * arrays.uniform((900, *linear_vae.SHAPE), 5))
  _, terms = linear_vae.compute(model, zeros, {'video': grey * 2 / 255 - 1})
  assert terms['kl'] == 0
  assert terms['bits_per_dim'] == pytest.approx(8.0, abs=0.3)
  assert terms['bits_per_dim'] > 8  # No code is shorter than the entropy.
  assert linear_vae.make().updates == (Update('autoencoder'),)


def test_samples_are_decoded_prior_latents():
  key_b = arrays.keys(4000, 4)
  sample = lambda key_b, method: compiled.apply(
    linear_vae.make(),
    {'params': linear_vae.true_params()},
    key_b,
    {},
    method=method,
  )
  samples = sample(key_b, 'sample_unclipped').reshape(-1, linear_vae.NUM_PIXELS)
  np.testing.assert_allclose(samples.mean(0), linear_vae.CENTRE, atol=0.08)
  np.testing.assert_allclose(
    np.cov(samples.T), linear_vae.WEIGHTS @ linear_vae.WEIGHTS.T, atol=0.12
  )
  clipped = sample(arrays.take_keys(key_b, np.s_[7:9]), 'sample').reshape(
    -1, linear_vae.NUM_PIXELS
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
    linear_vae.make(**fields)


def test_wrong_parts(params):
  with pytest.raises(ValueError, match='scale is 0'):
    likelihoods.Gaussian(scale=0.0)
  model = vae.VAE(
    linear_vae.SHAPE,
    linear_vae.Linear(bottleneck=gaussian.Identity(linear_vae.NUM_LATENTS)),
  )
  rngs = {'params': jax.random.key(1), 'noise': jax.random.key(2)}
  with pytest.raises(ValueError, match='no posterior'):
    compiled.shapes(model, rngs, {'video': linear_vae.VIDEO})

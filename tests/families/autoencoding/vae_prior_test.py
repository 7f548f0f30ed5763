"""Tests of vae.py with a learned prior, with linear models."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.families.autoencoding import linear_vae
from vgen_jax.config import build
from vgen_jax.config import loading
from vgen_jax.families.autoencoding import vae
from vgen_jax.families.base import Update
from vgen_jax.nn.bottlenecks import priors

MAX = 5.0  # Bound of log-scales.
TWO = priors.Mixture(2)


def with_prior(mean_kd, log_scale_kd):
  """Returns true parameters, with a prior of equally likely components."""
  k, d = np.shape(mean_kd)
  prior = {
    'mean': np.float32(mean_kd),
    'log_scale': np.float32(MAX * np.arctanh(np.divide(log_scale_kd, MAX))),
    'lower': np.zeros((k, d, d), np.float32),
    'logit': np.zeros(k, np.float32),
  }
  return linear_vae.true_params() | {'prior': prior}


def test_a_mixture_of_standard_normals_gives_the_same_bound():
  pair = np.zeros((2, linear_vae.NUM_LATENTS))
  model = linear_vae.make(prior=TWO)
  assert model.updates == (
    Update('autoencoder'),
    Update('prior', with_previous=True),
  )
  batch = {'video': arrays.uniform((20_000, *linear_vae.SHAPE), low=-1)}
  _, exact = linear_vae.compute(
    linear_vae.make(), linear_vae.true_params(), batch
  )
  loss, estimated = linear_vae.compute(model, with_prior(pair, pair), batch)
  # One latent per clip is drawn, so the two differ by its noise.
  assert estimated['kl'] == pytest.approx(float(exact['kl']), abs=0.05)
  assert loss == pytest.approx(-float(estimated['elbo']), rel=1e-6)
  off = linear_vae.compute(model, with_prior(pair + 1, pair), batch)[1]
  assert off['kl'] > estimated['kl'] + 0.5


def test_the_optimal_mixture_is_that_of_the_latents():
  """At the optimum, the density is that of all posteriors on average."""
  sign_b = np.where(np.arange(6_000) % 2, 1.0, -1.0)
  latent_bd = sign_b[:, None] * [2.0, 0.0]
  pixel_bp = latent_bd @ linear_vae.WEIGHTS.T + linear_vae.CENTRE
  batch = {'video': np.float32(pixel_bp).reshape(-1, *linear_vae.SHAPE)}
  params = linear_vae.true_params()
  middle = (
    linear_vae.WEIGHTS.T @ linear_vae.WEIGHTS + linear_vae.SIGMA** 2 * np.eye(2)
  )
  # Means of the posterior of the two kinds of clips, and its deviations.
  mean_kd = np.array([[-2.0, 0.0], [2.0, 0.0]]) @ (
    linear_vae.WEIGHTS.T @ linear_vae.WEIGHTS @ np.linalg.inv(middle)
  )
  log_scale_d = np.log(linear_vae.SIGMA**2 / np.diag(middle)) / 2
  best = np.broadcast_to(log_scale_d, mean_kd.shape)
  model = linear_vae.make(prior=TWO)
  (loss, terms), grads = linear_vae.differentiate(
    model, with_prior(mean_kd, best), batch, 'prior'
  )
  assert not terms
  # The latent tells which of the two kinds a clip is, and nothing else.
  terms = linear_vae.compute(model, with_prior(mean_kd, best), batch)[1]
  assert terms['kl'] == pytest.approx(math.log(2), abs=0.05)
  entropy = (log_scale_d + 0.5 * np.log(2 * np.pi * np.e)).sum()
  assert loss == pytest.approx(math.log(2) + entropy, abs=0.05)
  for slope in jax.tree.leaves(grads['prior']):
    np.testing.assert_allclose(slope, 0, atol=0.15)
  _, grads = linear_vae.differentiate(
    model, with_prior(0.9 * mean_kd, best), batch, 'prior'
  )
  assert np.all(np.abs(grads['prior']['mean'][:, 0]) > 0.5)
  # N(0, 1) cannot describe two kinds.
  normal = linear_vae.compute(linear_vae.make(), params, batch)[1]
  assert normal['kl'] > 3 * math.log(2)


def test_the_divergence_is_that_of_the_mean_of_the_posterior():
  """The encoder has the gradient of the divergence to a single component."""
  mean_d = np.array([0.7, -0.4])
  model = linear_vae.make(prior=TWO, beta=1e4)
  params = with_prior(np.stack([mean_d, mean_d]), np.full((2, 2), -0.7))
  batch = {'video': arrays.uniform((5_000, *linear_vae.SHAPE), low=-1)}
  (_, terms), grads = linear_vae.differentiate(model, params, batch)
  project = params['autoencoder']['bottleneck']['project']
  pixel_bp = batch['video'].reshape(-1, linear_vae.NUM_PIXELS)
  encoded_be = pixel_bp @ project['kernel'] + project['bias']
  posterior_mean_d = encoded_be[:, :2].mean(0)
  slope_d = grads['autoencoder']['bottleneck']['project']['bias'][:2] / 1e4
  expected_d = (posterior_mean_d - mean_d) / np.exp(2 * -0.7)
  np.testing.assert_allclose(slope_d, expected_d, atol=0.1)
  variance_d = np.exp(encoded_be[0, 2:])
  square_bd = np.square(encoded_be[:, :2] - mean_d) + variance_d
  kl = 0.5 * (square_bd / np.exp(-1.4) - 1 - 1.4 - np.log(variance_d))
  assert terms['kl'] == pytest.approx(kl.sum(-1).mean(), abs=0.1)


class TwoPositions(linear_vae.Linear):
  """Each of two frames has a latent; the frames have the same network."""

  def latent_shape(self, clip_shape):
    return 2, 1, 1, linear_vae.NUM_LATENTS

  def encode(self, video_bthwc, *, train=False):
    encoded = super().encode(video_bthwc, train=train)
    return jnp.concatenate([encoded, encoded], axis=1)

  def decode(self, latent_bthwd, *, train=False):
    return super().decode(latent_bthwd[:, :1])


def test_divergences_of_positions_are_added():
  params = with_prior([[0.5, 0.0], [0.5, 0.0]], np.zeros((2, 2)))
  batch = {'video': arrays.uniform((20_000, *linear_vae.SHAPE), low=-1)}
  one, two = (
    linear_vae.compute(
      vae.VAE(linear_vae.SHAPE, network, prior=TWO), params, batch
    )[1]['kl']
    for network in (linear_vae.Linear(), TwoPositions())
  )
  assert two == pytest.approx(2 * float(one), rel=0.03)


def test_samples_of_a_mixture_are_decoded():
  params = with_prior([[-2.0, 0.0], [2.0, 0.0]], np.full((2, 2), -4.5))
  model = linear_vae.make(prior=TWO)
  key_b = arrays.keys(200, 4)
  pixels = compiled.apply(
    model, {'params': params}, key_b, {}, method='sample_unclipped'
  ).reshape(-1, linear_vae.NUM_PIXELS)
  sign_b = np.sign((pixels - linear_vae.CENTRE) @ linear_vae.WEIGHTS[:, 0])
  assert 70 < (sign_b > 0).sum() < 130
  expected = sign_b[:, None] * 2 * linear_vae.WEIGHTS[:, 0] + linear_vae.CENTRE
  np.testing.assert_allclose(pixels, expected, atol=0.1)


def test_free_nats_need_the_standard_normal():
  with pytest.raises(ValueError, match=r'free_nats is 0\.5, and model\.prior'):
    linear_vae.make(prior=TWO, free_nats=0.5)


def test_the_prior_of_a_config_is_a_prior():
  config = loading.load('vae_world:smoke')
  spec = config.model.to_dict()
  schema = build.source(config.data.to_dict(), config.clip_shape).schema
  spec['prior'] = {'name': 'nn.bottlenecks.gaussian.Gaussian', 'width': 4}
  with pytest.raises(ValueError, match=r'config\.model\.prior is .* Gaussian'):
    build.model(spec, schema)
  spec['prior'] = {'name': 'nn.bottlenecks.priors.Prior'}
  with pytest.raises(ValueError, match='this is a base class'):
    build.model(spec, schema)

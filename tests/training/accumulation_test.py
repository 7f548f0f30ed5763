"""Tests of training/gradients.py: micro-batches give the step of the batch.

Each model has a loss or a statistic that is not a mean over clips.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vgen_jax.families.adversarial import gan
from vgen_jax.families.autoencoding import likelihoods
from vgen_jax.families.autoencoding import tokenizer
from vgen_jax.families.autoencoding import vae
from vgen_jax.nn import batch_statistics
from vgen_jax.nn import spectral
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.bottlenecks import gaussian
from vgen_jax.nn.bottlenecks import lookup_free
from vgen_jax.nn.bottlenecks import quantize
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib

SHAPE = (2, 2, 2, 1)
VIDEO = np.random.default_rng(0).integers(0, 256, (12, *SHAPE)).astype(np.uint8)


class Decoder(nn.Module):
  def setup(self):
    self.out = nn.Dense(1)

  def __call__(self, x_bthwc):
    return self.out(x_bthwc)


class Tiny(autoencoder.Autoencoder):
  """Dense layers on each pixel."""

  bottleneck: nn.Module

  def setup(self):
    super().setup()
    self.encoder, self.decoder = nn.Dense(6), Decoder()

  def latent_shape(self, clip_shape):
    return (*clip_shape[:3], self.bottleneck.width)

  def encode(self, video_bthwc, *, train=False):
    return self.encoder(video_bthwc)

  def decode(self, latent_bthwd, *, train=False):
    return self.decoder(latent_bthwd)


class Critic(nn.Module):
  """A critic with a hidden layer, with a norm or without."""

  norm: str = ''

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    x_bd = video_bthwc.reshape(len(video_bthwc), -1)
    is_spectral = self.norm == 'spectral'
    x_bd = spectral.apply(nn.Dense(5), x_bd, normed=is_spectral, train=train)
    if self.norm == 'batch':
      x_bd = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x_bd)
    return nn.Dense(1)(nn.silu(x_bd))


class Generator(nn.Module):
  @nn.compact
  def __call__(self, key_b, condition, *, train):
    noise_bd = jax.vmap(lambda key: jax.random.normal(key, (3,)))(key_b)
    return nn.Dense(8)(noise_bd).reshape(-1, *SHAPE)


def coded(bottleneck: nn.Module, **fields) -> tokenizer.Autoencoding:
  return tokenizer.Autoencoding(SHAPE, Tiny(bottleneck), **fields)


EXACT = {
  'emavq': coded(quantize.EMAVQ(8, 3, restart_below=0.5)),
  'vq': coded(quantize.VQ(8, 3)),
  'lfq': coded(lookup_free.LFQ(5, temperature=1.0, group_bits=3)),
  'bsq': coded(lookup_free.BSQ(4, temperature=1.0)),
  'adaptive': coded(
    gaussian.Identity(3), critic={'image': Critic()}, lecam_weight=0.5
  ),
  'free_nats': vae.VAE(
    SHAPE,
    Tiny(gaussian.Gaussian(2)),
    likelihoods.Gaussian(scale=2.0),
    beta=0.5,
    free_nats=0.56,
    free_per='latent',
  ),
  'spectral': gan.GAN(SHAPE, Generator(), {'image': Critic('spectral')}),
}
# Those whose batch statistics are not given to modules in another way.
COLLECTED = ['emavq', 'vq', 'lfq', 'bsq', 'adaptive', 'free_nats']
MODELS = EXACT | {
  'batch_norm': gan.GAN(SHAPE, Generator(), {'image': Critic('batch')})
}


def optimizers_of(name: str):
  return {player: optax.sgd(0.1) for player in MODELS[name].players}


@functools.cache
def first_state(name: str) -> state_lib.TrainState:
  create = lambda: state_lib.create(
    MODELS[name], optimizers_of(name), (), {'video': VIDEO}, seed=0
  )
  return jax.jit(create)()


def fit(name: str, accumulate: int, steps: int = 2):
  """Returns parameters and statistics after some steps, and the metrics."""
  step = jax.jit(
    step_lib.make_train_step(
      MODELS[name], optimizers_of(name), accumulate=accumulate
    )
  )
  state = first_state(name)
  for _ in range(steps):
    state, metrics = step(state, {'video': VIDEO})
  found = {'params': state.params, 'stats': state.stats, 'metrics': metrics}
  return jax.device_get(found)


def differences(one, other) -> dict[str, float]:
  """Returns {path: largest difference, relative to the largest number}."""
  largest = lambda x: float(np.abs(np.asarray(x, np.float64)).max())
  both = zip(
    jax.tree_util.tree_leaves_with_path(one),
    jax.tree.leaves(other),
    strict=True,
  )
  return {
    jax.tree_util.keystr(path): largest(a - b) / max(largest(a), 1e-3)
    for (path, a), b in both
  }


@pytest.mark.parametrize(
  'name',
  # Statistics of BSQ are those of LFQ.
  [
    pytest.param(name, marks=pytest.mark.slow) if name == 'bsq' else name
    for name in EXACT
  ],
)
def test_micro_batches_give_the_step_of_the_batch(name, monkeypatch):
  """With statistics of the micro-batch, the step differs."""
  whole = fit(name, 1)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(whole))
  found = differences(whole, fit(name, 3))
  assert max(found.values()) < 2e-4, found
  if name in COLLECTED:
    own = lambda module, name, kind, part: part
    monkeypatch.setattr(batch_statistics, '_whole', own)
    found = differences(whole, fit(name, 3))
    assert max(found.values()) > 2e-3


def test_batch_norm_is_the_documented_exception():
  found = differences(fit('batch_norm', 1), fit('batch_norm', 3))
  assert max(found.values()) > 1e-3


def test_statistics_advance_once_in_a_step():
  """A moving average of 0.99 keeps 0.99 of its value, with any split."""
  stats = [fit('vq', n, steps=1)['stats'] for n in (1, 2, 6)]
  sums = [
    float(x['codebook']['autoencoder']['bottleneck']['recent_count'].sum())
    for x in stats
  ]
  np.testing.assert_allclose(sums, 0.01 * VIDEO.size, rtol=1e-5)
  weights = [
    float(x['latent_moments']['autoencoder']['moments']['weight'])
    for x in stats
  ]
  np.testing.assert_allclose(weights, weights[0], rtol=1e-5)


def test_a_statistic_needs_a_name_of_its_own():
  class Twice(nn.Module):
    @nn.compact
    def __call__(self, x):
      batch_statistics.total(self, 'sum', x)
      return batch_statistics.total(self, 'sum', x)

  module = Twice()
  assert float(module.apply({}, jnp.float32(2))) == 2
  with pytest.raises(ValueError, match="batch statistic 'sum' twice"):
    module.apply({}, jnp.float32(2), mutable=[batch_statistics.COLLECTION])

"""VAEs that are linear, so that their likelihoods are known."""

import functools

import flax.linen as nn
import jax
import numpy as np

from tests import arrays
from tests import compiled
from vgen_jax.families.autoencoding import vae
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

"""Autoencoders and critics with one or two parameters, for tests."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from tests import compiled
from vgen_jax.families.autoencoding import tokenizer
from vgen_jax.nn.bottlenecks import autoencoder

SHAPE = (2, 1, 1, 1)
NOISE = {'noise': jax.random.key(7)}


class Identity(nn.Module):
  """A bottleneck that is the identity, with a loss of 3."""

  num_codes: int = 0

  def __call__(self, encoded_bthwe, key_b, *, train):
    terms = {'constant': jnp.float32(3)}
    return autoencoder.BottleneckOutput(encoded_bthwe, jnp.float32(3), terms)


class Scale(nn.Module):
  """Multiplies by a parameter."""

  start: float

  @nn.compact
  def __call__(self, x_bthwc):
    start = nn.initializers.constant(self.start)
    return x_bthwc * self.param('kernel', start, (1,) * x_bthwc.ndim)


class Decoder(nn.Module):
  start: float

  def setup(self):
    self.out = Scale(self.start)

  def __call__(self, x_bthwc):
    return self.out(x_bthwc)


class DeepDecoder(nn.Module):
  def setup(self):
    self.hidden, self.out = nn.Dense(4), nn.Dense(1)

  def __call__(self, x_bthwc):
    return self.out(nn.silu(self.hidden(x_bthwc)))


class Doubler(autoencoder.Autoencoder):
  """The latents are twice the pixels; the decoder scales by a parameter."""

  start: float = 0.25
  is_deep: bool = False

  def setup(self):
    super().setup()
    self.bottleneck = Identity()
    self.decoder = DeepDecoder() if self.is_deep else Decoder(self.start)

  def encode(self, video_bthwc, *, train=False):
    return 2 * video_bthwc

  def decode(self, latent_bthwd, *, train=False):
    return self.decoder(latent_bthwd)


class Slope(nn.Module):
  """The logit is a parameter times the mean brightness."""

  start: float = 2.0

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    slope = self.param('slope', nn.initializers.constant(self.start), ())
    return slope * video_bthwc.mean(axis=(1, 2, 3, 4))[:, None]


class Hidden(nn.Module):
  """A critic with a hidden layer."""

  width: int

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    video_bd = video_bthwc.reshape(len(video_bthwc), -1)
    return nn.Dense(1)(nn.silu(nn.Dense(self.width)(video_bd)))


def make(**fields) -> tokenizer.Autoencoding:
  part = fields.pop('autoencoder', Doubler())
  return tokenizer.Autoencoding(SHAPE, part, **fields)


def batch_of(grey_b, step: int = 0):
  grey = jnp.asarray(grey_b, jnp.float32)[:, None, None, None, None]
  step_b = jnp.full(len(grey_b), step)
  return {'video': jnp.broadcast_to(grey, (len(grey), *SHAPE)), 'step': step_b}


def run(model, batch, player='autoencoder', train=True, stats=None):
  """Returns the loss, its terms, its gradients, and the new statistics."""
  rngs = {'params': jax.random.key(0), **NOISE}
  variables = dict(compiled.init(model, rngs, batch))
  params = variables.pop('params')
  stats = variables if stats is None else stats

  grad_fn = _value_and_grad(model, player, train)
  (loss, (terms, changed)), grads = grad_fn(params, stats, batch)
  return loss, terms, grads, changed


@compiled.once
def _value_and_grad(model, player, train):
  def loss_fn(params, stats, batch):
    (loss, terms), changed = model.apply(
      {'params': params, **stats},
      batch,
      player=player,
      train=train,
      method='loss',
      rngs=NOISE,
      mutable=list(stats),
    )
    return loss, (terms, changed)

  return compiled.jit(jax.value_and_grad(loss_fn, has_aux=True))


# Pixels .8 and .4 are reconstructed as .4 and .2: errors are .4 and .2.
BATCH = batch_of([0.8, 0.4])

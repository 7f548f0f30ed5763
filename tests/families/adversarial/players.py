"""Generators and critics with one parameter, for tests of gan.py."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tests import compiled
from vgen_jax.families.adversarial import gan

SHAPE = (2, 1, 1, 1)
NOISE = {'noise': jax.random.key(7)}


class Constant(nn.Module):
  """Makes clips of one grey level: a parameter plus a tenth of the label."""

  start: float = 0.5

  @nn.compact
  def __call__(self, key_b, condition, *, train):
    grey = self.param('grey', nn.initializers.constant(self.start), ())
    grey_b = jnp.full(len(key_b), grey)
    if 'label' in condition:
      grey_b += condition['label'] / 10
    return jnp.broadcast_to(
      grey_b[:, None, None, None, None], (len(key_b), *SHAPE)
    )


class Slope(nn.Module):
  """The logit is a parameter times the mean grey; counts training calls."""

  start: float = 2.0

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    slope = self.param('slope', nn.initializers.constant(self.start), ())
    calls = self.variable('batch_stats', 'calls', lambda: jnp.zeros(()))
    calls.value = calls.value + train
    return slope * video_bthwc.mean(axis=(1, 2, 3, 4))[:, None]


class Reader(nn.Module):
  """The logit is the given label; the predicted class ten times the grey."""

  sure: float = 50.0

  def __call__(self, video_bthwc, condition, key_b, *, train):
    digit_b = jnp.round(10 * video_bthwc.mean(axis=(1, 2, 3, 4)))
    class_logit_bk = self.sure * (digit_b[:, None] == jnp.arange(4)[None])
    label_b = condition.get('label', jnp.zeros(len(video_bthwc)))
    return label_b.astype(jnp.float32), class_logit_bk


class Squared(nn.Module):
  """The logit is a parameter times the mean squared grey."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    slope = self.param('slope', nn.initializers.ones, ())
    return slope * jnp.square(video_bthwc).mean(axis=(1, 2, 3, 4))


class Continued(nn.Module):
  """Adds a parameter to the first known frame, and repeats the result."""

  @nn.compact
  def __call__(self, key_b, condition, *, train):
    shift = self.param('shift', nn.initializers.constant(0.5), ())
    known_bthwc = condition['known_video']
    video = jnp.broadcast_to(known_bthwc[:, :1] + shift, (len(key_b), *SHAPE))
    return video, {'shift': jnp.full(len(key_b), jnp.square(shift))}


class Spoken(nn.Module):
  """Makes frames whose grey is a parameter plus the audio of the frame."""

  audio_bands: int = 1

  @nn.compact
  def __call__(self, key_b, condition, *, train):
    grey = self.param('grey', nn.initializers.constant(0.25), ())
    grey_bt = (
      grey + condition.get('audio', jnp.zeros((len(key_b), 2, 1)))[..., 0]
    )
    return grey_bt[:, :, None, None, None]


def make(critic=None, **fields) -> gan.GAN:
  generator = fields.pop('generator', Constant())
  return gan.GAN(SHAPE, generator, critic or {'clip': Slope()}, **fields)


def batch_of(grey_b, **more):
  grey = jnp.asarray(grey_b, jnp.float32)[:, None, None, None, None]
  return {'video': jnp.broadcast_to(grey, (len(grey), *SHAPE)), **more}


def run(model, batch, player, method='loss', train=True):
  """Returns the loss, its terms, its gradients, and the new statistics."""
  rngs = {'params': jax.random.key(0), **NOISE}
  variables = compiled.init(model, rngs, batch)
  stats = variables.get('batch_stats', {})

  grad_fn = _value_and_grad(model, player, method, train)
  params = variables.get('params', {})
  (loss, (terms, changed)), grads = grad_fn(params, stats, batch)
  return loss, terms, grads, changed


@compiled.once
def _value_and_grad(model, player, method, train):
  def loss_fn(params, stats, batch):
    (loss, terms), changed = model.apply(
      {'params': params, 'batch_stats': stats},
      batch,
      player=player,
      train=train,
      method=method,
      rngs=NOISE,
      mutable=['batch_stats'],
    )
    return loss, (terms, changed)

  return compiled.jit(jax.value_and_grad(loss_fn, has_aux=True))


def softplus(x):
  return float(np.log1p(np.exp(x)))

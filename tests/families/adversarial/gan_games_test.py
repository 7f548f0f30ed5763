"""Tests of gan.py that train players of one parameter to convergence."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import compiled
from vgen_jax.core import random
from vgen_jax.families.adversarial import gan
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib

SHAPE = (2, 1, 1, 1)


class Point(nn.Module):
  """Generates clips of one grey level, a parameter, plus noise."""

  noise: float = 0.0

  @nn.compact
  def __call__(self, key_b, condition, *, train):
    grey = self.param('grey', nn.initializers.constant(0.5), ())
    return jnp.broadcast_to(
      grey + self.noise * random.normal(key_b, (1, 1, 1, 1)),
      (len(key_b), *SHAPE),
    )


class Line(nn.Module):
  """The logit is a parameter times the mean grey level."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    slope = self.param('slope', nn.initializers.zeros, ())
    return slope * video_bthwc.mean(axis=(1, 2, 3, 4))


def batch_of(grey_b):
  grey = jnp.asarray(grey_b, jnp.float32)[:, None, None, None, None]
  return {'video': jnp.broadcast_to(grey, (len(grey), *SHAPE))}


def train(model, batches, learning_rate: float, num_steps: int):
  """Returns the generator's grey level after each train step."""
  optimizers = {player: optax.sgd(learning_rate) for player in model.players}
  batch = jax.tree.map(lambda x: x[0], batches)
  state = state_lib.create(model, optimizers, (), batch, seed=0)
  train_step = step_lib.make_train_step(model, optimizers)

  def body(state, batch):
    state, metrics = train_step(state, batch)
    return state, (state.params['generator']['grey'], metrics)

  return compiled.jit(lambda s: jax.lax.scan(body, s, batches, num_steps)[1])(
    state
  )


def dirac_gan(**fields):
  """Trains with data of one point and a linear critic (Mescheder et al.)."""
  batches = {'video': jnp.zeros((600, 2, *SHAPE))}
  model = gan.GAN(
    SHAPE,
    critic={'line': Line()},
    simultaneous=True,
    generator=Point(),
    **fields,
  )
  return train(model, batches, 0.1, 600)


def test_without_a_penalty_the_dirac_gan_oscillates():
  grey, _ = dirac_gan()
  assert np.abs(grey[-100:]).max() > 0.4


@pytest.mark.parametrize('every', [1, 2])
def test_r1_makes_the_dirac_gan_converge(every: int):
  grey, metrics = dirac_gan(
    penalty_kind='r1', penalty_weight=1.0, penalty_every=every
  )
  assert np.abs(grey[-100:]).max() < 0.02
  if every > 1:
    lazy = metrics['critic_line_penalty/penalty']
    assert np.array_equal(np.isnan(lazy), np.arange(600) % 2 == 1)


def test_learns_the_mean_of_a_gaussian():
  rng = np.random.default_rng(0)
  greys = rng.normal(-0.3, 0.1, (400, 16))
  batches = jax.vmap(batch_of)(jnp.asarray(greys))
  model = gan.GAN(
    SHAPE,
    generator=Point(noise=0.1),
    critic={'line': Line()},
    penalty_kind='r1',
    num_critic_updates=2,
  )
  grey, _ = train(model, batches, 0.1, 400)
  assert grey[-100:].mean() == pytest.approx(-0.3, abs=0.03)

"""A small GPT trained on a Markov chain reaches the entropy of the chain.

A sprite moves around a ring of four positions, in a direction that no single
frame shows; before each step it reverses with probability 0.1. So the first
frame has 2 bits, the second 1, and each later one the entropy of reversing.
Models without memory, copies and guesses need more bits.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import compiled
from vgen_jax.families.codes import autoregressive
from vgen_jax.models import videogpt

GRID = (8, 2, 2)
REVERSAL = 0.1
RING = np.array([0, 1, 3, 2])  # Positions of the grid, clockwise.
REVERSAL_BITS = -(
  REVERSAL * math.log2(REVERSAL) + (1 - REVERSAL) * math.log2(1 - REVERSAL)
)
BITS_PER_FRAME = (2 + 1 + 6 * REVERSAL_BITS) / 8


def clips(key, num_clips: int) -> jax.Array:
  """Samples codes, 1 where the sprite is and 0 elsewhere."""
  start_key, direction_key, reversal_key = jax.random.split(key, 3)
  start_b = jax.random.randint(start_key, (num_clips, 1), 0, 4)
  direction_b = 2 * jax.random.bernoulli(direction_key, 0.5, (num_clips, 1)) - 1
  reverses_bt = jax.random.bernoulli(
    reversal_key, REVERSAL, (num_clips, GRID[0] - 2)
  )
  signs_bt = jnp.cumprod(1 - 2 * reverses_bt, axis=1)
  steps_bt = jnp.concatenate(
    [0 * direction_b, direction_b, direction_b * signs_bt], axis=1
  )
  position_bt = (start_b + jnp.cumsum(steps_bt, axis=1)) % 4
  return jax.nn.one_hot(jnp.asarray(RING)[position_bt], 4, dtype=int).reshape(
    -1, *GRID
  )


class Guess(nn.Module):
  """Predicts one sprite in each frame, with fixed step probabilities."""

  probabilities: tuple[float, ...]  # Of steps 0, 1, 2, 3 on the ring.
  num_codes: int = 2

  def __call__(self, codes_bthw, condition, *, train, window=None):
    ring_bts = codes_bthw.reshape(*codes_bthw.shape[:2], 4)[..., RING]
    step_s = jnp.array(self.probabilities)
    step_ss = jnp.stack([jnp.roll(step_s, i) for i in range(4)])
    next_bts = (ring_bts @ step_ss)[:, :-1]
    next_bts = jnp.concatenate([0 * next_bts[:, :1] + 0.25, next_bts], axis=1)
    next_bts = next_bts[..., RING]  # The ring's order is its own inverse.
    sprite_bts = codes_bthw.reshape(next_bts.shape)
    gone_bts = jnp.cumsum(sprite_bts, -1) - sprite_bts  # Earlier in this frame.
    left_bts = jnp.cumsum(next_bts[..., ::-1], -1)[..., ::-1]
    here_bts = (next_bts / left_bts).clip(1e-9, 1 - 1e-9)
    here_bts = jnp.where(gone_bts > 0, 1e-9, here_bts)
    logits = jnp.log(jnp.stack([1 - here_bts, here_bts], -1))
    return logits.reshape(*codes_bthw.shape, 2)


def bits(model, variables) -> float:
  """Returns bits per frame on clips that were not in training."""
  loss = lambda variables, codes: model.apply(
    variables,
    {'codes': codes},
    player='transformer',
    train=False,
    method='loss',
    rngs={'noise': jax.random.key(0)},
  )
  _, terms = compiled.jit(loss)(variables, clips(jax.random.key(9), 2048))
  return float(terms['bits_per_frame'])


@pytest.fixture(scope='module')
def trained():
  """A GPT after 500 steps of 64 clips, and its parameters."""
  net = videogpt.VideoGPT(2, 32, 2, 2, positions='rotary', dropout=0.0)
  model = autoregressive.Autoregressive((*GRID, 1), net, window=4)
  batch = lambda i: {
    'codes': clips(jax.random.fold_in(jax.random.key(1), i), 64)
  }
  rngs = {'params': jax.random.key(2), 'noise': jax.random.key(3)}
  optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, 500))

  @compiled.jit
  def train(variables):
    def step(carry, i):
      variables, state = carry
      loss = lambda v: model.apply(
        v, batch(i), player='transformer', train=True, method='loss',
        rngs={'noise': jax.random.key(0), 'dropout': jax.random.key(0)},
      )[0]  # fmt: skip
      updates, state = optimizer.update(jax.grad(loss)(variables), state)
      return (optax.apply_updates(variables, updates), state), None

    carry = (variables, optimizer.init(variables))
    return jax.lax.scan(step, carry, jnp.arange(500))[0][0]

  return model, train(compiled.init(model, rngs, batch(0)))


@pytest.mark.slow
def test_bits_per_frame_are_the_entropy(trained):
  assert bits(*trained) == pytest.approx(BITS_PER_FRAME, rel=0.05)


@pytest.mark.parametrize(
  ('probabilities', 'least'),
  [
    ((0.25, 0.25, 0.25, 0.25), 2.0),  # Independent frames.
    ((0.0, 0.5, 0.0, 0.5), 9 / 8),  # One frame of memory, without direction.
    ((0.97, 0.01, 0.01, 0.01), 5.0),  # A copy of the last frame.
    ((0.0, 0.97, 0.0, 0.03), 1.5),  # Always clockwise: half of all clips.
  ],
)
def test_simpler_models_need_more_bits(probabilities, least):
  model = autoregressive.Autoregressive((*GRID, 1), Guess(probabilities))
  found = bits(model, {})
  assert found >= least - 0.01
  assert found > 1.05 * BITS_PER_FRAME


@pytest.mark.slow
def test_predictions_depend_on_more_than_the_last_frame(trained):
  """The last frame is the same, reached from the left and from the right."""
  model, variables = trained
  ring = np.array([[0, 1, 2, 3], [2, 1, 0, 3], [0, 3, 2, 3]])
  ring[2] = [0, 1, 0, 3]  # It reversed, and now moves in the other direction.
  codes = jax.nn.one_hot(jnp.asarray(RING)[ring], 4, dtype=int)
  codes = jnp.pad(codes.reshape(3, 4, 2, 2), ((0, 0), (0, 4), (0, 0), (0, 0)))
  num = 200
  known = jnp.tile((jnp.arange(8) < 4).reshape(1, 8, 1, 1), (num, 1, 2, 2))
  sample = compiled.jit(lambda v, k, c: model.apply(v, k, c, method='sample'))
  fractions = []
  for clip in codes:
    condition = {
      'known_codes': jnp.tile(clip[None], (num, 1, 1, 1)),
      'known': known,
    }
    codes = sample(
      variables, jax.random.split(jax.random.key(4), num), condition
    )
    np.testing.assert_array_equal(codes[:, :4], condition['known_codes'][:, :4])
    frame = np.asarray(codes[:, 4]).reshape(num, 4)[:, RING]
    fractions.append(frame[:, 0].mean())  # Of continuing from 3 to 0.
  expected = [1 - REVERSAL, REVERSAL, REVERSAL]
  np.testing.assert_allclose(fractions, expected, atol=0.1)


@pytest.mark.slow
def test_a_rollout_four_times_as_long_follows_the_chain(trained):
  """Attention covers four frames: still one sprite and few reversals."""
  model, variables = trained
  model = model.clone(num_frames=32)
  sample = compiled.jit(lambda v, k: model.apply(v, k, {}, method='sample'))
  codes = sample(variables, jax.random.split(jax.random.key(5), 100))
  ring_bts = np.asarray(codes).reshape(100, 32, 4)[..., RING]
  assert (ring_bts.sum(-1) == 1).mean() > 0.99
  step_bt = np.diff(ring_bts.argmax(-1), axis=1) % 4
  late_bt = step_bt[:, 10:]
  assert np.isin(late_bt, (1, 3)).mean() > 0.98
  reversed_share = (late_bt[:, 1:] != late_bt[:, :-1]).mean()
  assert reversed_share == pytest.approx(REVERSAL, abs=0.05)

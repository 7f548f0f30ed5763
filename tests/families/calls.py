"""Calls of models with one player, for tests."""

import jax

from tests import arrays
from tests import compiled

KEY_B = arrays.keys(6, 1)


def loss(model, batch, variables=None, train=True):
  """Returns the loss of the only player of a model, and its terms."""
  (player,) = model.players
  return compiled.apply(
    model,
    variables or {},
    batch,
    player=player,
    train=train,
    method='loss',
    rngs={'noise': jax.random.key(1)},
  )


def generate(model, key_b=KEY_B, condition=None, variables=None):
  """Returns generated clips or codes, one for each key."""
  return compiled.apply(
    model, variables or {}, key_b, condition or {}, method='sample'
  )

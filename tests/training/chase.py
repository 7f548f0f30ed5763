"""A model with two players whose steps can be computed by hand."""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel

BATCH = {'video': jnp.zeros((4, 1, 1, 1, 1))}


class Scalar(nn.Module):
  """One parameter, 1 before training; counts its calls in a statistic."""

  @nn.compact
  def __call__(self):
    calls = self.variable('batch_stats', 'calls', lambda: jnp.zeros(()))
    if self.is_mutable_collection('batch_stats') and not self.is_initializing():
      calls.value += 1
    return self.param('value', nn.initializers.ones, ())


class Chase(VideoModel):
  """`cat` approaches `mouse`, `mouse` evades `cat`, `cheese` is not trained."""

  cat: nn.Module
  mouse: nn.Module
  cheese: nn.Module
  order: tuple[Update, ...] = (Update('cat'), Update('mouse'))

  @property
  def updates(self):
    return self.order

  def loss(self, batch, *, player, train):
    gap = self.cat() - 2 * self.mouse() + 0 * self.cheese()
    return (gap**2 if player == 'cat' else gap), {'gap': gap}

  def penalty(self, batch, *, player, train):
    return 0.5 * self.cat() ** 2, {}

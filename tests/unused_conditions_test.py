"""Tests of unused_conditions.py with networks that cheat."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import unused_conditions
from vgen_jax.config import sections
from vgen_jax.core.types import Schema
from vgen_jax.families.diffusion import denoising
from vgen_jax.families.diffusion import solvers
from vgen_jax.runtime import sharding
from vgen_jax.training import state as state_lib


class Network(nn.Module):
  """A network that uses its label, ignores it, or multiplies it by zero."""

  how: str
  num_classes: int = 3

  @nn.compact
  def __call__(self, video_bthwc, time_b, condition, *, train):
    label_b = condition['label']
    shift_bd = nn.Embed(self.num_classes + 1, 3)(label_b)
    if self.how == 'ignores':
      shift_bd = nn.Embed(self.num_classes + 1, 3)(jnp.zeros_like(label_b))
    elif self.how == 'multiplies by zero':
      shift_bd *= 0
    return nn.Dense(3)(video_bthwc) + shift_bd[:, None, None, None]


@pytest.mark.parametrize(
  ('how', 'unused'),
  [('uses', []), ('ignores', ['label']), ('multiplies by zero', ['label'])],
)
def test_a_network_that_ignores_its_label_is_detected(how, unused):
  schema = Schema((2, 4, 4, 3), num_classes=3)
  model = denoising.Diffusion(
    clip_shape=schema.clip_shape,
    denoiser=Network(how),
    num_classes=3,
    solver=solvers.Euler(num_steps=1),
  )
  rng = np.random.default_rng(0)
  batch = {
    'video': rng.integers(0, 256, (4, *schema.clip_shape)).astype(np.uint8),
    'label': np.arange(4, dtype=np.int32) % 3,
  }
  optimizers = {'denoiser': optax.sgd(0.1)}
  state = state_lib.create(model, optimizers, (), batch, 0)
  sample = jax.jit(
    lambda state, key_b, condition: model.apply(
      state.variables(), key_b, condition, method='sample'
    )
  )
  mesh = sharding.make_mesh(sections.Mesh(data=1))
  found = unused_conditions.find(model, state, batch, sample, 3, mesh)
  assert found == unused

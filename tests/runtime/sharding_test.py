"""Tests of runtime/sharding.py: results do not depend on the mesh."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
import numpy as np
import optax
import pytest

from vgen_jax.config import sections
from vgen_jax.core import random
from vgen_jax.families import base
from vgen_jax.nn import batch_sharding
from vgen_jax.runtime import sharding
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib

TENSOR_RULES = (
  ('wide/kernel', (None, 'tensor')),
  ('narrow/kernel', ('tensor', None)),
)
MESHES = {
  'one': sections.Mesh(1),
  'dp': sections.Mesh(8),
  'fsdp': sections.Mesh(1, 8),
  'tp': sections.Mesh(2, 1, 4),
  'product': sections.Mesh(2, 2, 2),
}


class Net(nn.Module):
  """An MLP whose kernels can be sharded, with batch norm over the batch."""

  @nn.compact
  def __call__(self, video_bd, *, train):
    video_bd = batch_sharding.constrain(video_bd)
    hidden = nn.silu(nn.Dense(64, name='wide')(video_bd))
    hidden = nn.BatchNorm(use_running_average=not train)(hidden)
    return batch_sharding.constrain(nn.Dense(48, name='narrow')(hidden))


class Denoise(base.VideoModel):
  """Predicts the noise that is added to each clip."""

  net: nn.Module

  @property
  def updates(self):
    return (base.Update('net'),)

  def loss(self, batch, *, player, train):
    video_bd = batch['video'].reshape(len(batch['video']), -1)
    noise_bd = random.normal(self.clip_keys(batch), video_bd.shape[1:])
    error_bd = self.net(video_bd + noise_bd, train=train) - noise_bd
    return jnp.square(error_bd).mean(), {}


@functools.cache
def train(name: str, accumulate: int = 1, steps: int = 4):
  mesh = sharding.make_mesh(MESHES[name])
  model = Denoise((1, 4, 4, 3), Net())
  optimizers = {'net': optax.sgd(0.1, momentum=0.9)}
  batch = {
    'video': np.random.default_rng(0).integers(
      0, 255, (16, 1, 4, 4, 3), np.uint8
    )
  }
  init = lambda: state_lib.create(model, optimizers, ('slow',), batch, 0)
  layout = sharding.of_state(
    mesh, jax.eval_shape(init), sharding.rules_of(model)
  )
  state = jax.jit(init, out_shardings=layout)()
  step = step_lib.make_train_step(
    model,
    optimizers,
    averages={'slow': {'decay': 0.9}},
    accumulate=accumulate,
  )
  step = jax.jit(
    batch_sharding.on_mesh(mesh, step), out_shardings=(layout, None)
  )
  batch = jax.device_put(batch, sharding.of_batch(mesh))
  for _ in range(steps):
    state, metrics = step(state, batch)
  return state, metrics, layout


@pytest.fixture(autouse=True)
def _shard_small_arrays(monkeypatch):
  monkeypatch.setattr(sharding, '_MIN_SIZE_TO_SHARD', 256)


@pytest.fixture(scope='module')
def single():
  return train('one')


@pytest.mark.parametrize('name', ['dp', 'fsdp', 'tp', 'product'])
def test_many_devices_give_the_result_of_one(name: str, single):
  state, metrics, _ = train(name)
  plain = lambda s: s.replace(rng=0)
  for a, b in zip(
    jax.tree.leaves((plain(single[0]), single[1])),
    jax.tree.leaves((plain(state), metrics)),
    strict=True,
  ):
    np.testing.assert_allclose(np.asarray(b), np.asarray(a), atol=1e-6)


def test_the_same_noise_on_every_device_is_noticed(single, monkeypatch):
  """Keys by the position of a clip on its device, not in the batch."""
  keys = random.keys
  monkeypatch.setattr(random, 'keys', lambda key, p_b: keys(key, p_b % 2))
  state, _, _ = train.__wrapped__('dp')
  kernel = lambda s: np.asarray(s.params['net']['wide']['kernel'])
  assert np.abs(kernel(state) - kernel(single[0])).max() > 1e-4


def test_arrays_are_sharded_by_rules_and_size():
  _, _, layout = train('product')
  wide = layout.params['net']['wide']
  assert wide['kernel'].spec == P('fsdp', 'tensor')
  assert wide['bias'].spec == P(None)
  narrow = layout.params['net']['narrow']['kernel']
  assert narrow.spec == P('tensor', 'fsdp')
  # The optimizer state of a parameter is sharded as the parameter.
  momentum = layout.opt['net'][0].trace['narrow']['kernel']
  assert momentum.spec == narrow.spec
  assert layout.ema['slow']['net']['wide']['kernel'].spec == P('fsdp', 'tensor')


def test_a_device_holds_only_its_shard():
  state, _, _ = train('fsdp')
  kernel = state.params['net']['wide']['kernel']
  assert kernel.addressable_shards[0].data.size * 8 == kernel.size


def test_accumulation_and_sharding_together():
  state, _, _ = train('dp', accumulate=2, steps=1)
  again, _, _ = train('one', accumulate=2, steps=1)
  for a, b in zip(
    jax.tree.leaves(state.params), jax.tree.leaves(again.params), strict=True
  ):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6)


@pytest.mark.parametrize(
  ('axes', 'message'),
  [
    ((3, 1, 4), "'tensor': 4}, but there are 8 devices; the product of"),
    ((-1, 3, 1), 'the sizes other than -1, 3, must divide that number'),
    ((-1, -1, 1), 'and one may be -1'),
    ((0, 1, 1), 'each size must be 1 or more'),
  ],
)
def test_meshes_that_do_not_fit_are_reported(axes, message):
  with pytest.raises(ValueError, match=message):
    sharding.make_mesh(sections.Mesh(*axes))


def test_minus_one_takes_the_remaining_devices():
  mesh = sharding.make_mesh(sections.Mesh(-1, 2, 2))
  assert dict(mesh.shape) == {'data': 2, 'fsdp': 2, 'tensor': 2}
  assert sharding.num_batch_shards(mesh) == 4

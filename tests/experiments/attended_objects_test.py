"""Tests of experiments/zoo/attended_objects.py."""

import types

import jax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np
import pytest

from experiments.zoo import attended_objects
from tests import arrays
from tests import compiled
from vgen_jax.models import conv_critic
from vgen_jax.models import stgan
from vgen_jax.synthetic.world import source

SHAPE = (8, 16, 16, 3)


@pytest.fixture(scope='module')
def found() -> attended_objects.Attention:
  """Returns weights that are the area of the object at each position."""
  world = source.World(SHAPE, only={'shape': 'circle', 'size': 'large'})
  alpha = np.stack([world.truth(i).alpha_thw for i in range(32)])
  weight = alpha.reshape(32, 2, 4, 4, 4, 4, 4).mean(axis=(2, 4, 6))
  return attended_objects.Attention(weight, 1.0, alpha)


def test_the_right_weights_pass_and_cheats_do_not(found):
  best = attended_objects.ratio(found.weight_bthw, found.object_bthw)
  assert best > attended_objects.LEAST_RATIO
  limit = attended_objects.ratio(
    attended_objects.largest(found), found.object_bthw
  )
  assert best == pytest.approx(limit)
  for name, weight in attended_objects.cheats(found).items():
    value = attended_objects.ratio(weight, found.object_bthw)
    assert value < 0.7 * attended_objects.LEAST_RATIO, name


def test_random_weights_have_a_ratio_of_one(found):
  weight = np.random.default_rng(0).random((32, 8, 16, 16))
  value = attended_objects.ratio(weight, found.object_bthw)
  assert value == pytest.approx(1, abs=0.2)


def test_the_ratio_is_that_of_the_largest_weights():
  """Of 40 positions, 2 are attended; the object covers one of them by half."""
  weight = np.arange(40.0).reshape(1, 2, 4, 5)
  area = np.zeros((1, 2, 4, 10))  # Two columns for each weight.
  area[0, 1, 3, 8] = 1
  area[0, 0, 0, :3] = 1
  assert attended_objects.ratio(weight, area) == pytest.approx(0.25 / 0.05)


def test_all_layers_of_a_run_are_measured():
  shape = (8, 8, 8, 3)
  label = jnp.arange(3)
  networks = {
    'generator': stgan.Generator(shape, 4, latent_width=2, width=2),
    'critic_clip': conv_critic.ConvCritic(
      width=2, attention='additive', num_classes=4, norm='batch'
    ),
  }
  parts = {
    'generator': (arrays.keys(3), {'label': label}),
    'critic_clip': (jnp.zeros((3, *shape)), {}, arrays.keys(3)),
  }
  own = {
    name: compiled.init(network, jax.random.key(1), *parts[name], train=False)
    for name, network in networks.items()
  }
  variables = {
    kind: {name: x[kind] for name, x in own.items() if kind in x}
    for kind in ('params', 'batch_stats')
  }
  run = types.SimpleNamespace(
    model=types.SimpleNamespace(
      generator=networks['generator'],
      critic={'clip': networks['critic_clip']},
    ),
    state=types.SimpleNamespace(variables=lambda average: variables),
    config=config_dict.ConfigDict(
      {
        'sample_from': 'params',
        'clip_shape': shape,
        'data': {'name': 'synthetic.world.source.World'},
      }
    ),
    condition=lambda num: {'label': np.arange(num)},
  )
  found = attended_objects.generate(run, 3)
  assert found.keys() == {'generator, gate_0', 'critic clip, attention'}
  for attention in found.values():
    assert attention.gamma == 0
    np.testing.assert_allclose(
      attention.weight_bthw.sum(axis=(1, 2, 3)), 1, rtol=1e-5
    )
    assert attention.object_bthw.shape == (3, 8, 8, 8)

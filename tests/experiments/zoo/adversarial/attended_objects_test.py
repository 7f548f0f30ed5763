"""Tests of attended_objects.py."""

import types

import jax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np
import pytest

from experiments.zoo.adversarial import attended_objects
from tests import arrays
from tests import compiled
from vgen_jax.config import build
from vgen_jax.config import loading
from vgen_jax.models import conv_critic
from vgen_jax.models import stgan


@pytest.fixture(scope='module')
def found() -> attended_objects.Attention:
  """Returns weights that are the area of the object at each position."""
  config = loading.load('stgan_world:small')
  world = build.source(config.data.to_dict(), config.clip_shape)
  alpha = np.stack([world.truth(i).alpha_thw for i in range(64)])
  weight = alpha.reshape(64, 4, 2, 8, 2, 8, 2).mean(axis=(2, 4, 6))
  weight /= weight.sum(axis=(1, 2, 3), keepdims=True)
  return attended_objects.Attention(weight, 0.5, alpha)


def test_the_right_weights_pass_and_cheats_do_not(found):
  assert attended_objects.follows(found)
  for name, weight in attended_objects.cheats(found).items():
    cheat = found._replace(weight_bthw=weight)
    assert not attended_objects.finds(cheat), name
  for name, weight in attended_objects.unmoved(found).items():
    cheat = found._replace(weight_bthw=weight)
    assert not attended_objects.follows(cheat), name
  for gamma, passes in ((0.0, False), (-0.5, True)):
    other = found._replace(gamma=gamma)
    assert attended_objects.finds(other) == passes
    assert attended_objects.follows(other) == passes
  best = attended_objects.ratio(
    attended_objects.largest(found), found.object_bthw
  )
  assert best == pytest.approx(
    attended_objects.ratio(found.weight_bthw, found.object_bthw)
  )


def test_equal_weights_have_a_ratio_of_one(found):
  cheats = attended_objects.cheats(found)
  equal = attended_objects.ratio(cheats['equal'], found.object_bthw)
  assert equal == pytest.approx(1)
  no_object = np.zeros_like(found.object_bthw)
  assert attended_objects.ratio(found.weight_bthw, no_object) == 0


def test_the_ratio_averages_areas_with_the_weights():
  """The object covers one of 40 positions by half."""
  weight = np.full((1, 2, 4, 5), 0.5)
  weight[0, 1, 3, 4] = 20.5  # Half of the sum of 40.
  area = np.zeros((1, 2, 4, 10))  # Two columns for each weight.
  area[0, 1, 3, 8] = 1
  assert attended_objects.ratio(weight, area) == pytest.approx(20.5)
  found = attended_objects.Attention(weight / 40, -0.1, area)
  assert attended_objects.effect(found) == pytest.approx(0.1 * 20)


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

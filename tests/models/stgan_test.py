"""Tests of models/stgan.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import conv_critic
from vgen_jax.models import stgan
from vgen_jax.models import vgan
from vgen_jax.nn.attention import space_time

KEYS = arrays.keys(4)
SHAPE = (4, 16, 16, 3)
LABEL = np.array([0, 1, 2, 0])


def generator(**fields) -> stgan.Generator:
  return stgan.Generator(SHAPE, **{'width': 4, 'latent_width': 5} | fields)


def init(network, condition):
  return compiled.init(network, jax.random.key(1), KEYS, condition, train=False)


def run(network, variables, condition=None) -> jax.Array:
  return compiled.apply(network, variables, KEYS, condition or {}, train=False)


def with_gamma(params, gamma: float):
  """Returns parameters in which the factor of each gate has this value."""
  return jax.tree_util.tree_map_with_path(
    lambda path, x: x * 0 + gamma if 'gamma' in str(path[-1]) else x, params
  )


def test_clips_depend_on_their_own_noise_and_label():
  network = generator(num_classes=3)
  variables = init(network, {'label': LABEL})
  variables['params'] = with_gamma(variables['params'], 1.0)
  apply = compiled.jit(
    lambda keys, label: network.apply(
      variables, keys, {'label': label}, train=False
    )
  )
  video = apply(KEYS, LABEL)
  assert video.shape == (4, *SHAPE)
  assert np.abs(video).max() <= 1
  other = apply(KEYS, arrays.put(LABEL, 2, 0))
  differs_b = np.abs(other - video).max(axis=(1, 2, 3, 4)) > 1e-3
  assert differs_b.tolist() == [False, False, True, False]
  assert not np.allclose(video[0], video[3], atol=1e-3)


def test_attention_starts_as_the_identity():
  """Before training, gates change nothing; later each of them does."""
  plain, network = generator(attention=False), generator()
  variables = init(network, {})
  shared = {
    name: x for name, x in variables['params'].items() if 'gate' not in name
  }
  stats = variables['batch_stats']
  without = run(plain, {'params': shared, 'batch_stats': stats})
  video = run(network, variables)
  np.testing.assert_allclose(video, without, atol=1e-6)
  for name in ('gate_0', 'gate_1'):
    params = variables['params']
    params = {**params, name: with_gamma(params[name], 1.0)}
    changed = run(network, {**variables, 'params': params})
    assert not np.allclose(changed, video, atol=1e-3)


def test_weights_of_each_level_are_over_space_and_time():
  network = generator()
  kind = space_time.AdditiveWeights
  apply = lambda variables: network.apply(
    variables,
    KEYS,
    {},
    train=False,
    capture_intermediates=lambda module, _: isinstance(module, kind),
  )
  _, state = compiled.jit(apply)(init(network, {}))
  for name, shape in (('gate_0', (1, 4, 4)), ('gate_1', (2, 8, 8))):
    (weight,) = state['intermediates'][name]['weights']['__call__']
    assert weight.shape == (4, *shape)
    np.testing.assert_allclose(weight.sum(axis=(1, 2, 3)), 1, atol=1e-5)


def test_without_attention_it_has_the_parameters_of_vgans_foreground():
  counts = []
  for network in (
    generator(attention=False),
    vgan.Generator(SHAPE, streams='one', width=4, latent_width=5),
  ):
    tree = jax.eval_shape(
      lambda network=network: network.init(
        jax.random.key(1), KEYS, {}, train=False
      )
    )
    counts.append(sum(x.size for x in jax.tree.leaves(tree['params'])))
  assert counts[0] == counts[1]


@pytest.mark.parametrize('attention', conv_critic.ATTENTIONS[1:])
def test_critics_with_attention_start_as_those_without(attention: str):
  video = arrays.normal((4, 4, 8, 8, 3), 2)
  network = conv_critic.ConvCritic(width=4, attention=attention)
  call = lambda network, variables: network.apply(
    variables, video, {}, KEYS, train=False
  )
  variables = compiled.init(
    network, jax.random.key(3), video, {}, KEYS, train=False
  )
  plain = conv_critic.ConvCritic(width=4)
  rest = {k: x for k, x in variables['params'].items() if k != 'attention'}
  without = compiled.jit(lambda v: call(plain, v))({'params': rest})
  logits = compiled.jit(lambda v: call(network, v))
  np.testing.assert_allclose(logits(variables), without, atol=1e-6)
  changed = logits({'params': with_gamma(variables['params'], 1.0)})
  assert not np.allclose(changed, without, atol=1e-4)


def test_clips_are_float32_if_products_are_bfloat16():
  network = generator(dtype='bfloat16')
  video, _ = jax.eval_shape(
    lambda: network.init_with_output(jax.random.key(1), KEYS, {}, train=False)
  )
  assert video.dtype == jnp.float32


@pytest.mark.parametrize(
  ('shape', 'fields', 'match'),
  [
    ((3, 8, 8, 3), {}, 'number of frames'),
    ((4, 8, 16, 3), {}, '8 x 16'),
    (SHAPE, dict(latent_width=0), 'latent_width is 0'),
    (SHAPE, dict(norm='layer'), "norm is 'layer'"),
  ],
)
def test_wrong_fields(shape, fields, match: str):
  with pytest.raises(ValueError, match=match):
    stgan.Generator(shape, **fields)


def test_labels_must_fit():
  with pytest.raises(ValueError, match='num_classes of stgan'):
    init(generator(), {'label': LABEL})

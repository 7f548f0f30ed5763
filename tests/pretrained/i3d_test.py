"""Tests of pretrained/i3d.py against PyTorch.

Quick tests compare a network with an eighth of the channels to stored outputs.
Slow tests compare the full network, and run PyTorch if it is installed.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.pretrained import seeded
from vgen_jax.pretrained import features
from vgen_jax.pretrained import i3d
from vgen_jax.pretrained import torch_names

EPS = 1e-3
HALF_PIXEL = 'bilinear-half-pixel'
# Each fault below gives an error that is more than a hundred times as large.
ENOUGH = 1e-3


def clips(method: str = HALF_PIXEL) -> jax.Array:
  video_bthwc = jnp.array(seeded.clips(0, 4, 10, 40, 56))
  protocol = {'resize': method, 'side': 224, 'range': (-1.0, 1.0)}
  return features.prepare(video_bthwc, protocol)


def small(eps: float = EPS) -> i3d.I3D:
  return i3d.I3D(eps, num_classes=16, width=1 / 8)


def test_it_equals_pytorch_and_a_wrong_resize_does_not():
  state, wanted = seeded.load('i3d_small')
  variables, network = i3d.variables(state), jax.jit(small().apply)
  found = network(variables, clips()[:2])
  assert seeded.error(found['pooled'], wanted['pooled']) < ENOUGH
  assert seeded.error(found['logits'], wanted['logits']) < ENOUGH
  found = network(variables, clips('bilinear-tf1')[:2])
  assert seeded.error(found['logits'], wanted['logits']) > 100 * ENOUGH


@pytest.mark.slow  # The test above uses eps, too.
def test_another_eps_gives_another_result():
  state, wanted = seeded.load('i3d_small')
  found = jax.jit(small(1e-5).apply)(i3d.variables(state), clips()[:2])
  assert seeded.error(found['logits'], wanted['logits']) > 100 * ENOUGH


@pytest.mark.slow
def test_other_padding_of_pooling_gives_another_result(monkeypatch):
  state, wanted = seeded.load('i3d_small')
  # The padding of PyTorch, which is equal on both sides.
  around = lambda x, window, strides: i3d.nn.max_pool(
    x, window, strides, [(k // 2, k // 2) for k in window]
  )
  monkeypatch.setattr(i3d, 'max_pool', around)
  found = jax.jit(small().apply)(i3d.variables(state), clips()[:2])
  assert seeded.error(found['logits'], wanted['logits']) > 100 * ENOUGH


def hassons(name: str) -> str:
  """Returns the name in Hasson's port for a layer of Piergiovanni's port."""
  name = name.replace('logits', 'conv3d_0c_1x1').replace('.bn.', '.batch3d.')
  name = re.sub(r'^(Conv3d|Mixed)', lambda m: m[0].lower(), name)
  for ours, theirs in {
    'b0': 'branch_0',
    'b1a': 'branch_1.0',
    'b1b': 'branch_1.1',
    'b2a': 'branch_2.0',
    'b2b': 'branch_2.1',
    'b3b': 'branch_3.1',
  }.items():
    name = name.replace(f'.{ours}.', f'.{theirs}.')
  return name


def test_the_names_of_both_ports_are_known():
  state, _ = seeded.load('i3d_small')
  renamed = {hassons(name): array for name, array in state.items()}
  assert 'mixed_3b.branch_1.1.batch3d.running_var' in renamed
  assert 'conv3d_2c_3x3.conv3d.weight' in renamed
  assert not set(renamed) & set(state)
  jax.tree.map(
    np.testing.assert_array_equal,
    i3d.variables(renamed),
    i3d.variables(state),
  )


def initial(network, t: int, w: int):
  shape = jax.ShapeDtypeStruct((1, t, 224, w, 3), jnp.float32)
  return jax.eval_shape(network.init, jax.random.key(0), shape)


def test_it_needs_9_frames_of_224_pixels():
  for t, w in ((8, 224), (16, 112)):
    with pytest.raises(ValueError, match=f'{t} frames of 224 x {w}'):
      initial(small(), t, w)


@pytest.mark.slow
def test_it_has_the_published_number_of_parameters():
  made = initial(i3d.I3D(EPS), 9, 224)
  count = sum(x.size for x in jax.tree.leaves(made['params']))
  assert count == 12_697_264


@pytest.mark.slow
def test_the_full_size_equals_pytorch():
  state, wanted = seeded.load('i3d')
  network, x = i3d.I3D(EPS), clips()
  variables = torch_names.check_variables(network, i3d.variables(state), x)
  found = jax.jit(network.apply)(variables, x)
  assert seeded.error(found['logits'], wanted['logits']) < ENOUGH
  found = jax.jit(i3d.I3D(1e-5).apply)(variables, x)
  assert seeded.error(found['logits'], wanted['logits']) > 100 * ENOUGH

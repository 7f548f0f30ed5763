"""Tests of pretrained/inception.py: it is FID's network, not torchvision's.

Quick tests compare a network with an eighth of the channels to outputs of
PyTorch; the slow test compares the full network.
"""

import functools

import jax
import jax.numpy as jnp
import pytest

from tests.pretrained import seeded
from vgen_jax.pretrained import features
from vgen_jax.pretrained import inception
from vgen_jax.pretrained import torch_names

# Faults give errors that are more than a hundred times as large.
ENOUGH = 1e-3


def images(method: str = 'bilinear-half-pixel', **changed) -> jax.Array:
  video_b1hwc = jnp.array(seeded.clips(0, 6, 1, 60, 80))
  protocol = {'resize': method, 'side': 299, 'range': (-1.0, 1.0)} | changed
  return features.prepare(video_b1hwc, protocol)[:, 0]


def compiled():
  return jax.jit(inception.Inception(num_classes=16, width=1 / 8).apply)


once = functools.cache(compiled)


load = functools.cache(seeded.load)


def features_of(x_bhwc: jax.Array, network):
  """Returns features of three images, and those of PyTorch."""
  state, wanted = load('inception_small')
  return network(torch_names.variables(state), x_bhwc[:3]), wanted


def test_it_equals_pytorch():
  found, wanted = features_of(images(), once())
  for layer in ('pooled', 'logits', 'logits_unbiased'):
    assert seeded.error(found[layer], wanted[layer]) < ENOUGH
  assert seeded.error(found['logits'], wanted['logits_unbiased']) > 0.5


@pytest.mark.parametrize(
  'x',
  [
    {'method': 'bilinear-tf1'},
    {'method': 'bicubic-antialias'},
    {'range': (0.0, 1.0)},
  ],
  ids=str,
)
def test_other_input_gives_another_result(x):
  found, wanted = features_of(images(**x), once())
  assert seeded.error(found['pooled'], wanted['pooled']) > 100 * ENOUGH


def of_torchvision(x_bhwc):
  return inception.nn.avg_pool(x_bhwc, (3, 3), (1, 1), ((1, 1), (1, 1)))


@pytest.mark.slow  # The tests above compare pooling, too.
@pytest.mark.parametrize(
  ('name', 'other'),
  [('average_pool', of_torchvision), ('max_pool', None)],
  ids=['counts-padding', 'averages-last'],
)
def test_pooling_of_torchvision_gives_another_result(monkeypatch, name, other):
  if other is None:
    largest = inception.max_pool
    other = lambda x, stride=1: (
      largest(x, stride) if stride == 2 else inception.average_pool(x)
    )
  monkeypatch.setattr(inception, name, other)
  found, wanted = features_of(images(), compiled())
  assert seeded.error(found['pooled'], wanted['pooled']) > 100 * ENOUGH


def initial(side: int):
  shape = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  network = inception.Inception()
  return jax.eval_shape(network.init, jax.random.key(0), shape)


@pytest.mark.slow
def test_it_has_the_published_number_of_parameters():
  made = initial(299)
  count = sum(x.size for x in jax.tree.leaves(made['params']))
  assert count == 23_850_960


def test_images_of_another_size_are_an_error():
  with pytest.raises(ValueError, match='resize them to 299'):
    initial(256)


@pytest.mark.slow
def test_the_full_size_equals_pytorch():
  state, wanted = seeded.load('inception')
  variables, x = torch_names.variables(state), images()[:4]
  network = inception.Inception()
  variables = torch_names.check_variables(network, variables, x)
  found = jax.jit(network.apply)(variables, x)
  assert seeded.error(found['logits'], wanted['logits']) < ENOUGH
  other = inception.Inception(batch_norm_eps=1e-5)
  found = jax.jit(other.apply)(variables, x)
  assert seeded.error(found['logits'], wanted['logits']) > 100 * ENOUGH

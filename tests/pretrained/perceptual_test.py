"""Tests of pretrained/perceptual.py."""

import types

import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.pretrained import seeded
from vgen_jax.config import build
from vgen_jax.core.types import Schema
from vgen_jax.pretrained import lpips
from vgen_jax.pretrained import perceptual
from vgen_jax.pretrained import weights

SPEC = {
  'name': 'families.autoencoding.tokenizer.Autoencoding',
  'autoencoder': {
    'name': 'models.patch_tokenizer.PatchTokenizer',
    'bottleneck': {'name': 'nn.bottlenecks.lookup_free.FSQ', 'levels': (8, 8)},
    'patch_size': (1, 4, 4),
    'width': 8,
  },
  'perceptual': {'name': 'pretrained.perceptual.LPIPS', 'trunk': 'alex'},
}


@pytest.fixture
def loaded(monkeypatch):
  """Replaces the published weights by seeded ones."""
  state, _ = seeded.load('lpips_alex')
  heads = {k: abs(v) for k, v in state.items() if k.startswith('lin')}

  def load(name, folders=None):
    loaded = {'lpips-alex-trunk': state, 'lpips-alex': heads}[name]
    return types.SimpleNamespace(arrays=loaded)

  monkeypatch.setattr(weights, 'load', load)
  return lpips.variables('alex', state, heads)


def test_the_distance_of_a_clip_is_the_mean_over_frames(loaded):
  video_bthwc = np.float32(seeded.clips(0, 2, 3, 64, 64)) / np.float32(127.5)
  video_bthwc -= 1
  other_bthwc = video_bthwc[:, ::-1]
  distance = compiled.jit(perceptual.LPIPS('alex'))
  found_b = distance(video_bthwc, other_bthwc)
  frames = lambda x: x.reshape(-1, *x.shape[2:])
  wanted = compiled.call(
    lambda a, b: lpips.distance(loaded, 'alex', a, b),
    frames(video_bthwc),
    frames(other_bthwc),
  )
  wanted_b = wanted.reshape(found_b.shape[0], -1).mean(1)
  np.testing.assert_allclose(found_b, wanted_b, rtol=1e-4)
  np.testing.assert_array_equal(distance(video_bthwc, video_bthwc), 0)
  grey = video_bthwc[..., :1]
  np.testing.assert_allclose(
    distance(grey, grey[:, ::-1]),
    distance(np.repeat(grey, 3, -1), np.repeat(grey[:, ::-1], 3, -1)),
    rtol=1e-4,
  )


def test_a_config_can_select_it(loaded):
  """The autoencoder gets gradients from LPIPS, which adds no parameters."""
  model = build.model(SPEC, Schema((1, 32, 32, 3)))
  video = 2 * arrays.uniform((2, 1, 32, 32, 3)) - 1
  rngs = {'params': jax.random.key(1), 'noise': jax.random.key(2)}
  variables = compiled.init(model, rngs, {'video': video})
  assert set(variables['params']) == {'autoencoder'}

  def distance(params):
    _, terms = model.apply(
      {**variables, 'params': params},
      {'video': video},
      player='autoencoder',
      train=False,
      rngs=rngs,
      method='loss',
    )
    return terms['perceptual']

  value, gradient = compiled.call(
    jax.value_and_grad(distance), variables['params']
  )
  assert value > 0
  assert max(np.abs(x).max() for x in jax.tree.leaves(gradient)) > 0


def test_missing_weights_and_unknown_trunks_are_errors(tmp_path):
  with pytest.raises(weights.WeightsMissingError, match='vgg16'):
    perceptual.LPIPS(folders=[str(tmp_path)])
  with pytest.raises(ValueError, match="trunk is 'vg'"):
    perceptual.LPIPS('vg')

"""Tests of models/vgan.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.core import random
from vgen_jax.models import conv_critic
from vgen_jax.models import vgan

KEYS = arrays.keys(4)
SHAPE = (4, 8, 8, 3)
FRAMES = arrays.uniform((4, 1, 8, 8, 3), 4)


def generator(**fields) -> vgan.Generator:
  return vgan.Generator(SHAPE, **{'width': 4, 'latent_width': 5} | fields)


def init(network, *args, **kwargs):
  variables = compiled.init(network, jax.random.key(1), *args, **kwargs)
  # Larger kernels, so that dependencies are visible.
  return variables | {
    'params': jax.tree.map(lambda x: 2 * x, variables['params'])
  }


def apply(network, variables, *args, method=None):
  return compiled.apply(network, variables, *args, train=False, method=method)


def num_params(network, *args) -> int:
  shapes = jax.eval_shape(
    lambda: network.init(jax.random.key(0), *args, train=False)
  )
  return sum(x.size for x in jax.tree.leaves(shapes['params']))


def test_parameter_counts_equal_the_released_code():
  """The released code was counted by hand; comments explain differences."""
  shape = (32, 64, 64, 3)
  assert num_params(vgan.Generator(shape), KEYS, {}) == 16_245_383
  critic = conv_critic.ConvCritic(norm='batch')
  video = np.zeros((4, *shape))
  # The softmax of the code has two logits, where one is enough.
  second_logit = 2 * 4 * 4 * 512 + 1
  assert num_params(critic, video, {}, KEYS) == 11_057_858 - second_logit


def test_clips_are_composed_of_a_static_background_and_a_foreground():
  network = generator(norm='none')
  variables = init(network, KEYS, {}, train=False)
  latent_bd = random.normal(KEYS, (5,))
  layers = apply(network, variables, latent_bd, {}, method='layers')
  assert layers.back_bthwc.var(axis=1).max() == 0
  assert layers.front_bthwc.var(axis=1).max() > 1e-4
  assert 0 <= layers.mask_bthw.min() < layers.mask_bthw.max() <= 1
  video, penalties = apply(network, variables, KEYS, {})
  mask = layers.mask_bthw[..., None]
  expected = mask * layers.front_bthwc + (1 - mask) * layers.back_bthwc
  np.testing.assert_allclose(video, expected, atol=1e-6)
  np.testing.assert_allclose(
    penalties['mask'], 0.1 * layers.mask_bthw.mean(axis=(1, 2, 3)), rtol=1e-5
  )


def test_one_stream_is_the_foreground_alone():
  network = generator(streams='one', norm='none')
  variables = init(network, KEYS, {}, train=False)
  video = apply(network, variables, KEYS, {})
  latent_bd = random.normal(KEYS, (5,))
  layers = apply(network, variables, latent_bd, {}, method='layers')
  assert (video == layers.front_bthwc).all()
  assert (layers.mask_bthw == 1).all()
  two = init(generator(norm='none'), KEYS, {}, train=False)
  count = lambda tree: sum(x.size for x in jax.tree.leaves(tree['params']))
  assert count(variables) < count(two)


def test_clips_depend_on_their_own_noise_and_label_only():
  network = generator(num_classes=3, mask_weight=0.0)
  label_b = np.array([0, 1, 2, 0])
  variables = init(network, KEYS, {'label': label_b}, train=False)
  make = lambda keys, labels: apply(network, variables, keys, {'label': labels})
  video = make(KEYS, label_b)
  assert video.shape == (4, *SHAPE)
  assert not np.allclose(video[0], video[3], atol=1e-3)
  np.testing.assert_allclose(
    make(KEYS[2:3], label_b[2:3])[0], video[2], atol=1e-5
  )
  other = make(KEYS, arrays.put(label_b, 2, 0))
  assert not np.allclose(other[2], video[2], atol=1e-3)
  np.testing.assert_allclose(other[:2], video[:2], atol=1e-5)


@pytest.mark.parametrize('latent_width', [0, 5])
def test_first_frames_condition_clips(latent_width: int):
  network = generator(
    num_context=1, latent_width=latent_width, mask_weight=0.0, norm='none'
  )
  condition = {'known_video': FRAMES}
  variables = init(network, KEYS, condition, train=False)
  make = lambda keys, frames: apply(
    network, variables, keys, {'known_video': frames}
  )
  video = make(KEYS, FRAMES)
  assert video.shape == (4, *SHAPE)
  assert not np.allclose(make(KEYS, FRAMES[::-1]), video, atol=1e-3)
  # Without a latent code, as in the paper, the clip is determined by the frame.
  same_noise = np.allclose(make(KEYS[::-1], FRAMES), video, atol=1e-5)
  assert same_noise == (latent_width == 0)


@pytest.mark.parametrize(
  ('shape', 'fields', 'match'),
  [
    ((4, 8, 16, 3), {}, '8 x 16'),
    ((3, 8, 8, 3), {}, 'number of frames'),
    (SHAPE, dict(streams='three'), "streams is 'three'"),
    (SHAPE, dict(num_context=2), 'num_context is 2'),
    (SHAPE, dict(latent_width=0), 'latent_width is 0'),
  ],
)
def test_wrong_fields(shape, fields, match: str):
  with pytest.raises(ValueError, match=match):
    vgan.Generator(shape, **fields)


def test_labels_must_fit():
  with pytest.raises(ValueError, match='num_classes of vgan'):
    init(generator(), KEYS, {'label': np.zeros(4, jnp.int32)}, train=False)

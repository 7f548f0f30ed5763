"""Tests of models/dcgan.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import dcgan

KEYS = arrays.keys(3)
SHAPE = (4, 8, 8, 3)


def generator(**fields) -> dcgan.Generator:
  return dcgan.Generator(SHAPE, **{'width': 4, 'latent_width': 5} | fields)


def init(network, condition):
  return compiled.init(network, jax.random.key(1), KEYS, condition, train=False)


def run(network, variables, *args, method=None):
  return compiled.apply(network, variables, *args, train=False, method=method)


def test_a_frame_depends_on_its_own_code_only():
  """Permuted codes give permuted frames."""
  network = generator()
  variables = init(network, {})
  codes = network.codes(KEYS)
  video = run(network, variables, KEYS, {})
  assert video.shape == (3, *SHAPE)
  assert np.abs(video).max() <= 1
  order = np.array([2, 0, 3, 1])
  permuted = run(network, variables, codes[:, order], {}, method='from_codes')
  np.testing.assert_allclose(permuted, video[:, order], atol=1e-5)
  assert np.abs(np.diff(video, axis=1)).max(axis=(2, 3, 4)).min() > 1e-4


def test_codes_have_the_same_distribution_in_all_frames():
  """A walk along a line instead of a circle would shrink in the middle."""
  keys = arrays.keys(4000, 2)
  network = generator(turn=np.pi / 2, latent_width=2)
  codes = np.asarray(network.codes(keys))
  np.testing.assert_allclose(codes.std(axis=0), 1, atol=0.05)
  np.testing.assert_allclose(codes.mean(axis=0), 0, atol=0.08)
  along_line = (codes[:, 0] + codes[:, -1]) / 2
  assert along_line.std() < 0.8
  # After a quarter turn, codes are independent.
  first, last = codes[:, 0].ravel(), codes[:, -1].ravel()
  assert abs(np.corrcoef(first, last)[0, 1]) < 0.05


def test_without_a_turn_clips_are_still():
  network = generator(turn=0.0)
  video = run(network, init(network, {}), KEYS, {})
  np.testing.assert_allclose(video, video[:, :1].repeat(4, axis=1), atol=1e-6)


def test_clips_depend_on_their_own_label():
  network = generator(num_classes=3)
  label_b = np.array([0, 1, 2])
  variables = init(network, {'label': label_b})
  make = lambda label_b: run(network, variables, KEYS, {'label': label_b})
  difference = np.abs(make(label_b) - make(arrays.put(label_b, 1, 0)))
  differs_b = difference.max(axis=(1, 2, 3, 4)) > 1e-3
  assert differs_b.tolist() == [False, True, False]
  with pytest.raises(ValueError, match='num_classes of dcgan'):
    init(network, {})


def test_channels_are_those_of_the_paper():
  """Figure 1 has 1024, 512, 256 and 128 channels at 4 to 32 pixels."""
  network = dcgan.Generator((1, 64, 64, 3))
  tree = jax.eval_shape(
    lambda: network.init(jax.random.key(0), KEYS, {}, train=False)
  )
  shapes = [
    x.shape[-1]
    for path, x in jax.tree_util.tree_leaves_with_path(tree['params'])
    if 'kernel' in str(path[-1])
  ]
  assert sorted(shapes) == [3, 128, 256, 512, 1024]


def test_clips_are_float32_if_products_are_bfloat16():
  network = generator(dtype='bfloat16')
  video, _ = jax.eval_shape(
    lambda: network.init_with_output(jax.random.key(1), KEYS, {}, train=False)
  )
  assert video.dtype == jnp.float32


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (dict(clip_shape=(4, 8, 16, 3)), '8 x 16'),
    (dict(norm='layer'), "norm is 'layer'"),
    (dict(kernel_init='he'), "kernel_init is 'he'"),
    (dict(latent_width=0), 'latent_width is 0'),
  ],
)
def test_wrong_fields(fields, match: str):
  with pytest.raises(ValueError, match=match):
    dcgan.Generator(**{'clip_shape': SHAPE} | fields)

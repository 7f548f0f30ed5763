"""Tests of models/tgan.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import conv_critic
from vgen_jax.models import tgan

KEYS = arrays.keys(3)
SHAPE = (4, 8, 8, 3)


def generator(**fields) -> tgan.Generator:
  small = {'width': 4, 'latent_width': 5, 'temporal_width': 6}
  return tgan.Generator(SHAPE, **small | fields)


def init(network, *args):
  variables = compiled.init(network, jax.random.key(1), *args, train=False)
  return variables | {
    'params': jax.tree.map(lambda x: 1.5 * x, variables['params'])
  }


def run(network, variables, *args, method=None):
  return compiled.apply(network, variables, *args, train=False, method=method)


def sizes(network, *args) -> dict[str, int]:
  shapes = jax.eval_shape(
    lambda: network.init(jax.random.key(0), *args, train=False)
  )
  return {
    part: sum(x.size for x in jax.tree.leaves(tree))
    for part, tree in shapes['params'].items()
  }


def test_parameter_counts_equal_the_released_code():
  """The released code was counted by hand; comments explain differences."""
  shape = (16, 64, 64, 3)
  counts = sizes(tgan.Generator(shape), KEYS, {})
  assert counts['temporal'] + counts['temporal_out'] == 825_444
  assert counts['image'] == 3_622_691
  critic = conv_critic.ConvCritic(norm='batch_scale')
  counts = sizes(critic, np.zeros((3, *shape)), {}, KEYS)
  # The code has 64 scales of a batch norm that it never uses.
  assert sum(counts.values()) == 11_032_449 - 64


def test_frames_depend_on_their_own_code_and_the_code_of_the_clip():
  """Permuted frame codes give permuted frames."""
  network = generator()
  variables = init(network, KEYS, {})
  apply = lambda method, *args: run(network, variables, *args, method=method)
  clip_code = network.clip_code(KEYS, {})
  assert (np.abs(clip_code) <= 1).all()
  codes = apply('frame_codes', clip_code)
  assert codes.shape == (3, 4, 5)
  assert (np.abs(codes) <= 1).all()
  for one in range(4):  # All frames of a clip have different codes.
    for other in range(one):
      assert (np.abs(codes[:, one] - codes[:, other]).max(axis=-1) > 1e-4).all()
  video = run(network, variables, KEYS, {})
  np.testing.assert_allclose(
    apply('from_codes', clip_code, codes), video, atol=1e-5
  )
  order = np.array([2, 0, 3, 1])
  np.testing.assert_allclose(
    apply('from_codes', clip_code, codes[:, order]), video[:, order], atol=1e-5
  )
  other_clip = apply('from_codes', clip_code[::-1], codes)
  assert not np.allclose(other_clip[0], video[0], atol=1e-3)


def test_any_number_of_frames_between_two_frames():
  network = generator()
  variables = init(network, KEYS, {})
  clip_code = network.clip_code(KEYS, {})
  codes = run(network, variables, clip_code, method='frame_codes')
  fraction = np.linspace(0, 1, 7)[None, :, None]
  between = (1 - fraction) * codes[:, 1:2] + fraction * codes[:, 2:3]
  frames = run(network, variables, clip_code, between, method='from_codes')
  video = run(network, variables, KEYS, {})
  assert frames.shape == (3, 7, 8, 8, 3)
  np.testing.assert_allclose(frames[:, 0], video[:, 1], atol=1e-5)
  np.testing.assert_allclose(frames[:, -1], video[:, 2], atol=1e-5)
  # It is not a cross-fade of the two frames.
  fade = (frames[:, 0] + frames[:, -1]) / 2
  assert not np.allclose(frames[:, 3], fade, atol=1e-3)


def test_labels_condition_both_generators():
  network = generator(num_classes=3)
  label_b = np.array([0, 1, 2])
  variables = init(network, KEYS, {'label': label_b})
  apply = lambda method, *args: run(network, variables, *args, method=method)
  one = network.clip_code(KEYS, {'label': label_b})
  other = network.clip_code(KEYS, {'label': np.zeros(3, jnp.int32)})
  assert (one[0] == other[0]).all()
  codes = apply('frame_codes', one)
  assert not np.allclose(codes[1], apply('frame_codes', other)[1], atol=1e-4)
  video = apply('from_codes', one, codes)
  assert not np.allclose(
    apply('from_codes', other, codes)[1], video[1], atol=1e-4
  )
  with pytest.raises(ValueError, match='num_classes of tgan'):
    network.clip_code(KEYS, {})


@pytest.mark.parametrize('shape', [(6, 8, 8, 3), (1, 8, 8, 3)])
def test_wrong_numbers_of_frames(shape):
  with pytest.raises(ValueError, match=f'has {shape[0]} frames'):
    tgan.Generator(shape)

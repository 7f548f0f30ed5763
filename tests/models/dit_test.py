"""Tests of models/dit.py."""

import re

import chex
from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from tests.models import small_dit
from vgen_jax.models import dit

pytestmark = pytest.mark.usefixtures('compares_finite')


def test_output_is_zero_before_training():
  inputs = (small_dit.VIDEO, small_dit.TIME, {})
  model = small_dit.make()
  params = compiled.init(model, jax.random.key(1), *inputs, train=False)
  out = compiled.apply(model, params, *inputs, train=False)
  np.testing.assert_array_equal(out, np.zeros(small_dit.VIDEO.shape))


def close_gates(params: dict, pattern: str) -> dict:
  """Returns parameters with the gates of blocks set to zero."""
  flat = traverse_util.flatten_dict(params, sep='/')
  hit = [path for path in flat if re.search(pattern, path)]
  assert hit
  return traverse_util.unflatten_dict(
    flat | {path: 0 * flat[path] for path in hit}, sep='/'
  )


@pytest.mark.parametrize(
  ('attention', 'closed_blocks', 'uses_frames', 'uses_patches', 'uses_all'),
  [
    ('factorised', r'blocks/', False, False, False),
    ('factorised', r'blocks/time/modulation', False, True, False),
    ('factorised', r'blocks/space/modulation', True, False, False),
    ('factorised', None, True, True, True),
    ('full', None, True, True, True),
  ],
  ids=['no block', 'space', 'time', 'space and time', 'full'],
)
def test_receptive_field_of_a_patch(
  attention, closed_blocks, uses_frames, uses_patches, uses_all
):
  """Clips with other pixels each show which pixels a patch depends on."""
  model = small_dit.make(attention=attention)
  params = small_dit.random_params(model)
  if closed_blocks:
    params = close_gates(params, closed_blocks)

  clips = np.repeat(small_dit.VIDEO[:1], 9, axis=0)
  clips[1, 1:, :2, :2] += 1  # The same patch of other frames.
  clips[2, 0, 2:] += 1  # Other patches of its frame.
  clips[3, 1:, 2:] += 1  # Other patches of other frames.
  for i in range(4):
    clips[4 + i, 0, i // 2, i % 2] += 1  # Its own pixels.
  clips[8] = small_dit.VIDEO[1]

  def patches(clips):
    time_b = np.full(9, 0.1, np.float32)
    out = compiled.apply(model, params, clips, time_b, {}, train=False)
    return out[:, 0, :2, :2]

  patch = patches(clips)
  change = np.abs(patch - patch[0]).max((1, 2, 3))
  assert (change[4:8] > 1e-4).all(), 'A patch depends on itself.'
  for i, uses in enumerate((uses_frames, uses_patches, uses_all), 1):
    assert change[i] > 1e-4 if uses else change[i] < 1e-6
  others = patches(np.concatenate([clips[:1], -clips[1:]]))
  # Clips of a batch never see each other.
  np.testing.assert_allclose(others[0], patch[0], atol=1e-6)


def test_labels_matter_and_no_label_is_the_last_row():
  model = small_dit.make(num_classes=3)
  params = small_dit.random_params(model, {'label': np.zeros(2, int)})
  apply = lambda condition: compiled.apply(
    model, params, small_dit.VIDEO, small_dit.TIME, condition, train=False
  )
  out = apply({'label': np.array([0, 3])})
  assert not np.allclose(out, apply({'label': np.array([3, 0])}))
  chex.assert_trees_all_close(out[1], apply({})[1], rtol=1e-5, atol=1e-5)
  with pytest.raises(ValueError, match='num_classes is 0'):
    small_dit.random_params(small_dit.make(), {'label': np.zeros(2, int)})


def test_output_depends_on_positions():
  """Without positions, shuffled patches give shuffled outputs."""
  shuffled = np.roll(small_dit.VIDEO, (1, 2), axis=(1, 2))

  def is_deaf_to_places(**kwargs):
    model = small_dit.make(**kwargs)
    params = small_dit.random_params(model)
    apply = lambda video: compiled.apply(
      model, params, video, small_dit.TIME, {}, train=False
    )
    moved = np.roll(apply(small_dit.VIDEO), (1, 2), axis=(1, 2))
    return np.allclose(apply(shuffled), moved, atol=1e-3)

  assert not is_deaf_to_places(positions='rotary')
  assert not is_deaf_to_places(positions='absolute')

  class WithoutPositions(dit.VideoDiT):
    def _angles(self, grid):
      return {}

  model = WithoutPositions(width=16, depth=2, num_heads=2)
  params = small_dit.random_params(model)
  apply = compiled.jit(
    lambda video: model.apply(params, video, small_dit.TIME, {}, train=False)
  )
  moved = np.roll(apply(small_dit.VIDEO), (1, 2), axis=(1, 2))
  chex.assert_trees_all_close(apply(shuffled), moved, atol=1e-3)


def change_by_great_queries(qk_norm: bool) -> float:
  """Returns the change of the output if all queries are multiplied by 1,000."""
  model = small_dit.make(qk_norm=qk_norm)
  params = small_dit.random_params(model)
  great = jax.tree_util.tree_map_with_path(
    lambda path, x: 1e3 * x if "'query'" in str(path) else x, params
  )
  apply = lambda params: compiled.apply(
    model, params, small_dit.VIDEO, small_dit.TIME, {}, train=False
  )
  out = apply(params)
  return float(np.abs(apply(great) - out).max() / np.abs(out).max())


def test_qk_norm_bounds_logits():
  assert change_by_great_queries(qk_norm=True) < 1e-3
  assert change_by_great_queries(qk_norm=False) > 1e-2


@pytest.mark.parametrize(
  ('width', 'depth', 'num_heads', 'millions'),
  [
    (384, 12, 6, 33),
    (768, 12, 12, 130),
    (1024, 24, 16, 458),
    (1152, 28, 16, 675),
  ],
  ids=['S/2', 'B/2', 'L/2', 'XL/2'],
)
def test_parameter_counts_equal_the_published_ones(
  width, depth, num_heads, millions
):
  """Compares with the table of the paper, without allocating parameters."""
  model = dit.VideoDiT(width, depth, num_heads, num_classes=1000)
  latent = jax.ShapeDtypeStruct((1, 1, 32, 32, 4), jnp.float32)
  one = jax.ShapeDtypeStruct((1,), jnp.float32)
  params = jax.eval_shape(
    lambda key, video, time: model.init(key, video, time, {}, train=False),
    jax.random.key(0),
    latent,
    one,
  )
  num_params = sum(x.size for x in jax.tree.leaves(params))
  assert num_params == pytest.approx(millions * 1e6, rel=0.01)


@pytest.mark.parametrize(
  ('kwargs', 'match'),
  [
    (
      dict(patch_size=(1, 3, 2)),
      r'clips is 3 x 4 x 4; .* patch_size, 1 x 3 x 2',
    ),
    (dict(patch_size=(2, 2, 2)), 'patch_size, 2 x 2 x 2'),
    (dict(depth=3), 'depth is 3; it must be even'),
    (dict(num_heads=3), 'a multiple of num_heads, 3'),
    (dict(attention='ful'), "attention is 'ful'; it must be one of"),
    (dict(positions='rope'), "positions is 'rope'; it must be one of"),
  ],
)
def test_errors_name_the_wrong_field(kwargs, match):
  with pytest.raises(ValueError, match=match):
    small_dit.random_params(small_dit.make(**kwargs))

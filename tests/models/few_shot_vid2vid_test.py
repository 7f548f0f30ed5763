"""Tests of models/few_shot_vid2vid.py and models/few_shot_critic.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import few_shot_critic
from vgen_jax.models import few_shot_vid2vid
from vgen_jax.nn import translation

B, R, SHAPE, SEGMENTS = 2, 3, (4, 16, 16, 3), 3
KEY = jax.random.key(1)


def random_layouts(seed, *axes):
  """Returns layouts of blocks of 4 x 4 pixels."""
  coarse = arrays.integers((*axes, 4, 4), SEGMENTS, seed)
  return coarse.repeat(4, -2).repeat(4, -1)


CONDITION = {
  'reference': arrays.uniform((B, R, 2, *SHAPE[1:]), low=-1),
  'reference_layout': random_layouts(1, B, R, 2),
}
WINDOW = translation.Window(
  random_layouts(2, B, 2),
  arrays.uniform((B, 1, *SHAPE[1:]), 3, low=-1),
  np.ones((B, 1), bool),
)


def network(**fields) -> few_shot_vid2vid.FewShotVid2Vid:
  small = {
    'num_segments': SEGMENTS, 'num_previous': 1, 'width': 4, 'num_levels': 2,
    'num_adaptive': 2, 'attention_level': 1, 'flow_levels': 0, 'spade_width': 4,
  }  # fmt: skip
  return few_shot_vid2vid.FewShotVid2Vid(SHAPE, **small | fields)


def forward(module, window, condition):
  return module(window, module.encode(condition))


@functools.cache
def variables_of(**fields):
  module = network(**fields)
  return compiled.init(module, KEY, WINDOW, CONDITION, method=forward)


def frame_of(window=WINDOW, condition=CONDITION, **fields):
  """Returns the generated frame; kernels of flow are not 0."""
  module, variables = network(**fields), variables_of(**fields)
  return compiled.apply(module, variables, window, condition, method=forward)


def appearance_of(layout_bhw, condition):
  module = network()
  call = lambda module, layout, condition: module.appearance(
    layout, module.encode(condition)
  )
  return compiled.apply(
    module, variables_of(), layout_bhw, condition, method=call
  )


def change(condition, **changes):
  return {**condition, **changes}


def test_frame_is_composed_of_new_moved_and_reference_pixels():
  found = frame_of()
  previous, reference = found.previous, found.reference
  assert previous is not None
  assert reference is not None
  # Before training flow is 0 and masks are 1/2.
  np.testing.assert_allclose(
    previous.warped_bhwc, WINDOW.previous_bmhwc[:, 0], atol=1e-6
  )
  best = np.asarray(found.extra['attention'].mean((1, 2)).argmax(1))
  chosen = np.stack([CONDITION['reference'][i, best[i], 0] for i in range(B)])
  np.testing.assert_allclose(reference.warped_bhwc, chosen, atol=1e-5)
  expected = (found.new_bhwc + chosen) / 4 + previous.warped_bhwc / 2
  np.testing.assert_allclose(found.frame_bhwc, expected, atol=1e-5)
  np.testing.assert_allclose(found.extra['attention'].sum(-1), 1, atol=1e-5)


def test_first_frame_does_not_depend_on_previous_pixels():
  first = WINDOW._replace(
    exists_bm=np.zeros((B, 1), bool),
    layout_blhw=arrays.put(WINDOW.layout_blhw, np.s_[:, 0], -1),
  )
  found = frame_of(first)
  np.testing.assert_array_equal(found.previous.mask_bhw, np.ones((B, 16, 16)))
  other = first._replace(previous_bmhwc=-first.previous_bmhwc)
  np.testing.assert_array_equal(frame_of(other).frame_bhwc, found.frame_bhwc)
  # A later frame does.
  later = WINDOW._replace(previous_bmhwc=-WINDOW.previous_bmhwc)
  assert np.abs(frame_of(later).frame_bhwc - frame_of().frame_bhwc).max() > 0.1


def test_new_pixels_depend_on_layout_and_own_references():
  new = frame_of().new_bhwc
  layout = arrays.put(WINDOW.layout_blhw, (0, -1), 0)
  other = frame_of(WINDOW._replace(layout_blhw=layout)).new_bhwc
  difference = np.abs(other - new)
  assert difference[0].max() > 0.01
  np.testing.assert_allclose(other[1], new[1], atol=1e-5)
  reference = arrays.multiply(CONDITION['reference'], np.s_[0, :, 0], -1)
  other = frame_of(condition=change(CONDITION, reference=reference)).new_bhwc
  assert np.abs(other - new)[0].max() > 0.01
  np.testing.assert_allclose(other[1], new[1], atol=1e-5)
  # Only the first frame of a reference clip is used.
  reference = arrays.multiply(CONDITION['reference'], np.s_[:, :, 1], -1)
  other = frame_of(condition=change(CONDITION, reference=reference))
  np.testing.assert_array_equal(other.new_bhwc, new)


def test_order_of_references_does_not_matter():
  order = np.array([2, 0, 1])
  other = frame_of(condition={k: x[:, order] for k, x in CONDITION.items()})
  found = frame_of()
  np.testing.assert_allclose(other.frame_bhwc, found.frame_bhwc, atol=1e-4)
  np.testing.assert_allclose(
    other.extra['attention'], found.extra['attention'][..., order], atol=1e-4
  )


def test_equal_references_have_equal_weights_and_count_once():
  equal = {k: x[:, :1].repeat(R, axis=1) for k, x in CONDITION.items()}
  several = frame_of(condition=equal)
  one = frame_of(condition={k: x[:, :1] for k, x in CONDITION.items()})
  np.testing.assert_allclose(several.extra['attention'], 1 / R, atol=1e-5)
  np.testing.assert_allclose(several.frame_bhwc, one.frame_bhwc, atol=1e-4)


def test_kernels_are_equal_for_equal_references_only():
  layout = np.repeat(WINDOW.layout_blhw[:1, -1], B, axis=0)
  kernels = appearance_of(layout, CONDITION).kernels
  equal = {k: x[:1].repeat(B, axis=0) for k, x in CONDITION.items()}
  equal_kernels = appearance_of(layout, equal).kernels
  module = network()
  assert len(kernels) == module.num_adaptive
  for level, pair in enumerate(kernels):
    for width, each in zip(module.block_inputs(level), pair, strict=True):
      assert each.kernel_bio.shape[2] == 2 * width
  for different, same in zip(
    jax.tree.leaves(kernels), jax.tree.leaves(equal_kernels), strict=True
  ):
    assert np.abs(different[0] - different[1]).max() > 1e-3
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)


def test_a_reference_in_the_same_pose_has_the_largest_weight():
  layout = WINDOW.layout_blhw[:, -1]
  same = arrays.put(CONDITION['reference_layout'], np.s_[:, 1, 0], layout)
  weight = appearance_of(
    layout, change(CONDITION, reference_layout=same)
  ).weight_bhwr
  assert (weight.mean((1, 2)).argmax(1) == 1).all()


def test_all_references_have_derivatives():
  def loss(variables, reference):
    condition = change(CONDITION, reference=reference)
    found = network().apply(variables, WINDOW, condition, method=forward)
    return jnp.square(found.frame_bhwc).sum()

  gradient = compiled.jit(jax.grad(loss, argnums=(0, 1)))
  parameters, reference = gradient(variables_of(), CONDITION['reference'])
  assert (np.abs(reference[:, :, 0]).max((2, 3, 4)) > 0).all()
  still = {
    jax.tree_util.keystr(path)
    for path, x in jax.tree_util.tree_leaves_with_path(parameters)
    if not np.abs(x).max() > 0
  }
  # Layers of flow before the last one, which is 0 before training.
  assert all('flow' in path for path in still)


def test_network_without_references():
  found = frame_of(condition={}, num_adaptive=0)
  assert found.reference is None
  assert network(num_adaptive=0).condition_keys == ('layout',)
  assert network().condition_keys == (
    'layout', 'reference', 'reference_layout',
  )  # fmt: skip
  names = variables_of(num_adaptive=0)['params']
  assert not any('reference' in x or 'kernel' in x for x in names)
  # Learned kernels take the place of generated ones.
  assert set(names['blocks_0']) > {'spade_0', 'spade_1'}
  assert not {'spade_0', 'spade_1'} & set(variables_of()['params']['blocks_0'])


def test_reference_need_not_be_moved():
  found = frame_of(moves_reference=False)
  assert found.reference is None
  assert 'reference_flow' not in variables_of(moves_reference=False)['params']
  expected = found.new_bhwc / 2 + WINDOW.previous_bmhwc[:, 0] / 2
  np.testing.assert_allclose(found.frame_bhwc, expected, atol=1e-5)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'num_levels': 5}, 'The size of frames is 16'),
    ({'num_adaptive': 4}, 'num_adaptive is 4'),
    ({'attention_level': 3}, 'attention_level is 3'),
    ({'flow_levels': -1}, 'flow_levels is -1'),
    ({'width': 0}, 'width is 0'),
    ({'sharpness': 0.5}, 'sharpness is 0.5'),
  ],
)
def test_fields_out_of_range(fields, message):
  with pytest.raises(ValueError, match=message):
    network(**fields)


@pytest.mark.parametrize(
  'reference', [np.zeros((B, 0, 2, *SHAPE[1:])), np.zeros((B, R, 2, 8, 8, 3))]
)
def test_references_of_wrong_shape(reference):
  condition = {
    'reference': reference,
    'reference_layout': np.zeros(reference.shape[:-1], int),
  }
  with pytest.raises(ValueError, match=r'set config\.data\.num_references'):
    compiled.apply(network(), variables_of(), condition, method='encode')


def test_critic_reads_layout_and_first_reference():
  critic = few_shot_critic.Critic(num_segments=SEGMENTS, num_scales=1, width=4)
  video = arrays.uniform((B, *SHAPE), low=-1)
  condition = change(CONDITION, layout=random_layouts(5, B, SHAPE[0]))
  keys = arrays.keys(B)
  variables = compiled.init(critic, KEY, video, condition, keys, train=False)

  def logits(condition, video=video):
    (found,) = compiled.apply(
      critic, variables, video, condition, keys, train=False
    )
    return found

  found = logits(condition)
  assert found.shape[:2] == (B, SHAPE[0])
  for key in ('layout', 'reference_layout'):
    other = logits(change(condition, **{key: SEGMENTS - 1 - condition[key]}))
    assert np.abs(other - found).max() > 1e-3
  other = arrays.multiply(condition['reference'], (0, 0, 0), -1)
  difference = np.abs(logits(change(condition, reference=other)) - found)
  assert (difference[0].max((1, 2)) > 1e-3).all()  # In all frames.
  assert difference[1].max() < 1e-5
  assert np.abs(logits(condition, -video) - found).max() > 1e-3

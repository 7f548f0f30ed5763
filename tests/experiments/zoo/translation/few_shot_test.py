"""Tests of few_shot.py, on real clips."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.zoo.translation import appearance_criteria as criteria
from experiments.zoo.translation import few_shot
from experiments.zoo.translation import few_shot_network
from tests import arrays
from tests import compiled
from vgen_jax.families.translation import video_to_video
from vgen_jax.models import few_shot_vid2vid
from vgen_jax.nn.convolution import generated_kernels
from vgen_jax.synthetic.subjects import source

INDEX = np.arange(24)
GOOD = criteria.Network(0.7, 0.5, 1e-7)


@pytest.fixture(scope='module')
def world() -> source.Subjects:
  return source.Subjects((4, 32, 32, 3), 'test', num_references=3)


@pytest.fixture(scope='module')
def case(world) -> criteria.Case:
  return criteria.case(world, INDEX, few_shot.others(world, INDEX))


def test_real_clips_pass_and_cheats_do_not(world, case):
  real = np.stack([world[i]['video'] for i in INDEX])
  recolored = criteria.paint(case, case.other_bs2c)
  found = criteria.numbers(case, real, recolored)
  assert not criteria.failures(found, GOOD)
  assert found['error'] < 0.05
  assert found['iou'] > 0.9
  assert 0.95 < found['slope'] < 1.05
  wanted = {
    'mean colours of training': {'colour', 'slope'},
    'one subject of training': {'colour', 'slope'},
    'nearest body of training': {'colour'},
    'reference ignored': {'slope'},
    'pose of another clip': {'pose'},
  }
  cheats = criteria.cheats(case, few_shot.train_colors(world))
  assert cheats.keys() == wanted.keys()
  for name, clips in cheats.items():
    found = criteria.numbers(case, *clips)
    assert wanted[name] <= set(criteria.failures(found, GOOD)), (name, found)
    if name == 'mean colours of training':
      assert found['error'] > 0.29


def test_with_two_sides_real_clips_pass_and_cheats_do_not():
  world = source.Subjects((4, 32, 32, 3), 'test', num_references=3, num_sides=2)
  case = criteria.case(world, INDEX, few_shot.others(world, INDEX))
  real = np.stack([world[i]['video'] for i in INDEX])
  recolored = criteria.paint(case, case.other_bs2c)
  found = criteria.numbers(case, real, recolored)
  assert not criteria.failures(found, GOOD)
  assert found['error'] < 0.05
  cheats = criteria.cheats(case, few_shot.train_colors(world))
  for name, clips in cheats.items():
    found = criteria.numbers(case, *clips)
    assert criteria.failures(found, GOOD), (name, found)
  assert len(cheats) == 9
  # Only 'side' detects the first of these; the second barely fails another one.
  found = criteria.numbers(case, *cheats['opposite of the first side'])
  assert criteria.failures(found, GOOD) == ['side']
  found = criteria.numbers(case, *cheats['sides one frame late'])
  assert 'side' in criteria.failures(found, GOOD)


def test_the_other_references_show_other_sides():
  world = source.Subjects((4, 32, 32, 3), 'test', num_references=3, num_sides=2)
  condition = few_shot_network.conditions(world, INDEX[:6], INDEX[:6])
  found = few_shot_network.with_match(world, INDEX[:6], 3, condition)
  for i in range(6):
    side = world.truth(i).side_t[3]
    figures = [
      np.median(
        found['reference'][i, r, 0][found['reference_layout'][i, r, 0] == 1], 0
      )
      for r in range(3)
    ]
    body_s3 = world.appearance(world.subject(i)).body_s3 / 127.5 - 1
    nearest = [
      np.square(body_s3 - x).sum(-1).argmin() for x in np.array(figures)
    ]
    assert [s == side for s in nearest] == [r == i % 3 for r in range(3)]


@pytest.mark.parametrize(
  ('field', 'value', 'name'),
  [
    ('weight', 0.34, 'attention'),
    ('distance', 0.0, 'kernels'),
    ('equal_distance', 0.1, 'kernels'),
  ],
)
def test_networks_that_fail(field, value, name):
  found = {'error': 0.0, 'slope': 1.0, 'iou': 1.0, 'side': 0.0}
  assert criteria.failures(found, GOOD) == []
  assert criteria.failures(found, GOOD._replace(**{field: value})) == [name]


def test_other_clips_show_other_subjects(world):
  for i, other in zip(INDEX, few_shot.others(world, INDEX), strict=True):
    assert world.subject(int(other)) != world.subject(int(i))


def test_one_reference_shows_the_pose_of_the_frame(world):
  condition = few_shot_network.conditions(world, INDEX[:5], INDEX[:5])
  found = few_shot_network.with_match(world, INDEX[:5], 3, condition)
  for i in range(5):
    equal = [
      bool((found['reference_layout'][i, r, 0] == found['layout'][i, 3]).all())
      for r in range(3)
    ]
    assert equal == [r == i % 3 for r in range(3)]


def test_weight_of_the_match_is_averaged_over_the_body_or_the_figure():
  layout = np.zeros((2, 4, 4), int)
  layout[:, :2, :2] = 1
  layout[:, 0, 2] = 2  # A quarter of another position.
  weight = np.full((2, 2, 2, 2), 0.5)
  weight[0, 0, 0] = 1, 0  # Clip 0 matches reference 0, clip 1 reference 1.
  weight[1, 0, 0] = 0, 1
  found = [
    few_shot_network.matching_weight(
      weight, few_shot_network.averaged_positions(layout, num_sides)
    )
    for num_sides in (1, 2)
  ]
  assert found == [pytest.approx((1 * 1 + 0.25 * 0.5) / 1.25), 1]


def test_distances_of_kernels():
  bias = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
  kernels = generated_kernels.Pointwise(np.zeros((3, 1, 2)), bias)
  found = few_shot_vid2vid.Appearance(((kernels,),), np.zeros((3, 1, 1, 1)))
  distances = few_shot_network.kernel_distances(found)
  assert distances[0, 1] == 0
  assert distances[0, 2] == pytest.approx(2**0.5)


@pytest.fixture(scope='module')
def small_world() -> source.Subjects:
  return source.Subjects((4, 16, 16, 3), 'test', num_references=3)


@pytest.fixture(scope='module')
def small_index(small_world) -> np.ndarray:
  """Indices of clips: as many as `measure` compares to compile one program."""
  return np.arange(2 * len(small_world.subjects))


@pytest.fixture(scope='module')
def run(small_world):
  """Returns a run of a tiny network without training."""
  model = video_to_video.VideoToVideo(
    small_world.clip_shape,
    generator=few_shot_vid2vid.FewShotVid2Vid(
      small_world.clip_shape,
      num_segments=3,
      num_previous=1,
      width=4,
      num_levels=1,
      num_adaptive=1,
      attention_level=1,
      flow_levels=1,
      spade_width=4,
      moves_reference=False,
    ),
    critic={},
    num_context=0,
  )
  condition = few_shot_network.conditions(small_world, INDEX[:1], INDEX[:1])
  key_b = arrays.keys(1)
  variables = compiled.init(
    model, jax.random.key(1), key_b, condition, method='sample'
  )
  return with_variables(model, variables)


def with_variables(model, variables):
  return types.SimpleNamespace(
    model=model,
    state=types.SimpleNamespace(variables=lambda average: variables),
    config=types.SimpleNamespace(sample_from='params'),
  )


def test_measurements_of_a_network(run, small_world, small_index):
  found = few_shot_network.measure(run, small_world, small_index)
  assert found.distance > 1e-3
  assert found.equal_distance < 1e-5
  assert 1 / 3 < found.weight < 1  # Similar layouts are favoured.
  sample = few_shot.sampler(run)
  own, other = (
    sample(few_shot_network.conditions(small_world, INDEX[:4], reference_b))
    for reference_b in (INDEX[:4], INDEX[6:10])
  )
  assert own.shape == (4, *small_world.clip_shape)
  assert own.dtype == np.uint8
  assert (own != other).any()


def test_a_network_that_ignores_references_fails(run, small_world, small_index):
  variables = run.state.variables('params')
  generator = variables['params']['generator']
  blind = jax.tree.map(jnp.zeros_like, generator['image_encoder'])
  variables = {'params': {'generator': {**generator, 'image_encoder': blind}}}
  cheat = with_variables(run.model, variables)
  found = few_shot_network.measure(cheat, small_world, small_index)
  assert 'kernels' in criteria.failures(
    {'error': 0.0, 'slope': 1.0, 'iou': 1.0, 'side': 0.0}, found
  )
  index_b = INDEX[:4]
  other_b = few_shot.others(small_world, index_b)
  sample = few_shot.sampler(cheat)
  own, swapped = (
    sample(few_shot_network.conditions(small_world, index_b, reference_b))
    for reference_b in (index_b, other_b)
  )
  np.testing.assert_array_equal(own, swapped)


def test_frames_that_are_too_small_for_colors(small_world):
  with pytest.raises(ValueError, match=r'16 x 16 pixels.* 32 x 32'):
    criteria.case(small_world, INDEX[:4], INDEX[:4])

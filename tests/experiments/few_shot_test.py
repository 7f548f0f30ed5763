"""Tests of experiments/zoo/few_shot.py, on real clips."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.zoo import appearance_criteria as criteria
from experiments.zoo import few_shot
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
  recolored = criteria.paint(case.other_b2c, case.alpha_b2thw)
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


@pytest.mark.parametrize(
  ('field', 'value', 'name'),
  [
    ('weight', 0.34, 'attention'),
    ('distance', 0.0, 'kernels'),
    ('equal_distance', 0.1, 'kernels'),
  ],
)
def test_networks_that_fail(field, value, name):
  found = {'error': 0.0, 'slope': 1.0, 'iou': 1.0}
  assert criteria.failures(found, GOOD) == []
  assert criteria.failures(found, GOOD._replace(**{field: value})) == [name]


def test_other_clips_show_other_subjects(world):
  for i, other in zip(INDEX, few_shot.others(world, INDEX), strict=True):
    assert world.subject(int(other)) != world.subject(int(i))


def test_one_reference_shows_the_pose_of_the_frame(world):
  condition = few_shot.conditions(world, INDEX[:5], INDEX[:5])
  found = few_shot.with_match(world, INDEX[:5], 3, condition)
  for i in range(5):
    equal = [
      bool((found['reference_layout'][i, r, 0] == found['layout'][i, 3]).all())
      for r in range(3)
    ]
    assert equal == [r == i % 3 for r in range(3)]


def test_weight_of_the_match_is_averaged_over_the_figure():
  layout = np.zeros((2, 4, 4), int)
  layout[:, :2, :2] = 1
  layout[:, 0, 2] = 2  # A quarter of another position.
  weight = np.full((2, 2, 2, 2), 0.5)
  weight[0, 0, 0] = 1, 0  # Clip 0 matches reference 0, clip 1 reference 1.
  weight[1, 0, 0] = 0, 1
  found = few_shot.matching_weight(weight, layout)
  assert found == pytest.approx((1 * 1 + 0.25 * 0.5) / 1.25)


def test_distances_of_kernels():
  bias = jnp.array([[3.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
  kernels = generated_kernels.Pointwise(jnp.zeros((3, 1, 2)), bias)
  found = few_shot_vid2vid.Appearance(((kernels,),), jnp.zeros((3, 1, 1, 1)))
  distances = few_shot.kernel_distances(found)
  assert distances[0, 1] == 0
  assert distances[0, 2] == pytest.approx(2**0.5)

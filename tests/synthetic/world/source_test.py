"""Tests of world/source.py and of drawing."""

import math
import pickle

import numpy as np
import pytest

from vgen_jax.synthetic import base
from vgen_jax.synthetic import drawing as drawing_lib
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source as world_lib

SHAPES = ((16, 64, 64, 3), (8, 16, 24, 3), (4, 8, 8, 3))
each_shape = pytest.mark.parametrize('clip_shape', SHAPES, ids=str)


@each_shape
def test_a_clip_is_its_object_on_the_background(clip_shape):
  world = world_lib.World(clip_shape)
  for i in range(20):
    alpha_thw1 = world.truth(i).alpha_thw[..., None]
    color_3 = np.array(drawing_lib.COLORS[world.factors(i)['color']])
    wanted = (1 - alpha_thw1) * drawing.BACKGROUND + alpha_thw1 * color_3
    video = world[i]['video']
    assert video.dtype == np.uint8
    assert video.shape == clip_shape
    np.testing.assert_allclose(video, wanted, atol=1.5)  # Two roundings.


@each_shape
def test_motion_is_uniform_at_first_and_within_the_frame(clip_shape):
  t, h, w, _ = clip_shape
  world = world_lib.World(clip_shape)
  for i in range(50):
    truth, factors = world.truth(i), world.factors(i)
    free = int(min(2.5, t / 4))
    steps = np.diff(truth.center_t2[: free + 1], axis=0)
    wanted = np.tile(truth.velocity_2, (free, 1))
    np.testing.assert_allclose(steps, wanted, atol=1e-6)
    speed = math.hypot(*truth.velocity_2)
    assert speed == pytest.approx(world.speed(factors['speed']))
    assert (truth.center_t2 >= truth.radius - 1e-6).all()
    most = np.array([w, h]) - 1 - truth.radius
    assert (truth.center_t2 <= most + 1e-6).all()
  assert any(  # Some objects bounce off a wall.
    np.ptp(np.diff(world.truth(i).center_t2, axis=0), axis=0).max() > 1e-3
    for i in range(50)
  )


def test_objects_that_meet_no_walls_keep_their_direction():
  free, usual = (
    world_lib.World((8, 16, 16, 3), only={'speed': 'slowly'}, meets_walls=x)
    for x in (False, True)
  )

  def turns(world, i):
    truth = world.truth(i)
    steps = np.diff(truth.center_t2, axis=0)
    return not np.allclose(steps, truth.velocity_2, atol=1e-6)

  assert not any(turns(free, i) for i in range(100))
  assert any(turns(usual, i) for i in range(100))
  with pytest.raises(ValueError, match='quickly travel 10'):
    world_lib.World((8, 16, 16, 3), meets_walls=False)


@pytest.mark.parametrize('shape', world_lib.FACTORS['shape'])
def test_the_centre_is_the_centre_of_mass(shape):
  center_t2 = np.array([[20.0, 20.0], [20.3, 19.6]])
  alpha_thw = drawing_lib.coverage(shape, 9.6, center_t2, (40, 40))
  area_t = alpha_thw.sum((1, 2))
  x_t = (alpha_thw.sum(1) @ np.arange(40)) / area_t
  y_t = (alpha_thw.sum(2) @ np.arange(40)) / area_t
  np.testing.assert_allclose(np.stack([x_t, y_t], 1), center_t2, atol=0.05)
  areas = dict(circle=math.pi, square=3.03, triangle=1.30, cross=2.22)
  np.testing.assert_allclose(area_t, areas[shape] * 9.6**2, rtol=0.03)


def test_direction_matches_its_name():
  world = world_lib.World((8, 16, 16, 3))
  signs = dict(right=(1, 0), left=(-1, 0), up=(0, -1), down=(0, 1))
  for i in range(50):
    words = world.factors(i)['direction'].split('-')
    wanted = np.sum([signs[word] for word in words], 0)
    velocity_2 = world.truth(i).velocity_2
    np.testing.assert_array_equal(np.sign(velocity_2.round(6)), wanted)


def test_clips_are_reproducible_and_in_one_split():
  make = lambda **kwargs: world_lib.World((4, 16, 16, 3), **kwargs)
  worlds = [make(split=split) for split in base.SPLITS] + [make(seed=1)]
  again = pickle.loads(pickle.dumps(worlds[0]))
  np.testing.assert_array_equal(again[7]['video'], worlds[0][7]['video'])
  starts = [
    tuple(world.truth(i).center_t2[0]) for world in worlds for i in range(100)
  ]
  assert len(set(starts)) == len(starts)


def test_labels_enumerate_the_combinations():
  world = world_lib.World(
    (2, 8, 8, 3),
    label=('color', 'speed'),
    only={'color': ('blue', 'red'), 'shape': 'circle'},
  )
  names = ('red slowly', 'red quickly', 'blue slowly', 'blue quickly')
  assert world.schema.class_names == names
  assert world.schema.num_classes == 4
  seen = set()
  for i in range(60):
    factors, label = world.factors(i), world[i]['label']
    assert label.dtype == np.int32
    assert names[label] == f'{factors["color"]} {factors["speed"]}'
    assert factors['shape'] == 'circle'
    seen.add(int(label))
  assert seen == {0, 1, 2, 3}


def test_without_labels():
  world = world_lib.World((2, 8, 8, 3), label=None)
  assert set(world[0]) == {'video'}
  assert world.schema.num_classes == 0
  assert world.schema.class_names == ()


def test_factors_are_uniform_and_independent():
  world = world_lib.World((2, 8, 8, 3), num_clips=3000)
  cells = [tuple(world.factors(i).values()) for i in range(3000)]
  values, counts = np.unique(cells, return_counts=True)
  kinds = sum(map(len, world_lib.FACTORS.values()))
  assert len(values) == kinds
  for value, count in zip(values, counts, strict=True):
    (size,) = (len(v) for v in world_lib.FACTORS.values() if value in v)
    assert count == pytest.approx(3000 / size, rel=0.2)
  assert len(set(cells)) / 768 == pytest.approx(1 - math.exp(-3000 / 768), 0.02)


def test_caption_contains_all_factors():
  world = world_lib.World((2, 8, 8, 3))
  for value in world.factors(0).values():
    assert value in world.caption(0)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (dict(clip_shape=(1, 16, 16, 3)), '2 frames of 8 x 8'),
    (dict(clip_shape=(8, 16, 16, 1)), r'3 channels'),
    (dict(split='valid'), "Did you mean 'validation'"),
    (dict(label='colour'), "Did you mean 'color'"),
    (dict(label=('color', 'color')), r"label is .* has 'color' several times"),
    (dict(only={'sizes': 'large'}), "Did you mean 'size'"),
    (dict(only={'size': 'lage'}), "Did you mean 'large'"),
    (dict(only={'size': ()}), 'is empty'),
    (dict(num_clips=0), 'must be from 1 to'),
  ],
)
def test_invalid_arguments_are_rejected(change, message):
  with pytest.raises(ValueError, match=message):
    world_lib.World(**{'clip_shape': (8, 16, 16, 3), **change})


def test_iteration_ends_at_its_length():
  world = world_lib.World((2, 8, 8, 3), num_clips=3)
  assert len(list(world)) == len(world) == 3


@pytest.mark.parametrize('seed', [2**32, -1])
def test_a_seed_outside_its_range_is_rejected(seed):
  """The bits above those of the seed hold the split."""
  with pytest.raises(
    ValueError, match=r'seed is .*it must be from 0 to 4294967295'
  ):
    world_lib.World((4, 16, 16, 3), seed=seed)
  assert len(world_lib.World((4, 16, 16, 3), seed=2**32 - 1))

"""Tests of all synthetic datasets: determinism, splits, pickling, speed."""

import pickle
import sys

import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.data import pipeline

SHAPE = (16, 32, 32, 3)
DATASETS = (
  {'name': 'synthetic.two_futures.source.TwoFutures'},
  {'name': 'synthetic.two_futures.source.ThreeFutures'},
  {'name': 'synthetic.bounce.source.Bounce'},
  {'name': 'synthetic.actions.source.Actions'},
  {'name': 'synthetic.layouts.source.Layouts', 'flow': True},
  {'name': 'synthetic.subjects.source.Subjects', 'num_references': 2},
  {'name': 'synthetic.face.source.Face'},
  {'name': 'synthetic.mirror.source.Mirror'},
  {'name': 'synthetic.degraded.source.Degraded'},
  {'name': 'synthetic.orbit.source.Orbit'},
  {'name': 'synthetic.crowd.source.Crowd', 'anomaly_rate': 0.0},
  {'name': 'synthetic.scenes.source.Scenes'},
)
KEYS = {
  'layout': ('int32', SHAPE[:3]),
  'flow': ('float32', (*SHAPE[:3], 2)),
  'action': ('float32', (16, 2)),
  'audio': ('float32', (16, 16)),
  'label': ('int32', ()),
  'degraded': ('uint8', SHAPE),
  'reference': ('uint8', (2, *SHAPE)),
  'reference_layout': ('int32', (2, *SHAPE[:3])),
}
MOVING = [
  spec
  for spec in DATASETS
  if spec['name'].split('.')[1] not in ('face', 'degraded', 'scenes')
]
by_name = lambda spec: spec['name'].split('.')[-1]
each_dataset = pytest.mark.parametrize('spec', DATASETS, ids=by_name)


def same(a: dict, b: dict) -> bool:
  return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


@each_dataset
def test_clips_match_the_schema(spec):
  world = build.source(spec, SHAPE)
  assert tuple(world.schema.clip_shape) == SHAPE
  labels = set()
  for i in range(60):
    clip = world[i]
    video = clip.pop('video')
    assert (video.dtype, video.shape) == (np.uint8, SHAPE)
    assert ('label' in clip) == (world.schema.num_classes > 0)
    for key, width in (
      ('action', world.schema.action_width),
      ('audio', world.schema.audio_bands),
    ):
      assert clip.get(key, np.empty((16, 0))).shape == (16, width)
    if 'layout' in clip:
      assert clip['layout'].max() < world.schema.num_segments
    labels.add(int(clip.get('label', 0)))
    for key, value in clip.items():
      assert (str(value.dtype), value.shape) == KEYS[key]
  assert labels == set(range(max(world.schema.num_classes, 1)))
  assert len(world.schema.class_names) == world.schema.num_classes


@each_dataset
def test_clips_are_deterministic_and_in_one_split(spec):
  worlds = [
    build.source(spec, SHAPE, split=split)
    for split in ('train', 'validation', 'test')
  ]
  worlds.append(build.source(spec | {'seed': 1}, SHAPE))
  again = pickle.loads(pickle.dumps(worlds[0]))
  assert same(again[5], worlds[0][5])
  assert not same(again[5], worlds[0][6])
  videos = [world[i]['video'].tobytes() for world in worlds for i in range(8)]
  assert len(set(videos)) == len(videos)
  for index in (-1, len(again)):
    with pytest.raises(IndexError, match='does not exist'):
      again[index]
    with pytest.raises(IndexError, match='does not exist'):
      again.truth(index)


@each_dataset
def test_truth_does_not_depend_on_earlier_calls(spec):
  world = build.source(spec, SHAPE)
  first = pickle.dumps(world.truth(4))
  world[4]['video'][:] = 0  # Clips may be overwritten.
  world.truth(3)
  assert pickle.dumps(world.truth(4)) == first


def test_datasets_work_in_the_pipeline():
  for spec in DATASETS[3:7]:
    world = build.source(spec, SHAPE)
    with pipeline.evaluation_batches(world, 4) as batches:
      batch = next(batches)
    for key, value in world[2].items():
      np.testing.assert_array_equal(batch[key][2], value)


@pytest.mark.parametrize('spec', MOVING, ids=by_name)
def test_a_median_over_time_removes_the_objects(spec, pixel_tools):
  # Otherwise objects would be part of the static background.
  world = build.source(spec, SHAPE)
  kept, still = [], []
  for i in range(30):
    video = world[i]['video']
    for kept_k, clip in ((kept, video), (still, video[:1])):
      median = pixel_tools.saturation(np.median(clip, axis=0)) > 60
      seen = (pixel_tools.saturation(video[:1]) > 60).sum()
      kept_k.append(median.sum() / seen)
  # With actions, some objects rest.
  most = 0.2 if by_name(spec) == 'Actions' else 0.05
  assert np.mean(kept) <= most
  assert np.mean(still) == 1  # Static clips are detected.


@pytest.mark.parametrize(
  'spec', [*MOVING[:4], {'name': 'synthetic.orbit.source.Orbit'}], ids=by_name
)
def test_an_object_moves_further_than_two_of_its_widths(spec, pixel_tools):
  world = build.source(spec, SHAPE)
  for i in range(60):
    center_t2 = pixel_tools.track(world[i]['video'])
    steps_tt2 = center_t2[:, None] - center_t2
    assert np.linalg.norm(steps_tt2, axis=-1).max() > 4 * world.truth(i).radius


def num_calls(function) -> int:
  """Returns how many functions are called, of Python and of C."""
  count = 0

  def profile(frame, event, argument):
    nonlocal count
    count += event in ('call', 'c_call')

  sys.setprofile(profile)
  try:
    function()
  finally:
    sys.setprofile(None)
  return count


@each_dataset
def test_sources_have_no_loop_over_pixels(spec):
  """A clip has 16,384 pixels; 85 to 606 calls were counted per clip."""
  world = build.source({'name': spec['name']}, SHAPE)
  world[0]
  assert num_calls(lambda: world[1]) < 2_000


def test_a_loop_over_pixels_is_noticed():
  pixels = np.zeros(16 * 32 * 32)
  assert num_calls(lambda: [pixels.item(i) for i in range(9_000)]) > 2_000


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ({'split': 'tests'}, "split is 'tests'; .* Did you mean 'test'"),
    ({'num_clips': 0}, 'num_clips is 0; it must be from 1'),
    ({'seed': -1}, 'seed is -1'),
    ({'num_objects': 7}, 'num_objects is 7; it must be from 1 to 6'),
    (
      {'name': 'synthetic.two_futures.source.TwoFutures', 'fork': 0},
      'fork is 0',
    ),
    (
      {
        'name': 'synthetic.two_futures.source.TwoFutures',
        'weights': (0.5, 0.6),
      },
      '2 numbers, each at least 0, that add up to 1',
    ),
    (
      {'name': 'synthetic.layouts.source.Layouts', 'texture': 'wave'},
      "mean 'waves'",
    ),
    (
      {'name': 'synthetic.degraded.source.Degraded', 'kind': 'noisy'},
      "mean 'noise'",
    ),
    (
      {'name': 'synthetic.degraded.source.Degraded', 'kind': 'low_resolution'}
      | {'factor': 5},
      'factor is 5; it must divide',
    ),
    ({'name': 'synthetic.crowd.source.Crowd', 'num_objects': 9}, 'from 1 to 8'),
    (
      {'name': 'synthetic.crowd.source.Crowd', 'anomalies': ()},
      'anomalies is empty',
    ),
    ({'name': 'synthetic.scenes.source.Scenes', 'num_shots': 9}, 'from 1 to 8'),
    (
      {'name': 'synthetic.orbit.source.Orbit', 'periods': (9, 8)},
      'from 4 to 8',
    ),
    (
      {'name': 'synthetic.subjects.source.Subjects', 'num_subjects': 5},
      'from 6 to',
    ),
  ],
)
def test_invalid_values_are_rejected(spec, message):
  with pytest.raises(ValueError, match=message):
    build.source({'name': 'synthetic.bounce.source.Bounce'} | spec, SHAPE)


@pytest.mark.parametrize(
  'shape', [(2, 32, 32, 3), (16, 8, 32, 3), (16, 32, 32, 1)]
)
def test_clips_that_are_too_small_are_rejected(shape):
  with pytest.raises(
    ValueError, match='Bounce needs 3 channels and at least 4 frames'
  ):
    build.source({'name': 'synthetic.bounce.source.Bounce'}, shape)

"""Tests of world/verifier.py: real clips are valid, and the report is right."""

import functools
import time

import numpy as np
import pytest

from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.synthetic.world.corruptions import registry as corruptions
from vgen_jax.synthetic.world.corruptions import rerendering

FINE, MIDDLE, COARSE, TINY = 'fine', 'middle', 'coarse', 'tiny'
WORLDS = {
  FINE: dict(clip_shape=(16, 64, 64, 3), label=tuple(world_lib.FACTORS)),
  MIDDLE: dict(clip_shape=(16, 32, 32, 3), label=tuple(world_lib.FACTORS)),
  COARSE: dict(
    clip_shape=(8, 16, 16, 3),
    label=('color', 'direction'),
    only={'shape': 'circle', 'size': 'large', 'speed': 'quickly'},
  ),
  TINY: dict(clip_shape=(8, 16, 16, 3), label=tuple(world_lib.FACTORS)),
}
each_world = pytest.mark.parametrize('which', [MIDDLE, COARSE, TINY])


@functools.cache
def world_of(which: str) -> world_lib.World:
  return world_lib.World(split='test', **WORLDS[which])


@functools.cache
def clips_of(which: str, count: int = 48) -> tuple[np.ndarray, np.ndarray]:
  """Returns clips and their labels, which must not be changed."""
  clips = [world_of(which)[i] for i in range(count)]
  return tuple(np.stack([c[k] for c in clips]) for k in ('video', 'label'))


@each_world
def test_real_clips_are_valid(which):
  count = 128
  world, (video, label_b) = world_of(which), clips_of(which, count)
  verifier = verifier_lib.Verifier(world)
  report = verifier.report(video, label_b)
  assert report['validity_strict'] >= 0.99
  assert report['validity_loose'] >= 0.99
  assert report['class_accuracy_valid'] >= 0.99
  assert report['class_accuracy_all'] >= 0.99
  assert report['valid_and_correct'] >= 0.99
  assert report['coverage'] == pytest.approx(1, abs=0.06)
  features = verifier.features(video)
  truth_b2 = np.stack([world.truth(i).velocity_2 for i in range(count)])
  assert np.abs(features.velocity_b2 - truth_b2).max() < 0.1
  for factor, kept in world.factors_kept.items():
    expected = [kept.index(world.factors(i)[factor]) for i in range(count)]
    assert np.mean(features.factors[factor] == expected) >= 0.99


def held_out_world(split: str) -> world_lib.World:
  held_out = ({'color': 'red', 'direction': 'up'},)
  return world_lib.World((16, 32, 32, 3), split=split, held_out=held_out)


def test_coverage_is_relative_to_the_split():
  """With held-out combinations, the split 'test' shows only these."""
  world = held_out_world('test')
  video = np.stack([world[i]['video'] for i in range(64)])
  assert world.num_combinations == 4 * 2 * 2
  assert verifier_lib.Verifier(world).report(video)['coverage'] > 0.9
  # Valid combinations of other splits do not count.
  others = verifier_lib.Verifier(held_out_world('train')).report(video)
  assert others['validity_strict'] == 1
  assert others['coverage'] == 0


@each_world
def test_wrong_labels_change_only_the_accuracy(which):
  verifier, (video, label_b) = (
    verifier_lib.Verifier(world_of(which)),
    clips_of(which),
  )
  right = verifier.report(video, label_b)
  wrong = verifier.report(video, label_b + 1)
  class_values = (
    'class_accuracy_valid',
    'class_accuracy_all',
    'valid_and_correct',
  )
  for name in (*class_values, 'caption_accuracy'):
    assert right.pop(name) == 1
    assert wrong.pop(name) == 0
  for name in [name for name in right if name.startswith('accuracy')]:
    assert right.pop(name) == 1
    wrong.pop(name)  # The next label has some factors in common.
  assert wrong == right


@pytest.mark.parametrize(
  'which', [pytest.param(MIDDLE, marks=pytest.mark.slow), COARSE, TINY]
)
def test_time_reversal_changes_only_the_direction(which):
  world, (video, _) = world_of(which), clips_of(which, 256)
  # After a bounce, forward and backward motion may be the same.
  free_b = np.array(
    [
      np.ptp(np.diff(world.truth(i).center_t2, axis=0), axis=0).max() < 1e-6
      for i in range(len(video))
    ]
  )
  assert free_b.sum() >= 8
  verifier = verifier_lib.Verifier(world)
  there = verifier.features(video[free_b])
  back = verifier.features(video[free_b, ::-1])
  assert verifier.valid(back, verifier_lib.STRICT).all()
  for factor, values_b in there.factors.items():
    same_b = values_b == back.factors[factor]
    assert not same_b.any() if factor == 'direction' else same_b.all()


def test_accuracy_of_each_requested_factor():
  world, (video, label_b) = world_of(MIDDLE), clips_of(MIDDLE)
  verifier = verifier_lib.Verifier(world)
  requested = [dict(world.factors(i)) for i in range(48)]
  assert verifier.report(video, factors=requested)['caption_accuracy'] == 1
  for one in requested[:12]:
    one['color'] = 'red' if one['color'] != 'red' else 'blue'
  for one in requested[6:18]:
    one['speed'] = 'slowly' if one['speed'] == 'quickly' else 'quickly'
  report = verifier.report(video, factors=requested)
  assert report['accuracy_color'] == report['accuracy_speed'] == 36 / 48
  assert report['accuracy_shape'] == report['accuracy_direction'] == 1
  assert report['caption_accuracy'] == 30 / 48
  # Labels of all factors determine captions; other labels only some factors.
  report = verifier.report(video, label_b)
  assert report['caption_accuracy'] == report['accuracy_size'] == 1
  coarse = verifier_lib.Verifier(world_of(COARSE))
  video, label_b = clips_of(COARSE)
  swapped_b = np.where(np.arange(48) < 12, (label_b + 8) % 48, label_b)
  report = coarse.report(video, swapped_b)
  assert report['accuracy_color'] == report['caption_accuracy'] == 36 / 48
  assert report['accuracy_direction'] == 1
  assert 'accuracy_shape' not in report
  by_color = world_lib.World(**WORLDS[COARSE] | {'label': 'color'})
  report = verifier_lib.Verifier(by_color).report(video, label_b // 8)
  assert report['accuracy_color'] == 1
  assert 'caption_accuracy' not in report


def test_permanence_and_presence():
  clips = rerendering.generate(world_of(MIDDLE), 48)
  video = clips.video_bthwc.copy()
  video[:12, 5] = drawing.BACKGROUND
  report = verifier_lib.Verifier(clips.world).report(video)
  assert report['object_permanence'] == 36 / 48
  assert report['object_presence'] == pytest.approx(1 - 12 / 48 / 16)


def test_reports_the_distance_to_real_clips():
  clips = rerendering.generate(world_of(MIDDLE), 48)
  verifier = verifier_lib.Verifier(clips.world)
  real = verifier.features(
    rerendering.generate(clips.world, 48, 48).video_bthwc
  )
  valid = verifier.report(clips.video_bthwc, real=real)
  corrupt = corruptions.corrupt(clips, 'hold', 1)
  assert verifier.report(corrupt, real=real)['verifier_frechet'] > 4 * (
    valid['verifier_frechet'] + valid['verifier_frechet_deviation']
  )
  assert 'verifier_frechet' not in verifier.report(corrupt)


def test_a_repeated_clip_has_low_coverage():
  video, label_b = clips_of(MIDDLE)
  report = verifier_lib.Verifier(world_of(MIDDLE)).report(
    np.repeat(video[:1], len(video), 0), label_b
  )
  assert report['validity_strict'] == 1
  assert report['coverage'] < 0.05
  assert report['class_accuracy_valid'] < 0.1


def test_missing_modes_lower_the_entropy():
  """Only half of the directions occur; other factors are unchanged."""
  verifier, (video, _) = (
    verifier_lib.Verifier(world_of(TINY)),
    clips_of(TINY, 256),
  )
  direction_b = verifier.features(video).factors['direction']
  whole, half = (
    verifier.report(video),
    verifier.report(video[direction_b % 2 == 0]),
  )
  assert whole['entropy_direction'] > 0.97
  assert half['entropy_direction'] < 0.7
  for factor in ('shape', 'color', 'size', 'speed'):
    assert half[f'entropy_{factor}'] > 0.95
  one = verifier.report(np.repeat(video[:1], 8, axis=0))
  assert one['entropy_direction'] == one['entropy_color'] == 0
  nothing = verifier.report(np.zeros_like(video[:4]))  # Nothing moves.
  assert nothing['entropy_direction'] == 0


def test_floats_equal_uint8_and_nan_is_invalid():
  video, _ = clips_of(COARSE)
  verifier = verifier_lib.Verifier(world_of(COARSE))
  float_video = video.astype(np.float32) / 127.5 - 1
  assert verifier.report(float_video) == pytest.approx(
    verifier.report(video), rel=1e-3, abs=1e-3
  )
  assert verifier.report(float_video * np.nan)['validity_loose'] == 0


def test_clips_of_another_shape_are_rejected():
  video, _ = clips_of(COARSE)
  with pytest.raises(ValueError, match=r'have shape \(16, 32, 32, 3\)'):
    verifier_lib.Verifier(world_of(MIDDLE)).features(video)


def test_labels_of_another_shape_are_rejected():
  video, label_b = clips_of(COARSE)
  verifier = verifier_lib.Verifier(world_of(COARSE))
  for wrong in (label_b[1:], label_b[:, None]):
    with pytest.raises(ValueError, match=r'labels have shape .* for 48 clips'):
      verifier.report(video, wrong)


@pytest.mark.parametrize('dtype', [np.int32, bool])
def test_unsupported_types_are_rejected(dtype):
  video, _ = clips_of(COARSE)
  with pytest.raises(TypeError, match=f'Clips are {np.dtype(dtype)}'):
    verifier_lib.Verifier(world_of(COARSE)).features(video.astype(dtype))


@pytest.mark.slow
@pytest.mark.parametrize('seed', [1, 2])
@pytest.mark.parametrize('which', WORLDS)
def test_real_clips_are_valid_at_full_size(which, seed):
  world = world_lib.World(**WORLDS[which], split='validation', seed=seed)
  clips = rerendering.generate(world, 512)
  verifier = verifier_lib.Verifier(world)
  begin = time.process_time()
  features = verifier.features(clips.video_bthwc)
  print(512 / (time.process_time() - begin), 'clips per CPU-second')
  report = verifier.numbers(features, factors=clips.factors)
  assert report['validity_strict'] >= 0.995
  assert report['caption_accuracy'] >= 0.995
  assert np.quantile(features.path_error_b, 0.99) < 0.1
  assert report['coverage'] >= 0.95

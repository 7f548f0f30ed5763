"""Tests of evaluation/judging/judge.py: the world passes, every fake of it fails."""

import functools
import time

import numpy as np
import pytest
from scipy import ndimage

from vgen_jax.data import drawing
from vgen_jax.data import world as world_lib
from vgen_jax.evaluation.judging import judge as judge_lib

FINE, MIDDLE, COARSE = 'fine', 'middle', 'coarse'
WORLDS = {
  FINE: dict(clip_shape=(16, 64, 64, 3), label=tuple(world_lib.FACTORS)),
  MIDDLE: dict(clip_shape=(16, 32, 32, 3), label=tuple(world_lib.FACTORS)),
  COARSE: dict(
    clip_shape=(8, 16, 16, 3),
    label=('color', 'direction'),
    only={'shape': 'circle', 'size': 'large', 'speed': 'quickly'},
  ),
}
each_world = pytest.mark.parametrize('which', WORLDS)


@functools.cache
def world_of(which: str) -> world_lib.World:
  return world_lib.World(split='test', **WORLDS[which])


@functools.cache
def clips_of(which: str, count: int = 48) -> tuple[np.ndarray, np.ndarray]:
  """Clips and their labels; do not write into them."""
  clips = [world_of(which)[i] for i in range(count)]
  return tuple(np.stack([c[k] for c in clips]) for k in ('video', 'label'))


def redrawn(
  which: str, *, shift=None, color=None, radius=1.0, shape=None, count=48
) -> np.ndarray:
  """The world's clips, with other places, colours, sizes or shapes."""
  world, rng = world_of(which), np.random.default_rng(0)
  videos = []
  for i in range(count):
    truth, factors = world.truth(i), world.factors(i)
    center_t2 = shift(rng, truth.center_t2, truth) if shift else truth.center_t2
    size = truth.radius * radius
    most = np.array(world.clip_shape[2:0:-1]) - 1 - size
    videos.append(
      drawing.paint(
        shape or factors['shape'],
        size,
        np.clip(center_t2, size, most),
        np.array(world_lib.COLORS[color or factors['color']]),
        world.clip_shape,
      )
    )
  return np.stack(videos)


def half_and_half(first_bthwc, second_bthwc):
  half = first_bthwc.shape[1] // 2
  return np.concatenate([first_bthwc[:, :half], second_bthwc[:, half:]], 1)


def static(which, video):
  return np.repeat(video[:, :1], video.shape[1], axis=1)


def frozen_from_the_middle(which, video):
  half = video.shape[1] // 2
  return half_and_half(video, np.repeat(video[:, half - 1 : half], 2 * half, 1))


def shuffled(which, video):
  rng = np.random.default_rng(0)
  return np.stack([rng.permutation(clip) for clip in video])


def noise(which, video):
  return np.random.default_rng(0).integers(0, 256, video.shape, np.uint8)


def blank(which, video):
  return np.full_like(video, drawing.BACKGROUND)


def mean_video(which, video):
  return np.repeat(video.mean(0, keepdims=True), len(video), 0).astype(np.uint8)


def mean_frame(which, video):
  return np.repeat(video.mean(1, keepdims=True), video.shape[1], 1).astype(
    np.uint8
  )


def heavily_blurred(which, video):
  sigma = 0.08 * video.shape[2]
  return ndimage.gaussian_filter(video, (0, 0, sigma, sigma, 0))


def two_objects(which, video):
  return np.maximum(video, np.roll(video, 1, axis=0))


def another_color_in_the_middle(which, video):
  return half_and_half(
    redrawn(which, color='red'), redrawn(which, color='cyan')
  )


def other_colors(which, video):
  return 255 - video[..., ::-1]


def gone_for_two_frames(which, video):
  video = video.copy()
  video[:, 3:5] = drawing.BACKGROUND
  return video


def jittering(which, video):
  sigma = 0.05 * video.shape[2]
  return redrawn(
    which, shift=lambda rng, c, _: c + rng.normal(0, sigma, c.shape)
  )


def too_large(which, video):
  return redrawn(which, radius=2.2)


def too_slow(which, video):
  def slower(rng, center_t2, truth):
    return center_t2[0] + 0.2 * (center_t2 - center_t2[0])

  return redrawn(which, shift=slower)


def unrelated_frames(which, video):
  return np.stack(
    [np.roll(video, i, axis=0)[:, i] for i in range(video.shape[1])], 1
  )


FAKES = (
  static,
  frozen_from_the_middle,
  shuffled,
  noise,
  blank,
  mean_video,
  mean_frame,
  heavily_blurred,
  two_objects,
  another_color_in_the_middle,
  other_colors,
  gone_for_two_frames,
  jittering,
  too_large,
  too_slow,
  unrelated_frames,
)


@each_world
def test_the_world_passes(which):
  count = 128
  world, (video, label_b) = world_of(which), clips_of(which, count)
  judge = judge_lib.Judge(world)
  report = judge.report(video, label_b)
  assert report['valid_strict'] >= 0.99
  assert report['valid_loose'] >= 0.99
  assert report['class_accuracy'] >= 0.99
  assert report['class_accuracy_all'] >= 0.99
  assert report['valid_and_right'] >= 0.99
  assert report['coverage'] == pytest.approx(1, abs=0.06)
  measured = judge.measure(video)
  truth_b2 = np.stack([world.truth(i).velocity_2 for i in range(count)])
  assert np.abs(measured.velocity_b2 - truth_b2).max() < 0.1
  for factor, kept in world.factors_kept.items():
    told = [kept.index(world.factors(i)[factor]) for i in range(count)]
    assert np.mean(measured.factors[factor] == told) >= 0.99


def test_coverage_knows_what_a_split_can_show():
  """With combinations held out, `test` shows few, and those are all."""
  world = world_lib.World(
    (16, 32, 32, 3),
    split='test',
    held_out=({'color': 'red', 'direction': 'up'},),
  )
  video = np.stack([world[i]['video'] for i in range(64)])
  assert world.num_combinations == 4 * 2 * 2
  assert judge_lib.Judge(world).report(video)['coverage'] > 0.9


@each_world
@pytest.mark.parametrize('fake', FAKES, ids=lambda fake: fake.__name__)
def test_a_fake_fails(which, fake):
  video, label_b = clips_of(which)
  report = judge_lib.Judge(world_of(which)).report(fake(which, video), label_b)
  assert report['valid_loose'] <= 0.05
  assert report['valid_strict'] <= report['valid_loose']
  assert report['valid_and_right'] <= 0.05


@each_world
def test_wrong_labels_change_only_the_accuracy(which):
  judge, (video, label_b) = judge_lib.Judge(world_of(which)), clips_of(which)
  right = judge.report(video, label_b)
  wrong = judge.report(video, label_b + 1)
  for name in ('class_accuracy', 'class_accuracy_all', 'valid_and_right'):
    assert wrong.pop(name) == 0
    assert right.pop(name) == 1
  assert wrong == right


@each_world
def test_time_reversal_changes_only_the_direction(which):
  world, (video, _) = world_of(which), clips_of(which, 256)
  # After a bounce the way back may well be the way there.
  free_b = np.array(
    [
      np.ptp(np.diff(world.truth(i).center_t2, axis=0), axis=0).max() < 1e-6
      for i in range(len(video))
    ]
  )
  assert free_b.sum() >= 8
  judge = judge_lib.Judge(world)
  there = judge.measure(video[free_b])
  back = judge.measure(video[free_b, ::-1])
  assert judge.valid(back, judge_lib.STRICT).all()
  for factor, values_b in there.factors.items():
    same_b = values_b == back.factors[factor]
    assert not same_b.any() if factor == 'direction' else same_b.all()


def test_no_single_number_is_enough():
  video, _ = clips_of(MIDDLE)
  judge = judge_lib.Judge(world_of(MIDDLE))
  measures = lambda fake: judge.measure(fake(MIDDLE, video))
  assert measures(static).path_error_b.max() < 1e-3  # A perfect line.
  assert measures(static).iou_b.min() > 0.9
  assert measures(gone_for_two_frames).path_error_b.max() < 0.15
  assert measures(blank).noise_b.max() == 0
  assert measures(shuffled).color_drift_b.max() < 20
  assert measures(jittering).stalled_b.max() < 0.2


def test_a_model_that_draws_one_clip_covers_little():
  video, label_b = clips_of(MIDDLE)
  report = judge_lib.Judge(world_of(MIDDLE)).report(
    np.repeat(video[:1], len(video), 0), label_b
  )
  assert report['valid_strict'] == 1
  assert report['coverage'] < 0.05
  assert report['class_accuracy'] < 0.1


def test_floats_count_as_pixels_and_nan_as_nothing():
  video, _ = clips_of(COARSE)
  judge = judge_lib.Judge(world_of(COARSE))
  float_video = video.astype(np.float32) / 127.5 - 1
  assert judge.report(float_video) == pytest.approx(
    judge.report(video), rel=1e-3, abs=1e-3
  )
  assert judge.report(float_video * np.nan)['valid_loose'] == 0


def test_refuses_clips_of_another_shape():
  video, _ = clips_of(COARSE)
  with pytest.raises(ValueError, match=r"needs \('b', 16, 32, 32, 3\)"):
    judge_lib.Judge(world_of(MIDDLE)).measure(video)


@pytest.mark.slow
@pytest.mark.parametrize('seed', [1, 2])
def test_the_world_passes_at_length(seed):
  world = world_lib.World(**WORLDS[FINE], split='validation', seed=seed)
  clips = [world[i] for i in range(512)]
  video, label_b = (np.stack([c[k] for c in clips]) for k in ('video', 'label'))
  judge = judge_lib.Judge(world)
  begin = time.process_time()
  report = judge.report(video, label_b)
  assert 512 / (time.process_time() - begin) >= 100  # Clips per CPU-second.
  assert report['valid_strict'] >= 0.995
  assert report['class_accuracy_all'] >= 0.995  # Of all five factors.
  assert np.quantile(judge.measure(video).path_error_b, 0.99) < 0.1
  assert report['coverage'] >= 0.95

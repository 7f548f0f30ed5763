"""Tests of registry.py: the verifier detects every corruption."""

from collections.abc import Iterable
import functools

import numpy as np
import pytest

from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import metric
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.synthetic.world.corruptions import registry as corruptions
from vgen_jax.synthetic.world.corruptions import rerendering

WORLDS = {
  'fine': dict(clip_shape=(16, 64, 64, 3), label=tuple(world_lib.FACTORS)),
  'middle': dict(clip_shape=(16, 32, 32, 3), label=tuple(world_lib.FACTORS)),
  'coarse': dict(
    clip_shape=(8, 16, 16, 3),
    only={'shape': 'circle', 'size': 'large', 'speed': 'quickly'},
  ),
}
# The value that each corruption must change, and in which direction.
FALL, RISE = -1, 1
AFFECTED = {
  'blur': ('shape_iou', FALL),
  'pixelate': ('shape_iou', FALL),
  'noise': ('residual_rms', RISE),
  'gradient': ('residual_patch', RISE),
  'checkerboard': ('residual_rms', RISE),
  'flash': ('residual_patch', RISE),
  'trail': ('residual_patch', RISE),
  'ghost': ('residual_patch', RISE),
  'second_object': ('residual_rms', RISE),
  'halo': ('residual_patch', RISE),
  'hollow': ('color_error', RISE),
  'pulse': ('size_change', RISE),
  'morph': ('shape_switch_fraction', RISE),
  'drift_color': ('color_drift', RISE),
  'swap_color': ('accuracy_color', FALL),
  'jitter': ('path_error', RISE),
  'zigzag': ('path_error', RISE),
  'wrong_speed': ('speed_error', RISE),
  'accelerate': ('speed_drift', RISE),
  'stutter': ('path_error', RISE),
  'wrap_around': ('path_error', RISE),
  'hold': ('stalled_fraction', RISE),
  'pause': ('stalled_fraction', RISE),
  'freeze': ('stalled_fraction', RISE),
  'vanish': ('object_presence', FALL),
  'shuffle': ('path_error', RISE),
  'reverse': ('accuracy_direction', FALL),
  'collapse': ('coverage', FALL),
  'duplicate': ('coverage', FALL),
}
EMPTY = ('static', 'blank', 'random', 'mean')
# Obvious at every level: clips are invalid even in the loose tier.
OBVIOUS = (
  *(
    'gradient',
    'checkerboard',
    'flash',
    'trail',
    'ghost',
    'second_object',
    'halo',
  ),
  *('hollow', 'pulse', 'morph', 'zigzag', 'wrong_speed', 'accelerate', 'hold'),
  *('stutter', 'pause', 'freeze', 'vanish', *EMPTY),
)
VALID = ('swap_color', 'reverse', 'collapse', 'duplicate')


@functools.cache
def clips_of(which: str, num: int) -> rerendering.Clips:
  """Returns clips that must not be changed."""
  return rerendering.generate(
    world_lib.World(split='test', **WORLDS[which]), num
  )


def report(clips: rerendering.Clips, video: np.ndarray) -> dict[str, float]:
  return verifier_lib.Verifier(clips.world).report(video, factors=clips.factors)


def levels(name: str, clips: rerendering.Clips) -> list[float]:
  """Returns the levels that are possible at the size of the clips."""
  _, t, h, _, _ = clips.video_bthwc.shape
  kind = corruptions.CORRUPTIONS[name]
  most = {'frames': t - 1, 'width, pixels': h}.get(kind.unit, np.inf)
  if name == 'zigzag':
    most = h / 8  # Walls limit larger ones.
  if name in ('collapse', 'duplicate'):
    most = len(clips.factors) / 2
  return [x for x in kind.levels if x <= most]


@functools.cache
def report_of(which: str, num: int) -> dict[str, float]:
  clips = clips_of(which, num)
  return report(clips, clips.video_bthwc)


def check_monotone(name: str, which: str, num: int, step: int = 1) -> list:
  """Returns the reports of a corruption, whose value changes with the level.

  Args:
    name: Corruption.
    which: World.
    num: Number of its clips.
    step: Uses every `step`-th level, and the first and the last.

  Returns:
    The report of each level.

  Raises:
    AssertionError: If the value does not change from level to level.
  """
  clips = clips_of(which, num)
  number, sign = AFFECTED[name]
  better = {FALL: 'higher', RISE: 'lower'}[sign]
  assert metric.VALUES[number].better == better
  every = levels(name, clips)
  reports = [report_of(which, num)] + [
    report(clips, corruptions.corrupt(clips, name, level))
    for level in [*every[:-1:step], every[-1]]
  ]
  numbers = np.array([found[number] for found in reports])
  assert (sign * np.diff(numbers) > 0).all(), numbers
  if name not in VALID:
    assert (np.diff([found['validity_strict'] for found in reports]) <= 0).all()
  if name in OBVIOUS:
    check_invalid(reports[1])
  return reports[1:]


def check_obvious(reports: Iterable[dict[str, float]]) -> None:
  """Fails unless clips are invalid at every level of an obvious corruption."""
  for found in reports:
    check_invalid(found, strict=0.03, loose=0.05)


def check_invalid(
  found: dict[str, float], strict: float = 0.05, loose: float = 0.1
) -> None:
  # A repeated frame at a wall, or an occluded object, is not detectable.
  assert found['validity_strict'] <= strict
  assert found['validity_loose'] <= loose


@pytest.mark.parametrize('name', AFFECTED)
def test_values_are_monotone_in_the_level(name):
  check_monotone(name, 'middle', 12, step=99)


@pytest.mark.slow
@pytest.mark.parametrize('name', AFFECTED)
def test_values_are_monotone_in_every_level(name):
  check_monotone(name, 'middle', 24)


@pytest.mark.slow
@pytest.mark.parametrize('name', AFFECTED)
def test_values_are_monotone_in_the_level_at_full_size(name):
  """If the corruption is obvious, clips are invalid, too.

  Only the first and the last level are tested at this size; the test above has
  all levels, at a smaller size.
  """
  reports = check_monotone(name, 'fine', 128, step=99)
  if name in OBVIOUS:
    check_obvious(reports)


@pytest.mark.parametrize(
  'which', [pytest.param('middle', marks=pytest.mark.slow), 'coarse']
)
@pytest.mark.parametrize('name', OBVIOUS)
def test_obvious_corruptions_are_invalid(name, which):
  clips = clips_of(which, {'middle': 40, 'coarse': 64}[which])
  found = report(
    clips, corruptions.corrupt(clips, name, levels(name, clips)[0])
  )
  check_invalid(found)
  if name in EMPTY:
    assert found['validity_loose'] == 0


@pytest.mark.slow
@pytest.mark.parametrize('name', EMPTY)
def test_clips_without_content_are_invalid_at_full_size(name):
  """All other obvious corruptions are tested above, where levels grow."""
  assert set(OBVIOUS) - set(EMPTY) <= set(AFFECTED)
  clips = clips_of('fine', 128)
  check_obvious(
    report(clips, corruptions.corrupt(clips, name, level))
    for level in levels(name, clips)
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'level', 'least'),
  [('blur', 0.7, 0.95), ('noise', 15, 0.95), ('jitter', 0.8, 0.85)],
)
def test_small_errors_are_loosely_valid(name, level, least):
  clips = clips_of('fine', 128)
  found = report(clips, corruptions.corrupt(clips, name, level))
  assert found['validity_loose'] >= least
  assert found['validity_strict'] <= 0.1


@pytest.mark.parametrize('name', VALID)
def test_corruptions_of_the_set_leave_clips_valid(name):
  clips = clips_of('middle', 64)
  level = corruptions.CORRUPTIONS[name].levels[-1]
  found = report(clips, corruptions.corrupt(clips, name, level))
  assert found['validity_strict'] == 1
  assert found['object_permanence'] == 1


def test_a_shape_that_the_dataset_lacks_is_detected():
  """The dataset keeps only circles, and every frame shows a square."""
  clips = clips_of('coarse', 64)
  square = rerendering.rerender(clips, shapes=['square'] * 64)
  assert report(clips, square)['shape_mismatch'] > 0.1
  assert report(clips, square)['validity_loose'] == 0


@pytest.mark.parametrize('name', corruptions.CORRUPTIONS)
def test_corruptions_are_deterministic_and_change_the_video(name):
  clips = clips_of('coarse', 16)
  low, *_, high = corruptions.CORRUPTIONS[name].levels * 2
  if corruptions.CORRUPTIONS[name].unit == 'frames':
    high = low + 1
  before = clips.video_bthwc.copy()
  first = corruptions.corrupt(clips, name, high, seed=1)
  again = corruptions.corrupt(clips, name, high, seed=1)
  np.testing.assert_array_equal(first, again)
  np.testing.assert_array_equal(before, clips.video_bthwc)
  assert first.shape == before.shape
  assert first.dtype == np.uint8
  assert (first != before).any()


def test_an_unknown_name_is_rejected():
  with pytest.raises(ValueError, match=r"'blurr'.*Did you mean 'blur'"):
    corruptions.corrupt(clips_of('coarse', 16), 'blurr', 1)


def test_corruptions_have_the_requested_extent():
  clips = clips_of('coarse', 64)
  video = clips.video_bthwc
  corrupt = functools.partial(corruptions.corrupt, clips)
  same_bt = (corrupt('freeze', 3) == video).all((2, 3, 4))
  assert (same_bt == (np.arange(8) < 5)).all()
  gone_bt = (corrupt('vanish', 2) == drawing.BACKGROUND).all((2, 3, 4))
  assert (gone_bt.sum(1) == 2).all()
  changed_b = (corrupt('swap_color', 0.3) != video).any((1, 2, 3, 4))
  assert 0.1 < changed_b.mean() < 0.5
  more_b = (corrupt('swap_color', 0.6) != video).any((1, 2, 3, 4))
  assert more_b[changed_b].all()  # The same clips and more.
  assert (corrupt('shuffle', 1.0) != video).any((2, 3, 4)).all()
  noise = corrupt('noise', 6).astype(float) - video
  assert noise[..., 0].std() == pytest.approx(6, rel=0.1)
  assert len(np.unique(corrupt('duplicate', 4), axis=0)) == 4

"""Tests of degradations.py, and of the judge by them: each is seen as it is."""

import functools

import numpy as np
import pytest

from vgen_jax.synthetic.world import corruptions
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import metric
from vgen_jax.synthetic.world import rerendering
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as judge_lib

WORLDS = {
  'fine': dict(clip_shape=(16, 64, 64, 3), label=tuple(world_lib.FACTORS)),
  'middle': dict(clip_shape=(16, 32, 32, 3), label=tuple(world_lib.FACTORS)),
  'coarse': dict(
    clip_shape=(8, 16, 16, 3),
    only={'shape': 'circle', 'size': 'large', 'speed': 'quickly'},
  ),
}
# The number of a report that each is about, and whether it falls or rises.
FALL, RISE = -1, 1
ABOUT = {
  'blur': ('shape_iou', FALL),
  'pixelate': ('shape_iou', FALL),
  'noise': ('residual_rms', RISE),
  'gradient': ('residual_patch', RISE),
  'checkerboard': ('residual_rms', RISE),
  'flash': ('residual_patch', RISE),
  'trail': ('residual_patch', RISE),
  'ghost': ('residual_patch', RISE),
  'second': ('residual_rms', RISE),
  'halo': ('residual_patch', RISE),
  'hollow': ('color_error', RISE),
  'pulse': ('size_change', RISE),
  'morph': ('shape_switch_fraction', RISE),
  'drift_color': ('color_drift', RISE),
  'swap_color': ('accuracy_color', FALL),
  'jitter': ('path_error', RISE),
  'zigzag': ('path_error', RISE),
  'pace': ('speed_error', RISE),
  'accelerate': ('speed_drift', RISE),
  'stutter': ('path_error', RISE),
  'no_walls': ('path_error', RISE),
  'hold': ('stalled_fraction', RISE),
  'pause': ('stalled_fraction', RISE),
  'freeze': ('stalled_fraction', RISE),
  'vanish': ('object_presence', FALL),
  'shuffle': ('path_error', RISE),
  'reverse': ('accuracy_direction', FALL),
  'collapse': ('coverage', FALL),
  'copies': ('coverage', FALL),
}
NOTHING = ('static', 'blank', 'random', 'mean')
# Seen at a glance, at every level: not even a learner may do it.
GROSS = (
  *('gradient', 'checkerboard', 'flash', 'trail', 'ghost', 'second', 'halo'),
  *('hollow', 'pulse', 'morph', 'zigzag', 'pace', 'accelerate', 'hold'),
  *('stutter', 'pause', 'freeze', 'vanish', *NOTHING),
)
LAWFUL = ('swap_color', 'reverse', 'collapse', 'copies')


@functools.cache
def clips_of(which: str, num: int) -> rerendering.Clips:
  """Do not write into them."""
  return rerendering.draw(world_lib.World(split='test', **WORLDS[which]), num)


def report(clips: rerendering.Clips, video: np.ndarray) -> dict[str, float]:
  return judge_lib.Verifier(clips.world).report(video, factors=clips.factors)


def levels(name: str, clips: rerendering.Clips) -> list[float]:
  """Those of the table that so short and small clips can show."""
  _, t, h, _, _ = clips.video_bthwc.shape
  kind = corruptions.DEGRADATIONS[name]
  most = {'frames': t - 1, 'width, pixels': h}.get(kind.unit, np.inf)
  if name == 'zigzag':
    most = h / 8  # More and the walls hold it.
  if name in ('collapse', 'copies'):
    most = len(clips.factors) / 2
  return [x for x in kind.levels if x <= most]


def check_monotone(name: str, clips: rerendering.Clips) -> None:
  number, sign = ABOUT[name]
  better = {FALL: 'higher', RISE: 'lower'}[sign]
  assert metric.VALUES[number].better == better
  reports = [report(clips, clips.video_bthwc)] + [
    report(clips, corruptions.corrupt(clips, name, level))
    for level in levels(name, clips)
  ]
  numbers = np.array([found[number] for found in reports])
  assert (sign * np.diff(numbers) > 0).all(), numbers
  if name not in LAWFUL:
    assert (np.diff([found['validity_strict'] for found in reports]) <= 0).all()


@pytest.mark.parametrize('name', ABOUT)
def test_more_damage_is_seen_as_more(name):
  check_monotone(name, clips_of('middle', 24))


@pytest.mark.slow
@pytest.mark.parametrize('name', ABOUT)
def test_more_damage_is_seen_as_more_at_length(name):
  check_monotone(name, clips_of('fine', 512))


@pytest.mark.parametrize('which', ['middle', 'coarse'])
@pytest.mark.parametrize('name', GROSS)
def test_no_learner_may_do_it(name, which):
  clips = clips_of(which, {'middle': 40, 'coarse': 64}[which])
  found = report(
    clips, corruptions.corrupt(clips, name, levels(name, clips)[0])
  )
  # A frame that stays at a wall, or a thing behind another, goes unseen.
  assert found['validity_strict'] <= 0.05
  assert found['validity_loose'] <= 0.1
  if name in NOTHING:
    assert found['validity_loose'] == 0


@pytest.mark.slow
@pytest.mark.parametrize('name', GROSS)
def test_no_learner_may_do_it_at_length(name):
  clips = clips_of('fine', 512)
  for level in levels(name, clips):
    found = report(clips, corruptions.corrupt(clips, name, level))
    assert found['validity_strict'] <= 0.03, level
    assert found['validity_loose'] <= 0.05, level


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'level', 'least'),
  [('blur', 0.7, 0.95), ('noise', 15, 0.95), ('jitter', 0.8, 0.85)],
)
def test_a_learner_may_be_a_little_off(name, level, least):
  clips = clips_of('fine', 512)
  found = report(clips, corruptions.corrupt(clips, name, level))
  assert found['validity_loose'] >= least
  assert found['validity_strict'] <= 0.1


@pytest.mark.parametrize('name', LAWFUL)
def test_what_breaks_no_law_stays_valid(name):
  clips = clips_of('middle', 64)
  level = corruptions.DEGRADATIONS[name].levels[-1]
  found = report(clips, corruptions.corrupt(clips, name, level))
  assert found['validity_strict'] == 1
  assert found['object_permanence'] == 1


def test_a_shape_unknown_here_is_seen():
  """The world keeps circles alone, and a square lies in every frame."""
  clips = clips_of('coarse', 64)
  square = rerendering.rerender(clips, shapes=['square'] * 64)
  assert report(clips, square)['shape_mismatch'] > 0.1
  assert report(clips, square)['validity_loose'] == 0


@pytest.mark.parametrize('name', corruptions.DEGRADATIONS)
def test_spoils_by_seed_and_level_what_it_should(name):
  clips = clips_of('coarse', 16)
  low, *_, high = corruptions.DEGRADATIONS[name].levels * 2
  if corruptions.DEGRADATIONS[name].unit == 'frames':
    high = low + 1
  before = clips.video_bthwc.copy()
  first = corruptions.corrupt(clips, name, high, seed=1)
  again = corruptions.corrupt(clips, name, high, seed=1)
  np.testing.assert_array_equal(first, again)
  np.testing.assert_array_equal(before, clips.video_bthwc)
  assert first.shape == before.shape
  assert first.dtype == np.uint8
  assert (first != before).any()


def test_says_what_is_known():
  with pytest.raises(ValueError, match=r"'blurr'.*Did you mean 'blur'"):
    corruptions.corrupt(clips_of('coarse', 16), 'blurr', 1)


def test_spoils_as_told():
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
  assert more_b[changed_b].all()  # The same clips, and others.
  assert (corrupt('shuffle', 1.0) != video).any((2, 3, 4)).all()
  noise = corrupt('noise', 6).astype(float) - video
  assert noise[..., 0].std() == pytest.approx(6, rel=0.1)
  assert len(np.unique(corrupt('copies', 4), axis=0)) == 4

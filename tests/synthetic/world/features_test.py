"""Tests of measurements.py: judge space is far from every visible artefact."""

import functools
import itertools

import numpy as np
import pytest

from vgen_jax.synthetic.world import corruptions
from vgen_jax.synthetic.world import features
from vgen_jax.synthetic.world import rerendering
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as judge_lib

FINE = dict(clip_shape=(16, 64, 64, 3))
COARSE = dict(
  clip_shape=(8, 16, 16, 3),
  only={'shape': 'circle', 'size': 'large', 'speed': 'quickly'},
)
# Each clip is lawful, and the set as a whole too, or poor in its variety alone.
UNSEEN = ('swap_color', 'reverse')
LAWFUL = (*UNSEEN, 'collapse', 'copies')
VISIBLE = [x for x in corruptions.DEGRADATIONS if x not in LAWFUL]


class Space:
  """Sets of clips of one world, and their distances."""

  def __init__(self, num: int, **world):
    self.clips, *others = (
      rerendering.draw(world_lib.World(seed=seed, **world), num)
      for seed in range(3)
    )
    self.judge = judge_lib.Verifier(self.clips.world)
    sets = [self.measure(x.video_bthwc) for x in (self.clips, *others)]
    self.real = sets[1]
    self.floor = np.mean(
      [self.distance(a, b) for a, b in itertools.combinations(sets, 2)]
    )

  def measure(self, video: np.ndarray) -> features.ClipFeatures:
    return self.judge.measure(video)

  def distance(self, a, b) -> float:
    return features.judge_distance(a, b, self.clips.world).value

  def ratio(self, name: str, level: float) -> float:
    """Distance of spoilt clips to others that are real, in floors."""
    spoilt = self.measure(corruptions.corrupt(self.clips, name, level))
    return self.distance(spoilt, self.real) / self.floor


@functools.cache
def coarse() -> Space:
  return Space(128, **COARSE)


@functools.cache
def fine() -> Space:
  return Space(512, **FINE)


@pytest.mark.parametrize('name', VISIBLE)
def test_what_one_sees_is_far(name):
  level = corruptions.DEGRADATIONS[name].levels[0]
  if name == 'shuffle':
    level = 0.3  # Of 8 frames 0.15 is one, and that stays where it is.
  assert coarse().ratio(name, level) >= 10


@pytest.mark.parametrize('name', UNSEEN)
def test_what_no_clip_alone_shows_is_at_the_floor(name):
  assert coarse().ratio(name, 1.0) <= 2


@pytest.mark.slow
@pytest.mark.parametrize('name', VISIBLE)
def test_what_one_sees_is_far_at_length(name):
  assert fine().ratio(name, corruptions.DEGRADATIONS[name].levels[0]) >= 10


@pytest.mark.slow
@pytest.mark.parametrize('name', UNSEEN)
def test_what_no_clip_alone_shows_is_at_the_floor_at_length(name):
  for level in corruptions.DEGRADATIONS[name].levels:
    assert fine().ratio(name, level) <= 2


def test_it_grows_when_variety_shrinks():
  ratios = [coarse().ratio('copies', level) for level in (64, 16, 4, 1)]
  assert (np.diff(ratios) > 0).all()
  assert ratios[-1] > 50


@pytest.mark.parametrize('value', [0, 24, 255, 'random', 'huge', 'nan'])
def test_any_video_has_a_place(value):
  shape = (2, *COARSE['clip_shape'])
  if isinstance(value, int):
    video = np.full(shape, value, np.uint8)
  elif value == 'random':
    video = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  else:
    video = np.full(shape, {'huge': 1e30, 'nan': np.nan}[value], np.float32)
  judge = coarse().judge
  place_bd = features.judge_space(judge.measure(video), judge.world)
  assert place_bd.shape == (2, 27)
  assert np.isfinite(place_bd).all()
  assert np.abs(place_bd).max() < 1e3


def test_says_how_sure_it_is():
  a, b = coarse().measure(coarse().clips.video_bthwc), coarse().real
  found = features.judge_distance(a, b, coarse().clips.world)
  assert 0 < found.deviation < found.value
  assert (found.num_a, found.num_b) == (128, 128)
  assert coarse().distance(a, a) == pytest.approx(0, abs=1e-4)

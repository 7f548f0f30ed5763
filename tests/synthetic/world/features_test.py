"""Tests of features.py: visible corruptions are far in the feature space."""

import functools
import itertools

import numpy as np
import pytest

from vgen_jax.synthetic.world import features
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.synthetic.world.corruptions import registry as corruptions
from vgen_jax.synthetic.world.corruptions import rerendering

FINE = dict(clip_shape=(16, 64, 64, 3))
COARSE = dict(
  clip_shape=(8, 16, 16, 3),
  only={'shape': 'circle', 'size': 'large', 'speed': 'quickly'},
)
# Each clip is valid; the set is normal (INVISIBLE), or has too little variety.
INVISIBLE = ('swap_color', 'reverse')
VALID = (*INVISIBLE, 'collapse', 'duplicate')
VISIBLE = [x for x in corruptions.CORRUPTIONS if x not in VALID]
# One or two for each kind of number in the feature space.
QUICK = (
  *('blur', 'noise', 'halo', 'hollow', 'pulse', 'morph', 'drift_color'),
  *('jitter', 'wrong_speed', 'accelerate', 'hold', 'vanish', 'static'),
)


class Space:
  """Sets of clips of one dataset, and their distances."""

  def __init__(self, num: int, **world):
    self.clips, *others = (
      rerendering.generate(world_lib.World(seed=seed, **world), num)
      for seed in range(3)
    )
    self.verifier = verifier_lib.Verifier(self.clips.world)
    sets = [self.features(x.video_bthwc) for x in (self.clips, *others)]
    self.real = sets[1]
    self.floor = np.mean(
      [self.distance(a, b) for a, b in itertools.combinations(sets, 2)]
    )

  def features(self, video: np.ndarray) -> features.ClipFeatures:
    return self.verifier.features(video)

  def distance(self, a, b) -> float:
    return features.feature_distance(a, b, self.clips.world).value

  def ratio(self, name: str, level: float) -> float:
    """Distance of corrupt clips to other real ones, relative to the floor."""
    corrupted = self.features(corruptions.corrupt(self.clips, name, level))
    return self.distance(corrupted, self.real) / self.floor


@functools.cache
def coarse() -> Space:
  return Space(128, **COARSE)


@functools.cache
def fine() -> Space:
  return Space(512, **FINE)


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
    for name in VISIBLE
  ],
)
def test_visible_corruptions_are_far(name):
  level = corruptions.CORRUPTIONS[name].levels[0]
  if name == 'shuffle':
    level = (
      0.3  # 0.15 of 8 frames is a single one, which a cycle does not move.
    )
  assert coarse().ratio(name, level) >= 10


@pytest.mark.parametrize('name', INVISIBLE)
def test_corruptions_of_valid_clips_are_at_the_floor(name):
  assert coarse().ratio(name, 1.0) <= 2


@pytest.mark.slow
@pytest.mark.parametrize('name', VISIBLE)
def test_visible_corruptions_are_far_at_full_size(name):
  assert fine().ratio(name, corruptions.CORRUPTIONS[name].levels[0]) >= 10


@pytest.mark.slow
@pytest.mark.parametrize('name', INVISIBLE)
def test_corruptions_of_valid_clips_are_at_the_floor_at_full_size(name):
  for level in corruptions.CORRUPTIONS[name].levels:
    assert fine().ratio(name, level) <= 2


def test_distance_grows_as_variety_shrinks():
  ratios = [coarse().ratio('duplicate', level) for level in (64, 16, 4, 1)]
  assert (np.diff(ratios) > 0).all()
  assert ratios[-1] > 50


@pytest.mark.parametrize('value', [0, 24, 255, 'random', 'huge', 'nan'])
def test_any_video_has_finite_features(value):
  shape = (2, *COARSE['clip_shape'])
  if isinstance(value, int):
    video = np.full(shape, value, np.uint8)
  elif value == 'random':
    video = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  else:
    video = np.full(shape, {'huge': 1e30, 'nan': np.nan}[value], np.float32)
  verifier = coarse().verifier
  vector_bd = features.feature_space(verifier.features(video), verifier.world)
  assert vector_bd.shape == (2, 27)
  assert np.isfinite(vector_bd).all()
  assert np.abs(vector_bd).max() < 1e3


def test_distance_has_a_deviation_and_counts():
  a, b = coarse().features(coarse().clips.video_bthwc), coarse().real
  found = features.feature_distance(a, b, coarse().clips.world)
  assert 0 < found.deviation < found.value
  assert (found.num_a, found.num_b) == (128, 128)
  assert coarse().distance(a, a) == pytest.approx(0, abs=1e-4)

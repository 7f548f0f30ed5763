"""Tests of two_futures/verifier.py: each kind of wrong model is detected."""

import numpy as np
import pytest
from scipy import ndimage

from vgen_jax.synthetic.two_futures import source
from vgen_jax.synthetic.two_futures import verifier

WORLDS = {
  'two': source.TwoFutures((16, 32, 32, 3), 'test'),
  'two, coarse': source.TwoFutures((8, 16, 16, 3), 'test'),
  'three': source.ThreeFutures((16, 32, 32, 3), 'test'),
  'three, coarse': source.ThreeFutures((8, 16, 16, 3), 'test'),
}
each_world = pytest.mark.parametrize(
  'name',
  [
    'two', pytest.param('two, coarse', marks=pytest.mark.slow),
    pytest.param('three', marks=pytest.mark.slow), 'three, coarse',
  ],
)  # fmt: skip
B, N = 60, 10
INDEX = np.arange(B)


def every_future(world, count=B):
  branches = range(len(world.weights))
  return np.stack(
    [[world.future(i, k) for k in branches] for i in range(count)]
  )


def noisy(video, level):
  drawn = np.random.default_rng(0).normal(0, level, video.shape)
  return np.clip(video + drawn, 0, 255).astype(np.uint8)


@each_world
def test_every_future_is_classified(name):
  world = WORLDS[name]
  sample = every_future(world, 20)
  wanted = np.broadcast_to(np.arange(len(world.weights)), sample.shape[:2])
  soft = ndimage.gaussian_filter(sample, (0, 0, 0, 1, 1, 0))
  as_floats = sample.astype(np.float32) / 127.5 - 1
  # Models return only the predicted frames, or all frames.
  rest = sample[:, :, min(world.truth(i).fork for i in range(20)) :]
  for video in (sample, soft, noisy(sample, 15), as_floats, rest):
    found = verifier.compute_features(world, INDEX[:20], video)
    assert (found == wanted).mean() > 0.99


@each_world
def test_mixtures_and_corrupted_samples_are_ambiguous(name):
  world = WORLDS[name]
  every = every_future(world, 20).astype(np.float32)
  last = world.truth(0).fork - 1
  corrupted = {
    'mean': every.mean(1),
    'ghosts': 0.65 * every[:, 0] + 0.35 * every[:, 1],
    'both': np.abs(every[:, :2] - every[:, :1, :1]).max(1) + every[:, 0, :1],
    'still': np.repeat(every[:, 0, last : last + 1], every.shape[2], 1),
    'nothing': 0 * every[:, 0],
  }
  if every.shape[2] >= 16:  # In fewer frames, one of the two may not occur.
    odd_t111 = np.arange(16)[:, None, None, None] % 2 == 1
    corrupted['switch'] = np.where(odd_t111, every[:, 0], every[:, 1])
  for corruption, video in corrupted.items():
    video = np.clip(video[:, None], 0, 255).astype(np.uint8)
    found = verifier.compute_features(world, INDEX[:20], video)
    assert (found == verifier.AMBIGUOUS).mean() > 0.95, corruption
  grain = np.random.default_rng(0).integers(0, 256, every[:, :1].shape)
  found = verifier.compute_features(world, INDEX[:20], grain.astype(np.uint8))
  assert (found == verifier.AMBIGUOUS).all()


def passes(report):
  """Returns whether numbers are those of samples of the dataset."""
  return (
    report['fraction_ambiguous'] < 0.05
    and report['total_variation'] < 0.1
    and report['mode_coverage'] > report['mode_coverage_expected'] - 0.05
    and report['mode_entropy'] > report['mode_entropy_expected'] - 0.05
    and not report['leakage_detected']
  )


@pytest.mark.parametrize('name', ['two, coarse', 'three, coarse'])
def test_each_wrong_model_is_detected_by_its_own_number(name):
  world, rng = WORLDS[name], np.random.default_rng(0)
  num, every = len(world.weights), every_future(world)
  true_b1 = np.array([[world.branch(i)] for i in range(B)])
  fair_bn = rng.integers(0, num, (B, N))
  odds = [0.8] + [0.2 / (num - 1)] * (num - 1)
  draws = {
    'fair': fair_bn,
    'biased': rng.choice(num, p=odds, size=(B, N)),
    'one mode': 0 * fair_bn,
    'one random future for each past': np.repeat(fair_bn[:, :1], N, 1),
    'copies of the truth': np.repeat(true_b1, N, 1),
    'sometimes copies the truth': np.where(
      rng.random((B, N)) < 0.4, true_b1, fair_bn
    ),
  }
  reports = {
    who: verifier.report(
      world, INDEX, np.stack([every[i, k] for i, k in enumerate(branch_bn)])
    )
    for who, branch_bn in draws.items()
  }
  mean = every.mean(1, dtype=np.float32)[:, None].repeat(N, 1)
  reports['mean'] = verifier.report(world, INDEX, mean.astype(np.uint8))
  assert [who for who, report in reports.items() if passes(report)] == ['fair']

  shares = [v for k, v in reports['fair'].items() if k.startswith('fraction_')]
  assert sum(shares) == pytest.approx(1)
  first = 'fraction_left' if num == 2 else 'fraction_straight'
  assert reports['one mode'][first] == 1
  assert reports['biased'][first] == pytest.approx(0.8, abs=0.05)
  assert reports['biased']['total_variation'] > 0.2
  assert reports['one mode']['mode_coverage'] == pytest.approx(1 / num)
  constant = reports['one random future for each past']
  assert constant['total_variation'] < 0.15
  assert constant['mode_entropy'] == 0
  assert reports['mean']['fraction_ambiguous'] == 1
  assert reports['mean']['total_variation'] == 1
  leaks = {who: report['leakage_detected'] for who, report in reports.items()}
  assert {who for who in leaks if leaks[who]} == {
    'copies of the truth',
    'sometimes copies the truth',
  }
  assert reports['copies of the truth']['leakage'] == pytest.approx(1)
  # Its frequencies and modes are right; only the leakage shows.
  partial = reports['sometimes copies the truth']
  assert partial['leakage'] == pytest.approx(0.4, abs=0.1)
  assert partial['total_variation'] < 0.1


def test_expected_values_equal_those_of_random_samples():
  world, rng = WORLDS['two, coarse'], np.random.default_rng(1)
  index = np.arange(2000)
  drawn = verifier.summarize(world, index, rng.integers(0, 2, (2000, 4)))
  for name in ('mode_entropy', 'mode_coverage'):
    assert drawn[name] == pytest.approx(drawn[f'{name}_expected'], abs=0.02)
  scores = [
    verifier.summarize(world, index[:100], rng.integers(0, 2, (100, 4)))[
      'leakage_z_score'
    ]
    for _ in range(200)
  ]
  assert np.std(scores) == pytest.approx(1, abs=0.15)
  assert abs(np.mean(scores)) < 0.4  # All have the same truths.


def test_a_past_beyond_the_fork_is_rejected():
  world = WORLDS['two']
  sample = np.zeros((1, 1, 9, 32, 32, 3), np.uint8)
  with pytest.raises(ValueError, match='forks at frame 6'):
    verifier.compute_features(world, [0], sample)
  with pytest.raises(ValueError, match='Samples have shape'):
    verifier.compute_features(world, [0, 1], sample)
  longer = np.zeros((1, 1, world.clip_shape[0] + 1, 32, 32, 3), np.uint8)
  with pytest.raises(ValueError, match='Cut the samples'):
    verifier.compute_features(world, [0], longer)

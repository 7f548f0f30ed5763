"""Tests of scores/memorization.py: injected copies are found."""

import functools

import numpy as np
import pytest
import scipy.ndimage

from vgen_jax.evaluation.scores import memorization


@functools.cache
def random_clips(n, seed):
  """Returns random clips of a blob on a straight path over slow waves.

  They are cached: do not change them in index_n.
  """
  rng = np.random.default_rng(seed)
  x, y = np.meshgrid(np.arange(24), np.arange(24))
  start, speed = rng.uniform(4, 20, (n, 2)), rng.uniform(-1, 1, (n, 2))
  center = start[:, None] + speed[:, None] * np.arange(8)[:, None]
  center = center[..., None, None, :]
  far = (x - center[..., 0]) ** 2 + (y - center[..., 1]) ** 2
  blob = np.exp(-far / 12)[..., None] * rng.uniform(-1, 1, (n, 1, 1, 1, 3))
  phase = rng.uniform(0, 6.3, (n, 1, 1, 1, 1))
  wave = np.sin(x[..., None] / rng.uniform(2, 5, (n, 1, 1, 1, 1)) + phase)
  return (blob + 0.3 * wave).astype(np.float32)


@functools.cache
def random_thumbnails(n, seed):
  return memorization.thumbnails(random_clips(n, seed))


def injected(fraction, change, n=150):
  """Returns samples, of which some are copies, training and held-out clips.

  All are thumbnails.
  """
  rng = np.random.default_rng(3)
  sample, train = random_clips(n, 2).copy(), random_clips(300, 0)
  number = round(fraction * n)
  sample[:number] = change(train[rng.integers(0, 300, number)], rng)
  thumbnails = memorization.thumbnails(sample)
  return thumbnails, random_thumbnails(300, 0), random_thumbnails(200, 1)


CHANGES = {
  'exact': lambda x, rng: x,
  'noisy': lambda x, rng: x + rng.normal(0, 0.05, x.shape),
  'blurred': lambda x, rng: scipy.ndimage.gaussian_filter(x, (0, 0, 1, 1, 0)),
  'shifted': lambda x, rng: np.roll(x, 1, 2),
  'flipped': lambda x, rng: x[:, :, :, ::-1],
}
each_change = pytest.mark.parametrize('change', CHANGES)
each_fraction = pytest.mark.parametrize('fraction', [0.1, 0.25, 0.5, 1.0])


def check_rate(change, fraction):
  found = memorization.copies(*injected(fraction, CHANGES[change]))
  assert abs(found.rate - fraction) <= 0.06
  copied_n = np.arange(150) < round(fraction * 150)
  assert found.copied_n[copied_n].mean() > 0.9
  assert found.copied_n[~copied_n].sum() <= 4
  flipped_n = found.flipped_n[copied_n]
  assert flipped_n.mean() > 0.9 if change == 'flipped' else not any(flipped_n)


@each_change
def test_the_rate_is_the_fraction_of_copies(change):
  check_rate(change, 0.25)


@pytest.mark.slow
@each_change
@each_fraction
def test_the_rate_is_the_fraction_of_copies_for_all_fractions(change, fraction):
  check_rate(change, fraction)


@pytest.mark.parametrize('seed', [2, 5])
def test_without_copies_the_rate_is_small(seed):
  three = [
    random_thumbnails(*which) for which in ((150, seed), (300, 0), (200, 1))
  ]
  assert memorization.copies(*three).rate <= 0.03
  assert abs(memorization.data_copying_score(*three)) < 3


def check_score(change, fractions):
  scores = [
    memorization.data_copying_score(*injected(fraction, CHANGES[change]))
    for fraction in fractions
  ]
  assert (np.diff(scores) < -1).all()
  assert scores[1] < -3
  # If all samples are copies, each is nearer than each held-out clip.
  n, m = 150, 200
  assert scores[-1] == pytest.approx(-np.sqrt(3 * n * m / (n + m + 1)), rel=0.1)


def test_the_score_falls_with_the_fraction_of_copies():
  check_score('flipped', (0.0, 0.25, 1.0))


@pytest.mark.slow
@each_change
def test_the_score_falls_with_the_fraction_of_any_copies(change):
  check_score(change, (0.0, 0.25, 0.5, 1.0))


def test_the_score_is_computed_over_all_pairs():
  sample, train, held_out = injected(0.2, CHANGES['noisy'])
  near, usual = (memorization.nearest(x, train)[0] for x in (sample, held_out))
  u = (near[:, None] > usual).sum() - 150 * 200 / 2
  wanted = u / np.sqrt(150 * 200 * 351 / 12)
  found = memorization.data_copying_score(sample, train, held_out)
  assert found == pytest.approx(wanted, abs=1e-6)


def test_cells_distinguish_copies_from_a_dense_region():
  def clusters(n, fraction, seed):
    """Returns clips of a dense cluster, and of a wide one far away."""
    rng = np.random.default_rng(seed)
    dense_n = np.arange(n) < fraction * n
    width_n = np.where(dense_n, 0.1, 1.0)[:, None, None, None, None]
    clip = rng.normal(0, 1, (n, 2, 4, 4, 1)) * width_n
    return (clip + 5 * dense_n[:, None, None, None, None]).astype(np.float32)

  train, held_out = clusters(300, 0.5, 0), clusters(200, 0.5, 1)
  samples = clusters(200, 0.85, 2)
  assert memorization.data_copying_score(samples, train, held_out) < -3
  by_cell = functools.partial(memorization.data_copying_score, num_cells=2)
  assert abs(by_cell(samples, train, held_out)) < 3
  samples[:40], samples[-20:] = train[:40], train[-20:]
  assert by_cell(samples, train, held_out) < -3
  # A mirrored clip is in the cell of the original.
  mirrored = samples[:, :, :, ::-1]
  score = by_cell(samples, train, held_out)
  assert by_cell(mirrored, train, held_out) == pytest.approx(score, 0.01)
  with pytest.raises(ValueError, match='fewer cells'):
    memorization.data_copying_score(samples[:19], train, held_out)
  with pytest.raises(ValueError, match='num_cells is 301'):
    memorization.data_copying_score(samples, train, held_out, num_cells=301)


def test_mirrored_copies_are_found_only_with_flips():
  train = random_clips(300, 0)
  index = random_thumbnails(300, 0)
  mirrored = memorization.thumbnails(train[:50, :, :, ::-1])
  found, index_n, flipped = memorization.nearest(mirrored, index, block=64)
  assert found.max() < 1e-3
  np.testing.assert_array_equal(index_n, np.arange(50))
  assert flipped.all()
  # Without flips, nothing is nearer than usual.
  plain = np.sqrt(
    ((mirrored[:, None] - index[None, :]) ** 2).mean((2, 3, 4, 5)).min(1)
  )
  usual, *_ = memorization.nearest(random_thumbnails(200, 1), index)
  assert (plain < np.quantile(usual, 0.01)).mean() < 0.1


def test_clips_and_their_thumbnails_have_the_same_results():
  sets = random_clips(150, 2)[:40], random_clips(300, 0), random_clips(200, 1)
  sets = [x[:100] for x in sets]
  small = [memorization.thumbnails(x) for x in sets]
  np.testing.assert_array_equal(
    memorization.copies(*sets).distance_n,
    memorization.copies(*small).distance_n,
  )
  score = memorization.data_copying_score
  assert score(*sets) == score(*small)


def test_thumbnails_are_means_over_boxes():
  video = np.arange(2 * 4 * 4).reshape(1, 2, 4, 4, 1)
  small = memorization.thumbnails(video, (8, 2, 2))
  assert small.shape == (1, 2, 2, 2, 1)
  assert small[0, 0, 0, 0, 0] == np.mean([0, 1, 4, 5])
  assert small[0, 1, 1, 1, 0] == np.mean([26, 27, 30, 31])
  again = memorization.thumbnails(small, (8, 16, 16))
  np.testing.assert_array_equal(again, small)


def test_a_threshold_needs_enough_held_out_clips():
  clips = random_clips(20, 0)
  with pytest.raises(ValueError, match='needs 100 or more'):
    memorization.copies(clips, clips, clips)
  with pytest.raises(ValueError, match='one shape'):
    memorization.copies(clips[:, :4], clips, clips)


@pytest.mark.parametrize('which', [0, 1, 2])
def test_nan_and_empty_sets_are_errors(which):
  clips = [np.random.default_rng(0).normal(size=(100, 2, 4, 4, 1))] * 3
  assert memorization.data_copying_score(*clips) == 0
  clips[which] = clips[which].copy()
  clips[which][:, 0, 0, 0] = np.nan
  for find in (memorization.copies, memorization.data_copying_score):
    with pytest.raises(ValueError, match='not all finite'):
      find(*clips)
    with pytest.raises(ValueError, match='no clips in the'):
      find(*[x[: 0 if i == which else None] for i, x in enumerate(clips)])


def test_a_quantile_must_be_between_0_and_1():
  clips = np.zeros((100, 2, 4, 4, 1))
  for quantile in (0, 1, 2):
    with pytest.raises(ValueError, match=f'quantile is {quantile};'):
      memorization.copies(clips, clips, clips, quantile=quantile)

"""Injected copies of training clips are found, mirrored ones too."""

import functools

import numpy as np
import pytest
import scipy.ndimage

from vgen_jax.evaluation.scores import memorization


@functools.cache
def films(n, seed):
  """Smooth random clips: a blob on a straight path, and slow waves.

  Do not write into them.
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


def injected(share, change, n=150):
  """Samples of which a share are changed copies; what they copy; held-out."""
  rng = np.random.default_rng(3)
  sample, train = films(n, 2).copy(), films(300, 0)
  number = round(share * n)
  sample[:number] = change(train[rng.integers(0, 300, number)], rng)
  return sample, train, films(200, 1)


CHANGES = {
  'exact': lambda x, rng: x,
  'noisy': lambda x, rng: x + rng.normal(0, 0.05, x.shape),
  'blurred': lambda x, rng: scipy.ndimage.gaussian_filter(x, (0, 0, 1, 1, 0)),
  'shifted': lambda x, rng: np.roll(x, 1, 2),
  'flipped': lambda x, rng: x[:, :, :, ::-1],
}
each_change = pytest.mark.parametrize('change', CHANGES)
each_share = pytest.mark.parametrize('share', [0.1, 0.25, 0.5, 1.0])


def check_rate(change, share):
  found = memorization.copies(*injected(share, CHANGES[change]))
  assert abs(found.rate - share) <= 0.06
  copied_n = np.arange(150) < round(share * 150)
  assert found.copied_n[copied_n].mean() > 0.9
  assert found.copied_n[~copied_n].sum() <= 4
  flipped_n = found.flipped_n[copied_n]
  assert flipped_n.mean() > 0.9 if change == 'flipped' else not any(flipped_n)


@each_change
def test_the_rate_is_that_of_the_copies(change):
  check_rate(change, 0.25)


@pytest.mark.slow
@each_change
@each_share
def test_the_rate_is_that_of_the_copies_always(change, share):
  check_rate(change, share)


@pytest.mark.parametrize('seed', [2, 5])
def test_who_copies_nothing_is_not_accused(seed):
  three = films(150, seed), films(300, 0), films(200, 1)
  assert memorization.copies(*three).rate <= 0.03
  assert abs(memorization.copying(*three)) < 3


def check_copying(change, shares):
  scores = [
    memorization.copying(*injected(share, CHANGES[change])) for share in shares
  ]
  assert (np.diff(scores) < -1).all()
  assert scores[1] < -3
  # Where all are copies, each is nearer than each held-out clip.
  n, m = 150, 200
  assert scores[-1] == pytest.approx(-np.sqrt(3 * n * m / (n + m + 1)), rel=0.1)


def test_copying_grows_with_the_share_of_copies():
  check_copying('flipped', (0.0, 0.25, 1.0))


@pytest.mark.slow
@each_change
def test_copying_grows_with_the_share_of_any_copies(change):
  check_copying(change, (0.0, 0.25, 0.5, 1.0))


def test_copying_is_the_sum_over_pairs():
  sample, train, held_out = injected(0.2, CHANGES['noisy'])
  near, usual = (
    memorization.nearest(
      memorization.thumbnails(x), memorization.thumbnails(train)
    )[0]
    for x in (sample, held_out)
  )
  u = (near[:, None] > usual).sum() - 150 * 200 / 2
  wanted = u / np.sqrt(150 * 200 * 351 / 12)
  found = memorization.copying(sample, train, held_out)
  assert found == pytest.approx(wanted, abs=1e-6)


def test_cells_tell_copies_from_a_favourite_place():
  def places(n, share, seed):
    """Clips of a dense cluster, and of a loose one far away."""
    rng = np.random.default_rng(seed)
    dense_n = np.arange(n) < share * n
    width_n = np.where(dense_n, 0.1, 1.0)[:, None, None, None, None]
    clip = rng.normal(0, 1, (n, 2, 4, 4, 1)) * width_n
    return (clip + 5 * dense_n[:, None, None, None, None]).astype(np.float32)

  train, held_out = places(300, 0.5, 0), places(200, 0.5, 1)
  favours = places(200, 0.85, 2)
  assert memorization.copying(favours, train, held_out) < -3
  cells = dict(num_cells=2)
  assert abs(memorization.copying(favours, train, held_out, **cells)) < 3
  favours[:40], favours[-20:] = train[:40], train[-20:]
  assert memorization.copying(favours, train, held_out, **cells) < -3
  # Mirrored, a clip is in the cell of its original.
  mirrored = favours[:, :, :, ::-1]
  assert memorization.copying(mirrored, train, held_out, **cells) == (
    pytest.approx(memorization.copying(favours, train, held_out, **cells), 0.01)
  )
  with pytest.raises(ValueError, match='fewer cells'):
    memorization.copying(favours[:19], train, held_out)
  with pytest.raises(ValueError, match='num_cells is 301'):
    memorization.copying(favours, train, held_out, num_cells=301)


def test_without_flips_a_mirrored_copy_passes():
  train = films(300, 0)
  index = memorization.thumbnails(train)
  mirrored = memorization.thumbnails(train[:50, :, :, ::-1])
  found, place, flipped = memorization.nearest(mirrored, index, block=64)
  assert found.max() < 1e-3
  np.testing.assert_array_equal(place, np.arange(50))
  assert flipped.all()
  # What a search without them sees: nothing nearer than usual.
  plain = np.sqrt(
    ((mirrored[:, None] - index[None, :]) ** 2).mean((2, 3, 4, 5)).min(1)
  )
  usual, *_ = memorization.nearest(
    memorization.thumbnails(films(200, 1)), index
  )
  assert (plain < np.quantile(usual, 0.01)).mean() < 0.1


def test_thumbnails_are_means_of_boxes():
  video = np.arange(2 * 4 * 4).reshape(1, 2, 4, 4, 1)
  small = memorization.thumbnails(video, (8, 2, 2))
  assert small.shape == (1, 2, 2, 2, 1)
  assert small[0, 0, 0, 0, 0] == np.mean([0, 1, 4, 5])
  assert small[0, 1, 1, 1, 0] == np.mean([26, 27, 30, 31])
  again = memorization.thumbnails(small, (8, 16, 16))
  np.testing.assert_array_equal(again, small)


def test_a_threshold_from_few_clips_is_none():
  clips = films(20, 0)
  with pytest.raises(ValueError, match='needs 100 or more'):
    memorization.copies(clips, clips, clips)
  with pytest.raises(ValueError, match='one shape'):
    memorization.copies(clips[:, :4], clips, clips)


@pytest.mark.parametrize('which', [0, 1, 2])
def test_a_pixel_that_is_no_number_hides_no_copy(which):
  clips = [np.random.default_rng(0).normal(size=(100, 2, 4, 4, 1))] * 3
  assert memorization.copying(*clips) == 0
  clips[which] = clips[which].copy()
  clips[which][:, 0, 0, 0] = np.nan
  for find in (memorization.copies, memorization.copying):
    with pytest.raises(ValueError, match='not all finite'):
      find(*clips)
    with pytest.raises(ValueError, match='no clips in the'):
      find(*[x[: 0 if i == which else None] for i, x in enumerate(clips)])


def test_a_quantile_is_a_share():
  clips = np.zeros((100, 2, 4, 4, 1))
  for quantile in (0, 1, 2):
    with pytest.raises(ValueError, match=f'quantile is {quantile};'):
      memorization.copies(clips, clips, clips, quantile=quantile)

"""Injected copies of training clips are found, mirrored ones too."""

import numpy as np
import pytest

from vgen_jax.evaluation import memorization


def films(n, seed):
  """Smooth random clips: a blob on a straight path, and slow waves."""
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


def inject(share, change, n=150):
  rng = np.random.default_rng(3)
  sample, train = films(n, 2), films(300, 0)
  number = round(share * n)
  sample[:number] = change(train[rng.integers(0, 300, number)], rng)
  return memorization.copies(sample, train, films(200, 1))


CHANGES = {
  'exact': lambda x, rng: x,
  'noisy': lambda x, rng: x + rng.normal(0, 0.05, x.shape),
  'shifted': lambda x, rng: np.roll(x, 1, 2),
  'flipped': lambda x, rng: x[:, :, :, ::-1],
}


@pytest.mark.parametrize('change', CHANGES)
def test_the_rate_is_that_of_the_copies(change):
  found = inject(0.25, CHANGES[change])
  assert abs(found.rate - 0.25) <= 0.06
  copied = round(0.25 * 150)
  assert found.copied_n[:copied].mean() > 0.9
  if change == 'flipped':
    assert found.flipped_n[:copied].mean() > 0.9


@pytest.mark.parametrize('share', [0.0, 1.0])
def test_none_and_all(share):
  found = inject(share, CHANGES['exact'])
  assert found.rate <= 0.03 if share == 0 else found.rate == 1


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

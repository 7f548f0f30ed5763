"""Tests of source.py: one past, several futures of given probability."""

import numpy as np
import pytest

from vgen_jax.synthetic.two_futures import source

WORLDS = (source.TwoFutures, source.ThreeFutures)
SHAPES = ((16, 32, 32, 3), (8, 16, 16, 3), (12, 32, 48, 3))
each_world = pytest.mark.parametrize('cls', WORLDS, ids=lambda c: c.__name__)
each_shape = pytest.mark.parametrize('shape', SHAPES, ids=str)


def measured_branch(pixel_tools, video, fork) -> int:
  """Returns the future that the pixels show."""
  dx, dy = pixel_tools.track(video)[-1] - pixel_tools.track(video)[fork - 1]
  if abs(dy) < 0.3 and dx < 0:
    return 0
  return 1 if dy > 0.3 or dx > 0 else 2


@each_world
@each_shape
def test_pixels_show_the_truth(cls, shape, pixel_tools):
  world = cls(shape)
  for i in range(20):
    truth, video = world.truth(i), world[i]['video']
    np.testing.assert_allclose(
      pixel_tools.track(video), truth.center_t2, atol=0.1
    )
    saturation = pixel_tools.saturation(video)
    np.testing.assert_allclose(
      saturation / saturation.max(), truth.alpha_thw, atol=0.02
    )
    others = [
      measured_branch(pixel_tools, world.future(i, b), truth.fork)
      for b in (0, 1)
    ]
    assert measured_branch(pixel_tools, video, truth.fork) == truth.branch
    assert others == [0, 1]


@each_world
@each_shape
def test_futures_share_the_past_and_differ_from_the_fork_on(cls, shape):
  world = cls(shape)
  for i in range(10):
    truth = world.truth(i)
    futures = [world.future(i, b) for b in range(len(world.weights))]
    np.testing.assert_array_equal(world[i]['video'], futures[truth.branch])
    for k, one in enumerate(futures):
      for other in futures[:k]:
        differs_t = (one != other).any((1, 2, 3))
        assert differs_t.argmax() == truth.fork
        assert differs_t[truth.fork :].all()


def test_the_fork_is_at_the_given_frame():
  world = source.TwoFutures((16, 32, 32, 3), fork=3)
  assert world.truth(0).fork == 3
  hits = [source.ThreeFutures((16, 32, 32, 3)).truth(i).fork for i in range(30)]
  assert set(hits) == {7, 8}


@each_world
def test_frequencies_equal_the_weights(cls):
  number = 2000

  def deviation(world, weights):
    """Returns the largest one, in standard deviations of the count."""
    branches = [world.branch(i) for i in range(number)]
    counts = np.bincount(branches, minlength=len(weights))
    wanted = np.array(weights)
    error = abs(counts / number - wanted)
    return (error / np.sqrt(wanted * (1 - wanted) / number)).max()

  fair = cls((8, 16, 16, 3))
  biased_weights = (0.6, 0.4) if len(fair.weights) == 2 else (0.4, 0.3, 0.3)
  biased = cls((8, 16, 16, 3), weights=biased_weights)
  assert deviation(fair, fair.weights) < 4
  assert deviation(biased, biased_weights) < 4
  assert deviation(biased, fair.weights) > 4
  one_way = cls((8, 16, 16, 3), weights=(1.0,) + (0.0,) * len(fair.weights[1:]))
  assert {one_way.branch(i) for i in range(50)} == {0}


@each_world
def test_the_past_does_not_depend_on_the_future(cls, pixel_tools):
  world = cls((8, 16, 16, 3))
  branch = np.array([world.branch(i) for i in range(400)])

  def statistics(video):
    """Returns statistics of object, colour and background."""
    shade = video.min(-1).astype(float)
    return [
      *pixel_tools.track(video).mean(0),
      *video.max((0, 1, 2)),
      abs(np.diff(shade, axis=1)).mean(),
      abs(np.diff(shade, axis=2)).mean(),
      shade[:, 0, 0].mean(),
    ]

  def largest_correlation(frames):
    seen = np.array([statistics(world[i]['video'][frames]) for i in range(400)])
    return max(abs(np.corrcoef(value, branch)[0, 1]) for value in seen.T)

  assert largest_correlation(slice(None, 3)) < 0.17
  assert (
    largest_correlation(slice(-1, None)) > 0.4
  )  # The last frame depends on it.


def test_an_unknown_branch_is_rejected():
  with pytest.raises(ValueError, match='branch is 2; it must be from 0 to 1'):
    source.TwoFutures((8, 16, 16, 3)).future(0, 2)

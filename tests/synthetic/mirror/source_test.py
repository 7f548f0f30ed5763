"""Tests of synthetic/mirror/source.py: distant discs in opposite phase."""

import itertools

import numpy as np

from vgen_jax.synthetic.mirror import source

SHAPE = (16, 32, 32, 3)


def halves(pixel_tools, video, level):
  """Returns the position of the object in either half of the frame."""
  weight = pixel_tools.saturation(video)
  tracks = []
  for far in (False, True):
    half = weight.copy()
    cut = slice(None, 16) if far else slice(16, None)
    if level:
      half[:, cut] = 0
    else:
      half[:, :, cut] = 0
    tracks.append(pixel_tools.centroid(half))
  return np.array(tracks)


def correlation(a, b):
  return np.corrcoef(a - a[0], b - b[0])[0, 1]


def test_discs_move_in_opposite_phase(pixel_tools):
  world = source.Mirror(SHAPE)
  paths = {0: [], 1: []}
  for i in range(60):
    clip, truth = world[i], world.truth(i)
    level = int(clip['label'])
    center_2t2 = halves(pixel_tools, clip['video'], level)
    np.testing.assert_allclose(center_2t2, truth.center_2t2, atol=0.1)
    along_2t = center_2t2[..., 0 if level else 1]
    across_2t = center_2t2[..., 1 if level else 0]
    assert correlation(*along_2t) <= -0.99
    assert abs(np.diff(across_2t, axis=1)).max() < 0.1
    assert (
      across_2t[1] - across_2t[0] >= 24
    ).all()  # Outside a narrow receptive field.
    assert np.ptp(along_2t[0]) > 4 * truth.radius
    paths[level].append(along_2t)
  assert min(map(len, paths.values())) > 15
  # Discs of different clips are not correlated.
  unrelated = [
    correlation(a[0], b[1])
    for group in paths.values()
    for a, b in itertools.pairwise(group)
  ]
  assert abs(np.mean(unrelated)) < 0.3
  assert np.mean(np.array(unrelated) <= -0.99) < 0.1


def test_positions_of_the_discs_are_independent():
  truths = [source.Mirror(SHAPE).truth(i) for i in range(200)]
  # The sum of exact mirror images would be constant.
  sums_2 = np.array([t.center_2t2.mean((0, 1)) for t in truths]) * 2
  assert sums_2.std(0).min() > 1
  assert {t.colors[0] == t.colors[1] for t in truths} == {False}

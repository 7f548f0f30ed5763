"""Tests of source.py: appearance depends on the subject, and on the split."""

import colorsys

import numpy as np

from vgen_jax.synthetic import base
from vgen_jax.synthetic.subjects import source

SHAPE = (8, 64, 64, 3)


def measured_colors(clip) -> np.ndarray:
  """Mean colour, in [0, 1], of body and head, by the layout."""
  inner = clip['layout']
  return np.concatenate(
    [np.median(clip['video'][inner == k], axis=0) / 255 for k in (1, 2)]
  )


def worlds(**kwargs):
  return [
    source.Subjects(SHAPE, split=split, **kwargs) for split in base.SPLITS
  ]


def test_no_subject_is_in_two_splits():
  groups = [set(world.subjects) for world in worlds()]
  assert [len(group) for group in groups] == [40, 10, 10]
  assert len(set.union(*groups)) == 60
  for world, group in zip(worlds(), groups, strict=True):
    met = {world.subject(i) for i in range(400)}
    assert met == group


def test_held_out_subjects_look_different():
  train, _, test = worlds()
  splits = []
  for world in (train, test):
    seen = {}
    for i in range(150):
      seen.setdefault(world.subject(i), []).append(measured_colors(world[i]))
    splits.append({k: np.array(v) for k, v in seen.items()})
  spread = max(
    np.linalg.norm(v - v.mean(0), axis=1).max()
    for colors in splits
    for v in colors.values()
  )
  train_means, test_means = (
    np.array([v.mean(0) for v in colors.values()]) for colors in splits
  )
  gap = np.linalg.norm(train_means[:, None] - test_means[None], axis=-1)
  assert gap.min() > 0.15  # In six numbers; no two are similar.
  assert spread < gap.min() / 2  # A subject looks the same in all its clips.
  # Bodies differ within a split, and held-out ones are between the others.
  body = lambda a, b: np.linalg.norm(a[:, None, :3] - b[None, :, :3], axis=-1)
  within = body(train_means, train_means) + np.eye(len(train_means))
  assert within.min() > 0.05
  assert body(test_means, train_means).min(1).max() < 0.2
  # The mean subject is far from all held-out ones.
  assert abs(test_means[:, :3] - train_means[:, :3].mean(0)).mean() > 0.25


def test_references_show_the_same_subject_in_another_pose():
  world = source.Subjects(SHAPE, split='test', num_references=3)
  own, other = [], []
  for i in range(12):
    clip, references = world[i], world.references(i, 3)
    looks = measured_colors(clip)
    for k, reference in enumerate(references):
      np.testing.assert_array_equal(clip['reference'][k], reference['video'])
      np.testing.assert_array_equal(
        clip['reference_layout'][k], reference['layout']
      )
      assert (reference['layout'] != clip['layout']).any()
      own.append(np.linalg.norm(measured_colors(reference) - looks))
      assert world.truth(i, k).subject == world.truth(i).subject
    if world.subject(i) != world.subject(i + 1):
      other.append(np.linalg.norm(measured_colors(world[i + 1]) - looks))
    poses = {world.truth(i).pose_t[0]}
    poses |= {world.truth(i, k).pose_t[0] for k in range(3)}
    assert len(poses) == 4
  assert max(own) < min(other)


def test_pixels_show_the_truth(pixel_tools):
  world = source.Subjects(SHAPE)
  turns = [np.ptp(world.truth(i).pose_t) for i in range(15)]
  assert max(turns) > 3
  for i in range(15):
    truth, clip = world.truth(i), world[i]
    body_t2, head_t2 = (
      pixel_tools.centroid(clip['layout'] == k) for k in (1, 2)
    )
    np.testing.assert_allclose(body_t2, truth.body_t2, atol=0.35)
    np.testing.assert_allclose(head_t2, truth.head_t2, atol=0.35)
    arm_t2 = head_t2 - body_t2
    seen_t = np.arctan2(arm_t2[:, 1], arm_t2[:, 0])
    error_t = (seen_t - truth.pose_t + np.pi) % (2 * np.pi) - np.pi
    assert abs(error_t).max() < 0.08
    # Fully covered pixels have the colour of the part.
    body, head = truth.alpha_2thw
    color_k3 = clip['video'][head == 1] - truth.appearance.head_3
    assert abs(color_k3).max() < 1
    bright_k = (clip['video'][(body == 1) & (head == 0)]).max(-1)
    most = truth.appearance.body_s3.max()
    assert (bright_k >= 2 / 3 * most - 1).all()
    assert (bright_k <= most + 1).all()
    assert np.ptp(bright_k.astype(float)) > most / 6  # The stripes.


def test_the_pose_determines_the_visible_side():
  world = source.Subjects(SHAPE, split='test', num_references=3, num_sides=2)
  one = source.Subjects(SHAPE, split='test', num_references=3)
  changes = 0
  for i in range(12):
    truth, clip = world.truth(i), world[i]
    above_t = truth.head_t2[:, 1] < truth.body_t2[:, 1]
    np.testing.assert_array_equal(truth.side_t, above_t)
    changes += len(set(truth.side_t)) == 2
    body, head = truth.alpha_2thw
    inner = (body == 1) & (head == 0)
    for frame, side in enumerate(truth.side_t):
      color_k3 = clip['video'][frame][inner[frame]].astype(float)
      wanted_3 = truth.appearance.body_s3[side]
      ratio_k = color_k3.max(-1) / wanted_3.max()  # Darkened by stripes.
      np.testing.assert_allclose(color_k3, ratio_k[:, None] * wanted_3, atol=1)
    # Without sides the clip differs in the colours of the second side only.
    np.testing.assert_array_equal(clip['layout'], one[i]['layout'])
    same_t = (clip['video'] == one[i]['video']).all((1, 2, 3))
    np.testing.assert_array_equal(same_t, truth.side_t == 0)
    sides = [world.truth(i, k).side_t[0] for k in range(3)]
    assert sides == [0, 1, 0]
  assert changes > 2


def test_no_other_colors_determine_that_of_the_second_side():
  world = source.Subjects(SHAPE, num_sides=2)
  looks = [world.appearance(i) for i in range(60)]
  hue = lambda color_3: colorsys.rgb_to_hsv(*color_3)[0]
  first, second, head = np.array(
    [[*map(hue, look.body_s3), hue(look.head_3)] for look in looks]
  ).T
  # The difference of the sides is 0.3 to 0.7; `turn` is 0 to 1.
  turn = ((second - first) % 1 - 0.3) / 0.4
  assert turn.min() > -1e-6
  assert turn.max() < 1 + 1e-6
  assert np.histogram(turn, 4, (0, 1))[0].min() >= 8
  known = [
    abs(np.exp(2j * np.pi * (turn - m * first - n * head)).mean())
    for m in range(-60, 61)
    for n in range(-4, 5)
  ]
  assert max(known) < 0.4  # 1 if one combination of hues determines it.
  # Subjects with similar hues have no more similar turns than any others.
  chance = abs(turn[:, None] - turn).mean()
  circle = lambda x: np.minimum(x % 1, -x % 1)
  for hues in ([first], [head], [first, head]):
    gap = sum(circle(hue[:, None] - hue) for hue in hues) + np.eye(60)
    assert abs(turn - turn[gap.argmin(axis=1)]).mean() > 0.7 * chance


def test_layout_shows_pose_but_not_appearance(pixel_tools):
  world = source.Subjects(SHAPE)
  for i in range(5):
    assert set(np.unique(world[i]['layout'])) == {0, 1, 2}
    colorful = pixel_tools.saturation(world[i]['video']) > 50
    inside = world[i]['layout'] > 0
    overlap = (colorful & inside).sum() / (colorful | inside).sum()
    assert overlap > 0.8

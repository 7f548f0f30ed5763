"""Tests of families/translation/losses.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.families.translation import losses
from vgen_jax.synthetic.layouts import source


@pytest.fixture(scope='module')
def clip():
  """Real frames, those before, the exact flow and visible positions."""
  data = source.Layouts((6, 24, 24, 3), subpixel=True, flow=True, num_objects=4)
  video = (data[0]['video'] / np.float32(127.5) - 1)[None]
  visible = ~data.truth(0).flow.occluded_before_thw[None, 1:]
  return video[:, 1:], video[:, :-1], data[0]['flow'][None, 1:], visible


def test_exact_flow_matches_where_pixels_are_visible(clip):
  video, before, flow, visible = clip
  matches = compiled.jit(losses.matches)
  found = matches(before, video, flow)
  assert found[visible].all()
  assert found[~visible].mean() < 0.5
  moving = (flow != 0).any(axis=-1)
  # Without flow, few moving pixels match.
  still = matches(before, video, 0 * flow)
  assert still[visible & moving].mean() < 0.8 < found[visible & moving].mean()


def test_exact_flow_has_no_error_and_wrong_flow_has(clip):
  video, before, flow, visible = clip
  error = compiled.jit(losses.flow_error)
  assert error(flow, flow, visible) == 0
  assert error(flow + np.float32(0.5), flow, visible) == pytest.approx(0.5)
  # What does not count has no effect.
  other = np.where(visible[..., None], flow, flow + np.float32(9))
  assert error(other, flow, visible) == 0
  warp_error = compiled.jit(losses.warp_error)
  warp = lambda flow: warp_error(before, video, flow, visible)
  assert warp(flow) < 0.004
  for wrong in (0 * flow, -flow, flow[..., ::-1]):
    assert warp(wrong) > 2 * warp(flow)


def test_a_few_moving_positions_count_as_much_as_all_others():
  reference = np.zeros((1, 1, 10, 10, 2), np.float32)
  reference[..., 0, :2, 0] = 2.0
  ones = np.ones((1, 1, 10, 10), bool)
  flow_error = compiled.jit(losses.flow_error)
  error = lambda flow, counts=ones: flow_error(flow, reference, counts)

  def without(*index):
    counts = ones.copy()
    counts[..., *index] = False
    return counts

  assert error(reference) == 0
  # No flow is wrong in 2 of 100 positions, by 1 on average over x and y.
  assert error(0 * reference) == pytest.approx(0.5)
  assert error(reference + 0.5) == pytest.approx(0.5)
  assert error(0 * reference, without(0, 0)) == 0.5
  # If nothing else counts, the error is that of one group.
  assert error(0 * reference, without(0, slice(2))) == 0
  assert error(0 * reference, reference[..., 0] > 0) == 1
  assert error(reference + 9, 0 * ones) == 0
  # Weights of positions are weights within moving ones and others.
  weights = np.float32(ones)
  weights[..., 0, 0] = 3.0
  wrong = reference.copy()
  wrong[..., 0, 0, :] += 4.0
  assert error(wrong, weights) == pytest.approx(4 * 3 / 4 / 2)
  # Only the ratios of weights matter, also if their sum is below 1.
  assert error(wrong, 0.1 * weights) == pytest.approx(4 * 3 / 4 / 2)


def test_classes_count_equally():
  layout = np.zeros((2, 1, 4, 4), int)
  layout[0, 0, 0, 0] = 2
  layout[1, 0, 3] = -1
  weights_of = compiled.jit(losses.class_weights, static_argnums=1)
  pixel_error = compiled.jit(losses.pixel_error)
  weights = weights_of(layout, 4)
  assert weights.mean() == pytest.approx(1)
  assert weights[0, 0, 0, 0] == pytest.approx(weights[layout == 0].sum())
  assert (weights[layout == -1] == 0).all()
  # The error is the mean of the mean errors of the two classes.
  error = np.float32(np.where(layout == 2, 5.0, 1.0))
  masked_mean = compiled.jit(losses.masked_mean)
  assert masked_mean(error, weights) == pytest.approx(3)
  video = error[..., None].repeat(3, axis=-1)
  assert pixel_error(video, 0 * video, weights) == pytest.approx(3)
  assert pixel_error(video, video, weights) == 0
  # Without any class there is no weight, and no error.
  none = weights_of(np.full_like(layout, -1), 4)
  assert (none == 0).all()
  assert pixel_error(video, 0 * video, none) == 0


def test_means_are_over_selected_positions():
  error = jnp.array([[[[1.0, 3.0], [5.0, 100.0]]]])
  counts = jnp.array([[[[True, False], [True, False]]]])
  assert losses.masked_mean(error, counts) == 3
  assert losses.masked_mean(error, jnp.zeros_like(counts)) == 0
  assert losses.masked_mean(error, 0.01 * counts) == pytest.approx(3)
  slope = jax.grad(losses.masked_mean)(error, jnp.zeros_like(counts))
  assert (slope == 0).all()


def test_the_best_mask_is_one_where_warping_fails(clip):
  video, before, flow, visible = clip
  ones = np.ones(visible.shape, np.float32)
  moved = compiled.call(losses.warp.backward, before, flow)
  error = compiled.jit(lambda mask: losses.mask_error(mask, moved, video, ones))
  target = np.abs(moved - video).sum(-1).clip(0, 1)
  assert error(target) == pytest.approx(0, abs=1e-6)
  assert target[~visible].mean() > 0.3 > 0.05 > target[visible].mean()
  # Constant masks are much worse, although few pixels are hidden.
  assert target.mean() < 0.1
  assert min(error(ones), error(0 * ones), error(ones - target)) > 0.3
  # The mask follows the flow, not the flow the mask.
  gradient = compiled.call(
    jax.grad(lambda moved: losses.mask_error(0.5 * ones, moved, video, ones)),
    moved,
  )
  assert (gradient == 0).all()


def test_features_of_equal_clips_have_no_distance():
  features = [jnp.ones((2, 3)), jnp.arange(4.0)]
  assert losses.feature_distance(features, features) == 0
  other = [features[0] + 1, features[1] - 3]
  assert losses.feature_distance(features, other) == 2  # Mean of 1 and 3.
  with pytest.raises(ValueError, match='zip'):
    losses.feature_distance(features, features[:1])


@pytest.mark.parametrize('kind', ['hinge', 'least_squares'])
def test_losses_of_several_logits_are_added(kind):
  real = [jnp.array([[0.2, 1.4]]), jnp.array([[-0.3]])]
  fake = [jnp.array([[0.1]]), jnp.array([[0.7, -2.0]])]
  expected = sum(
    gan_losses.critic(kind, *pair) for pair in zip(real, fake, strict=True)
  )
  np.testing.assert_allclose(losses.critic(kind, real, fake), expected)
  expected = sum(gan_losses.generator(kind, x) for x in fake)
  np.testing.assert_allclose(losses.generator(kind, fake), expected)
  np.testing.assert_allclose(
    losses.critic(kind, real[0], fake[0]),
    gan_losses.critic(kind, real[0], fake[0]),
  )
  assert losses.flat(fake).tolist() == [pytest.approx([0.1, 0.7, -2.0])]

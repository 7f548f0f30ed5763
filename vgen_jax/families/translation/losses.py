"""Losses of translation: pixels, optical flow, masks, features and critics.

Flow is (x, y) in pixels, from a frame to the one before, as in nn/warp.py.
Frames are in [-1, 1].
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.nn import warp

# Largest squared distance of colours that match, from the released code of
# vid2vid, https://github.com/NVIDIA/vid2vid.
_MATCH = 0.02
_MOVING = 0.5  # Smallest flow of a moving pixel, in pixels.


def matches(
  before_bthwc: Array, video_bthwc: Array, flow_bthwx: Array
) -> Array:
  """Returns which pixels match the warped previous frame, bool `[b, t, h, w]`.

  Colours match if their squared distance, summed over channels, is below 0.02.
  The flow is then probably right, and the pixel visible in both frames.

  Args:
    before_bthwc: The previous frame of each frame of the video, in [-1, 1].
    video_bthwc: Video, in [-1, 1].
    flow_bthwx: Flow from each frame to the previous one, in pixels.
  """
  error_bthwc = warp.backward(before_bthwc, flow_bthwx) - video_bthwc
  return jnp.square(error_bthwc).sum(axis=-1) < _MATCH


def masked_mean(error_bthw: Array, weight_bthw: Array) -> Array:
  """Returns the mean error over selected positions; 0 if there are none.

  The released code of vid2vid divides by the number of all positions instead.

  Args:
    error_bthw: Errors.
    weight_bthw: Whether each position is included, bool; or its weight, at
      least 0. The mean does not depend on the scale of the weights.
  """
  weight = jnp.broadcast_to(weight_bthw, error_bthw.shape).astype(jnp.float32)
  total = weight.sum()
  return (weight * error_bthw).sum() / jnp.where(total > 0, total, 1)


def class_weights(layout_bthw: Array, num_classes: int) -> Array:
  """Returns weights of positions by which all classes count equally.

  The result is float32 `[b, t, h, w]`. The sum of the weights is the same for
  each class, and the mean of all weights is 1. Classes that no position has are
  left out; if all positions have no class, all weights are 0.

  Args:
    layout_bthw: Class of each position, int32; positions of no class have -1
      and the weight 0.
    num_classes: Number of classes.
  """
  one_hot_bthwk = jax.nn.one_hot(layout_bthw, num_classes)
  count_k = one_hot_bthwk.sum(axis=(0, 1, 2, 3))
  num_present = jnp.maximum((count_k > 0).sum(), 1)
  weight_k = layout_bthw.size / (num_present * jnp.maximum(count_k, 1))
  return one_hot_bthwk @ weight_k


def flow_error(
  flow_bthwx: Array, reference_bthwx: Array, weight_bthw: Array
) -> Array:
  """Returns the mean absolute error of flow, in pixels, a scalar.

  Two means are averaged: that over moving positions and that over all others.
  If there are no positions of one kind, the result is the mean over the other
  kind. So a flow of 0 has a large error even if few positions move. In the
  released code of vid2vid, the error is the mean over all positions.

  Args:
    flow_bthwx: Flow that a network predicts, in pixels.
    reference_bthwx: Flow to compare with, in pixels. Positions move where its
      length is 0.5 or more.
    weight_bthw: Positions over which the means are taken, bool, or weights.
  """
  error_bthw = jnp.abs(flow_bthwx - reference_bthwx).mean(axis=-1)
  moves_bthw = jnp.square(reference_bthwx).sum(axis=-1) >= _MOVING**2
  return _mean_of_groups(
    error_bthw, (weight_bthw * moves_bthw, weight_bthw * ~moves_bthw)
  )


def pixel_error(
  video_bthwc: Array, other_bthwc: Array, weight_bthw: Array
) -> Array:
  """Returns the mean absolute difference of clips, a scalar.

  Args:
    video_bthwc: Clips.
    other_bthwc: Clips to compare with.
    weight_bthw: Positions over which the mean is taken, bool, or weights.
  """
  error_bthwc = jnp.abs(video_bthwc - other_bthwc)
  return masked_mean(error_bthwc.mean(axis=-1), weight_bthw)


def warp_error(
  before_bthwc: Array,
  video_bthwc: Array,
  flow_bthwx: Array,
  weight_bthw: Array,
) -> Array:
  """Returns the mean absolute difference between frames and warped frames.

  The result is a scalar, in units of pixels in [-1, 1].

  Args:
    before_bthwc: The previous frame of each frame of the video, to be warped.
    video_bthwc: Video to compare with.
    flow_bthwx: Flow from each frame to the previous one, in pixels.
    weight_bthw: Positions over which the mean is taken, bool, or weights.
  """
  warped_bthwc = warp.backward(before_bthwc, flow_bthwx)
  return pixel_error(warped_bthwc, video_bthwc, weight_bthw)


def mask_error(
  mask_bthw: Array, warped_bthwc: Array, video_bthwc: Array, weight_bthw: Array
) -> Array:
  """Returns the mean absolute error of masks, a scalar.

  The target is the absolute difference between warped and real pixels, summed
  over channels and clipped to 1: a new pixel is needed where warping fails. No
  gradient flows to the target.

  Two means are averaged: one with the target as weights, and one with 1 minus
  the target. So a mask of 0 has a large error even if few new pixels are
  needed. In the released codes of vid2vid and of few-shot vid2vid, the error is
  the mean over all positions.

  Args:
    mask_bthw: Weights of new pixels, from 0 (warped pixels only) to 1.
    warped_bthwc: Real frames that the predicted flow has warped.
    video_bthwc: Real frames to generate.
    weight_bthw: Positions over which the means are taken, bool, or weights.

  Reference: the released code of Wang et al., "Few-shot Video-to-Video
  Synthesis", 2019, https://arxiv.org/abs/1910.12713
  """
  error_bthwc = jnp.abs(warped_bthwc - video_bthwc)
  target_bthw = jax.lax.stop_gradient(error_bthwc.sum(axis=-1).clip(0, 1))
  error_bthw = jnp.abs(mask_bthw - target_bthw)
  return _mean_of_groups(
    error_bthw, (weight_bthw * target_bthw, weight_bthw * (1 - target_bthw))
  )


def feature_distance(real: Sequence[Array], fake: Sequence[Array]) -> Array:
  """Returns the mean absolute difference of features, averaged over layers.

  Args:
    real: Features of real clips, one array for each layer.
    fake: Features of generated clips, of the same shapes.

  Reference: Wang et al., "High-Resolution Image Synthesis and Semantic
  Manipulation with Conditional GANs", 2017, https://arxiv.org/abs/1711.11585,
  equation 4, but with equal weights for all layers and all critics.
  """
  distances = [
    jnp.abs(one - other).astype(jnp.float32).mean()
    for one, other in zip(real, fake, strict=True)
  ]
  return jnp.stack(distances).mean()


def critic(kind: str, real_logits: Any, fake_logits: Any) -> Array:
  """Returns a critic's loss, summed over scales and frame rates, a scalar.

  Args:
    kind: One of `gan_losses.KINDS`, except 'relativistic'.
    real_logits: Logits of real clips, an array or a tree of arrays: one for
      each scale and rate.
    fake_logits: Logits of generated clips, in the same structure.
  """
  pairs = zip(
    jax.tree.leaves(real_logits), jax.tree.leaves(fake_logits), strict=True
  )
  return jnp.stack([gan_losses.critic(kind, *pair) for pair in pairs]).sum()


def generator(kind: str, fake_logits: Any) -> Array:
  """Returns the generator's loss, summed over scales and frame rates, a scalar.

  Args:
    kind: One of `gan_losses.KINDS`, except 'relativistic'.
    fake_logits: Logits of generated clips, in the structure of `critic`.
  """
  losses = [gan_losses.generator(kind, x) for x in jax.tree.leaves(fake_logits)]
  return jnp.stack(losses).sum()


def flat(logits: Any) -> Array:
  """Returns all logits of each clip, `[b, n]`.

  Args:
    logits: Logits `[b, ...]`, an array or a tree of arrays.
  """
  parts = [x.reshape(len(x), -1) for x in jax.tree.leaves(logits)]
  return jnp.concatenate(parts, axis=1)


def _mean_of_groups(error_bthw: Array, groups: Sequence[Array]) -> Array:
  """Returns the mean of the mean errors of groups that are not empty, or 0.

  Args:
    error_bthw: Errors.
    groups: Positions of each group, bool, or weights.
  """
  total = sum(masked_mean(error_bthw, group) for group in groups)
  num_groups = sum((group.sum() > 0).astype(jnp.float32) for group in groups)
  return total / jnp.maximum(num_groups, 1)

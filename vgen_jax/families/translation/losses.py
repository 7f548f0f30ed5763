"""Losses of optical flow, of masks and of features.

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

_MATCH = 0.02  # Largest squared distance of colours that match, as in the code.


def matches(
  before_bthwc: Array, video_bthwc: Array, flow_bthwx: Array
) -> Array:
  """Returns where warped frames equal the next ones, bool `[b, t, h, w]`.

  The flow is then probably right, and the pixel visible in both frames: the
  squared distance of the colours is below 0.02.

  Args:
    before_bthwc: The frame before each frame of the video.
    video_bthwc: Video.
    flow_bthwx: Flow from the video to the frames before.
  """
  error_bthwc = warp.backward(before_bthwc, flow_bthwx) - video_bthwc
  return jnp.square(error_bthwc).sum(axis=-1) < _MATCH


def masked_mean(error_bthw: Array, counts_bthw: Array) -> Array:
  """Returns the mean error over positions that count; 0 if there are none.

  The released code divides by the number of all positions instead.

  Args:
    error_bthw: Errors.
    counts_bthw: Which of them count, bool, or weights.
  """
  weight = jnp.broadcast_to(counts_bthw, error_bthw.shape).astype(jnp.float32)
  return (weight * error_bthw).sum() / jnp.maximum(weight.sum(), 1)


def flow_error(
  flow_bthwx: Array, reference_bthwx: Array, counts_bthw: Array
) -> Array:
  """Returns the mean absolute error of flow, in pixels, a scalar.

  Args:
    flow_bthwx: Flow of a network.
    reference_bthwx: Flow to compare with.
    counts_bthw: Positions that count.
  """
  error_bthwx = jnp.abs(flow_bthwx - reference_bthwx)
  return masked_mean(error_bthwx.mean(axis=-1), counts_bthw)


def warp_error(
  before_bthwc: Array,
  video_bthwc: Array,
  flow_bthwx: Array,
  counts_bthw: Array,
) -> Array:
  """Returns the mean absolute difference of warped frames from the next ones.

  Args:
    before_bthwc: The frame before each frame of the video.
    video_bthwc: Video.
    flow_bthwx: Flow from the video to the frames before.
    counts_bthw: Positions that count.
  """
  error_bthwc = jnp.abs(warp.backward(before_bthwc, flow_bthwx) - video_bthwc)
  return masked_mean(error_bthwc.mean(axis=-1), counts_bthw)


def mask_error(
  mask_bthw: Array, moved_bthwc: Array, video_bthwc: Array, counts_bthw: Array
) -> Array:
  """Returns the mean absolute error of masks, a scalar.

  The target is 0 where moved pixels equal those of the real frame, and 1 where
  they differ by 1 or more, summed over channels. No gradient flows to it.

  Args:
    mask_bthw: Weights of other pixels than the moved ones.
    moved_bthwc: Moved pixels, of real frames.
    video_bthwc: Real frames.
    counts_bthw: Positions that count.

  Reference: the released code of Wang et al., "Few-shot Video-to-Video
  Synthesis", 2019, https://arxiv.org/abs/1910.12713
  """
  error_bthwc = jnp.abs(moved_bthwc - video_bthwc)
  target_bthw = jax.lax.stop_gradient(error_bthwc.sum(axis=-1).clip(0, 1))
  return masked_mean(jnp.abs(mask_bthw - target_bthw), counts_bthw)


def feature_distance(real: Sequence[Array], fake: Sequence[Array]) -> Array:
  """Returns the mean absolute difference of features, the mean over layers.

  Args:
    real: Features of real clips, of each layer.
    fake: Features of generated clips.

  Reference: Wang et al., "High-Resolution Image Synthesis and Semantic
  Manipulation with Conditional GANs", 2017, https://arxiv.org/abs/1711.11585,
  equation 4, with each layer and each critic of the same weight.
  """
  distances = [
    jnp.abs(one - other).astype(jnp.float32).mean()
    for one, other in zip(real, fake, strict=True)
  ]
  return jnp.stack(distances).mean()


def critic(kind: str, real_logits: Any, fake_logits: Any) -> Array:
  """Returns the sum of the losses of all logits of a critic, a scalar.

  Args:
    kind: One of `gan_losses.KINDS` that needs no pairs.
    real_logits: Logits of real clips, an array or a tree of arrays: one for
      each scale and rate.
    fake_logits: Logits of generated clips.
  """
  pairs = zip(
    jax.tree.leaves(real_logits), jax.tree.leaves(fake_logits), strict=True
  )
  return jnp.stack([gan_losses.critic(kind, *pair) for pair in pairs]).sum()


def generator(kind: str, fake_logits: Any) -> Array:
  """Returns the sum of the generator's losses; arguments as in `critic`."""
  losses = [gan_losses.generator(kind, x) for x in jax.tree.leaves(fake_logits)]
  return jnp.stack(losses).sum()


def flat(logits: Any) -> Array:
  """Returns all logits of each clip, `[b, n]`.

  Args:
    logits: Logits `[b, ...]`, an array or a tree of arrays.
  """
  parts = [x.reshape(len(x), -1) for x in jax.tree.leaves(logits)]
  return jnp.concatenate(parts, axis=1)

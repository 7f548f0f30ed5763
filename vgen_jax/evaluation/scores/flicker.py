"""Temporal steadiness of clips, without ground truth.

All such scores are best for a still video. So steadiness is returned together
with the dynamic degree, and the warp error needs known motion: it does not
count motion, only other changes.
"""

from typing import NamedTuple

import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.evaluation.scores import reconstruction
from vgen_jax.nn import warp


class Steadiness(NamedTuple):
  """Two numbers per clip, which have to be read together.

  Attributes:
    steadiness_b: 1 minus the mean change of a pixel from frame to frame, as a
      fraction of the range; 1 for a frozen video, high for a blurred one.
    dynamic_degree_b: Proportion of pixels whose values differ by more than a
      tenth of the range within the clip; 0 for a frozen video.
  """

  steadiness_b: Array
  dynamic_degree_b: Array


def steadiness(
  video_bthwc: Array, value_range: reconstruction.Range | None = None
) -> Steadiness:
  """Returns how little consecutive frames differ, and how much of them moves.

  Args:
    video_bthwc: Clips of two frames or more.
    value_range: Range of the clips, as in `reconstruction.unit`.

  Raises:
    ValueError: If clips have fewer than two frames.
  """
  (t,) = shapes.sizes('t', video_bthwc=video_bthwc)
  if t < 2:
    raise ValueError(
      f'The number of frames is {t}; steadiness compares consecutive frames and'
      ' needs 2 or more. Use longer clips.'
    )
  video_bthwc = reconstruction.unit(video_bthwc, value_range)
  change_b = jnp.mean(jnp.abs(jnp.diff(video_bthwc, axis=1)), (1, 2, 3, 4))
  extent_bhwc = jnp.max(video_bthwc, 1) - jnp.min(video_bthwc, 1)
  moving_bhw = jnp.max(extent_bhwc, -1) > 0.1
  return Steadiness(1 - change_b, jnp.mean(moving_bhw, (1, 2)))


def warp_error(
  video_bthwc: Array,
  flow_bshwx: Array,
  visible_bshw: Array | None = None,
  value_range: reconstruction.Range | None = None,
) -> Array:
  """Returns the mean squared change of pixels along their motion, `[b]`.

  See Lai et al., "Learning Blind Video Temporal Consistency", 2018.

  Args:
    video_bthwc: Clips of t frames.
    flow_bshwx: s = t - 1 fields of (x, y) in pixels: the point at p in frame
      s + 1 was at p + flow in frame s.
    visible_bshw: Bool, False where the point at p in frame s + 1 was hidden in
      frame s. None for all; points from outside the frame never count.
    value_range: Range of the clips, as in `reconstruction.unit`.

  Returns:
    Errors of pixels in [0, 1]; NaN for a clip of which no pixel counts.

  Raises:
    ValueError: If the shapes do not match.
  """
  _, t, _, _ = shapes.sizes(
    'bthw', video_bthwc=video_bthwc, flow_bshwx=flow_bshwx
  )
  if flow_bshwx.shape[1] != t - 1 or flow_bshwx.shape[-1] != 2:
    raise ValueError(
      f'The flow has shape {flow_bshwx.shape}; {t} frames need {t - 1} fields'
      ' of 2 numbers (x, y) per pixel.'
    )
  video_bthwc = reconstruction.unit(video_bthwc, value_range)
  counts_bshw = warp.inside(flow_bshwx)
  if visible_bshw is not None:
    shapes.sizes('', flow_bshwx=flow_bshwx, visible_bshw=visible_bshw)
    counts_bshw &= visible_bshw.astype(bool)
  before_bshwc = warp.backward(video_bthwc[:, :-1], flow_bshwx)
  error_bshw = jnp.mean((video_bthwc[:, 1:] - before_bshwc) ** 2, -1)
  total_b = jnp.sum(jnp.where(counts_bshw, error_bshw, 0), (1, 2, 3))
  return total_b / jnp.sum(counts_bshw, (1, 2, 3))

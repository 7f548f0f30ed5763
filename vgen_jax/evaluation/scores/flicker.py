"""How steady a clip is from frame to frame, without any truth.

Every such number is best for a video that stands still. So steadiness comes
only together with the dynamic degree, and a warp error needs motion that is
known: it forgives motion, not change.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.evaluation.scores import reconstruction


class Steadiness(NamedTuple):
  """Two numbers a clip, of which neither means much alone.

  Attributes:
    steadiness_b: 1 less the mean change of a pixel from frame to frame, in
      shares of the range; 1 for a frozen video, high for a blurred one.
    dynamic_degree_b: Share of pixels that change by over a tenth of the range
      at some time in the clip; 0 for a frozen video.
  """

  steadiness_b: Array
  dynamic_degree_b: Array


def steadiness(
  video_bthwc: Array, value_range: reconstruction.Range | None = None
) -> Steadiness:
  """Returns how little frames differ, and whether anything moves at all.

  Args:
    video_bthwc: Clips of two frames or more.
    value_range: As in `reconstruction.unit`.

  Raises:
    ValueError: If clips have one frame.
  """
  (t,) = shapes.sizes('t', video_bthwc=video_bthwc)
  if t < 2:
    raise ValueError('Clips have one frame; steadiness needs 2 or more.')
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

  After Lai et al., "Learning Blind Video Temporal Consistency", 2018.

  Args:
    video_bthwc: Clips of t frames.
    flow_bshwx: s = t - 1 fields of (x, y) in pixels: what is at p in frame
      s + 1 was at p + flow in frame s.
    visible_bshw: False where what is at p in frame s + 1 was hidden in frame s.
      None takes all; what came from outside the frame never counts.
    value_range: As in `reconstruction.unit`.

  Returns:
    Errors of pixels in [0, 1]; NaN for a clip of which nothing counts.

  Raises:
    ValueError: If shapes do not fit.
  """
  _, t, h, w = shapes.sizes(
    'bthw', video_bthwc=video_bthwc, flow_bshwx=flow_bshwx
  )
  if flow_bshwx.shape[1] != t - 1 or flow_bshwx.shape[-1] != 2:
    raise ValueError(
      f'The flow is {flow_bshwx.shape}; {t} frames have {t - 1} fields between'
      ' them, of 2 numbers (x, y) a pixel.'
    )
  video_bthwc = reconstruction.unit(video_bthwc, value_range)
  x_bshw = flow_bshwx[..., 0] + jnp.arange(w, dtype=jnp.float32)[(None,) * 3]
  y_bshw = (
    flow_bshwx[..., 1] + jnp.arange(h, dtype=jnp.float32)[None, None, :, None]
  )
  counts_bshw = (
    (x_bshw >= 0) & (x_bshw <= w - 1) & (y_bshw >= 0) & (y_bshw <= h - 1)
  )
  if visible_bshw is not None:
    shapes.sizes('', flow_bshwx=flow_bshwx, visible_bshw=visible_bshw)
    counts_bshw &= visible_bshw.astype(bool)
  look_up = lambda frame_hw, y_hw, x_hw: jax.scipy.ndimage.map_coordinates(
    frame_hw, [y_hw, x_hw], order=1, mode='nearest'
  )
  look_up = jax.vmap(look_up, (2, None, None), 2)  # Over channels,
  look_up = jax.vmap(jax.vmap(look_up))  # frames, and clips.
  before_bshwc = look_up(video_bthwc[:, :-1], y_bshw, x_bshw)
  error_bshw = jnp.mean((video_bthwc[:, 1:] - before_bshwc) ** 2, -1)
  total_b = jnp.sum(jnp.where(counts_bshw, error_bshw, 0), (1, 2, 3))
  return total_b / jnp.sum(counts_bshw, (1, 2, 3))

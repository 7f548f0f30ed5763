"""Tracking of the object in clips of `World`, and residuals of the rest.

Nothing is learned: colours are projections on the dataset's colours, shapes are
overlaps with the shapes that it draws, and the residual of an ideal object at
the same position should be empty.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.world import drawing as world_drawing
from vgen_jax.synthetic.world import ideal_objects
from vgen_jax.synthetic.world import source as world_lib

_MIN_COVERAGE = 0.2  # Pixels with less coverage count as background.


class Track(NamedTuple):
  """Position and appearance of the object in each frame.

  Lengths are in pixels, colours from 0 to 255. `shape_b`, `size_b` and
  `color_b` are indices in `world.factors_kept`; k runs over all shapes of
  `drawing.SHAPES`, whether the dataset keeps them or not.

  Attributes:
    center_bt2: (x, y) of the object.
    radius_bt: Measured radius.
    area_bt: Sum of coverage, in pixels.
    shape_b: Kept shape whose overlap, averaged over frames, is largest.
    size_b: Size whose area is nearest to that of the object, given its shape.
    usual_radius_b: Radius of objects of that size in the dataset.
    color_b: Colour that is nearest in most frames, weighted by visibility.
    tint_bt3: Colour of the object minus the background.
    iou_btk: Overlap with each ideal shape: soft intersection over union.
    residual_rms_bt: Root mean square of what an ideal object does not explain.
    residual_patch_bt: Length of the mean residual colour over the worst patch,
      whose side is `patch_size(world)`.
  """

  center_bt2: np.ndarray
  radius_bt: np.ndarray
  area_bt: np.ndarray
  shape_b: np.ndarray
  size_b: np.ndarray
  usual_radius_b: np.ndarray
  color_b: np.ndarray
  tint_bt3: np.ndarray
  iou_btk: np.ndarray
  residual_rms_bt: np.ndarray
  residual_patch_bt: np.ndarray


def relative_colors(world: world_lib.World) -> np.ndarray:
  """Returns the dataset's colours minus its background, `[k, 3]`.

  Colours and background are from 0 to 255.
  """
  names = world.factors_kept['color']
  colors_k3 = np.array([drawing.COLORS[name] for name in names])
  return colors_k3 - world_drawing.BACKGROUND


def patch_size(world: world_lib.World) -> int:
  """Returns the side, in pixels, of the smallest patch that must be clean."""
  return max(3, round(0.04 * world.side) * 2 - 1)


def mean_areas(world: world_lib.World) -> np.ndarray:
  """Returns the coverage of each shape and size, averaged over positions.

  Coverage is measured because soft edges add relatively more to a small object.

  Returns:
    Sum of coverage in pixels, float `[k, s]`, for k shapes and s sizes.
  """
  center_t2 = (
    world.clip_shape[1] / 2 + (np.indices((5, 5)) / 5).reshape(2, -1).T
  )
  frame = world.clip_shape[1:3]
  means = [
    [
      _threshold(
        drawing.coverage(shape, world.radius(size), center_t2, frame)
      ).sum()
      / len(center_t2)
      for size in world.factors_kept['size']
    ]
    for shape in drawing.SHAPES
  ]
  return np.array(means)


def track(video_bthwc: np.ndarray, world: world_lib.World) -> Track:
  """Tracks the object of each clip.

  Args:
    video_bthwc: Clips with values from 0 to 255, of any dtype.
    world: Dataset that defines shapes, sizes and colours.
  """
  # Channels first, because sums over three adjacent numbers are slow.
  delta_btchw = np.moveaxis(video_bthwc, -1, 2).astype(np.float32, order='C')
  delta_btchw -= world_drawing.BACKGROUND
  color_b, alpha_bthw = _find_color(delta_btchw, relative_colors(world))
  # Windows of m pixels a side hold the largest object.
  window = _window(_center(_threshold(alpha_bthw)), world)
  corner_bt2 = np.stack([window[3][:, :, 0, 0], window[2][:, :, 0, 0]], -1)
  alpha_btmm = alpha_bthw[window]
  solid_btmm = _threshold(alpha_btmm)
  center_bt2, area_bt = _center(solid_btmm), solid_btmm.sum((2, 3))

  # A high percentile, because some frames may show half an object, but none
  # shows it twice.
  usual_area_b = np.maximum(np.percentile(area_bt, 75, axis=1), 1e-3)
  log_ratio_bks = np.log(usual_area_b[:, None, None] / mean_areas(world))
  size_bk = np.abs(log_ratio_bks).argmin(-1)
  radius_s = np.array([world.radius(s) for s in world.factors_kept['size']])
  iou_btk = np.empty((*area_bt.shape, len(drawing.SHAPES)))
  for k in range(len(drawing.SHAPES)):
    object_bt3 = ideal_objects.with_radius(center_bt2, radius_s[size_bk[:, k]])
    ideal_btmm = ideal_objects.coverage(
      np.full(len(usual_area_b), k), object_bt3, solid_btmm
    )
    iou_btk[..., k] = ideal_objects.overlap(solid_btmm, _threshold(ideal_btmm))
  kept = np.array(
    [drawing.SHAPES.index(s) for s in world.factors_kept['shape']]
  )
  shape_b = iou_btk.mean(1)[:, kept].argmax(1)
  kept_shape_b = kept[shape_b]
  size_b = size_bk[np.arange(len(kept_shape_b)), kept_shape_b]

  radius_b = radius_s[size_b]
  object_bt3 = ideal_objects.refine(
    alpha_btmm, kept_shape_b, ideal_objects.with_radius(center_bt2, radius_b)
  )
  center_bt2 = object_bt3[..., :2]
  ideal_btmm = ideal_objects.coverage(
    kept_shape_b, ideal_objects.with_radius(center_bt2, radius_b), alpha_btmm
  )
  tint_bt3 = ideal_objects.subtract(delta_btchw, ideal_btmm, window)
  rms_bt, patch_bt = ideal_objects.residuals(delta_btchw, patch_size(world))
  return Track(
    center_bt2=center_bt2 + corner_bt2,
    radius_bt=object_bt3[..., 2],
    area_bt=area_bt,
    shape_b=shape_b,
    size_b=size_b,
    usual_radius_b=radius_b,
    color_b=color_b,
    tint_bt3=tint_bt3,
    iou_btk=iou_btk,
    residual_rms_bt=rms_bt,
    residual_patch_bt=patch_bt,
  )


def _find_color(
  delta_btchw: np.ndarray, colors_k3: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the clips' colours, and the coverage by the colour of each frame.

  Args:
    delta_btchw: Frames minus the background.
    colors_k3: Possible colours minus the background.
  """
  b, t, c, h, w = delta_btchw.shape
  length_k = np.linalg.norm(colors_k3, axis=1)
  power_bthw = sum(np.square(delta_btchw[:, :, i]) for i in range(c))
  visible_bthw = power_bthw > (_MIN_COVERAGE * length_k.mean()) ** 2
  weight_bthw = np.sqrt(np.where(visible_bthw, power_bthw, 0))
  pixels_btcs = delta_btchw.reshape(b, t, c, h * w)
  mean_btc = (pixels_btcs @ weight_bthw.reshape(b, t, h * w, 1))[..., 0]
  similarity_btk = mean_btc @ (colors_k3 / length_k[:, None]).T
  color_bt = similarity_btk.argmax(-1)
  # Frames are weighted by their visible pixels.
  votes_btk = np.eye(len(colors_k3))[color_bt]
  votes_btk = votes_btk * weight_bthw.sum((2, 3))[..., None]
  ray_k3 = (colors_k3 / np.square(length_k)[:, None]).astype(np.float32)
  alpha_bthw = (ray_k3[color_bt][:, :, None] @ pixels_btcs).reshape(b, t, h, w)
  return votes_btk.sum(1).argmax(-1), alpha_bthw


def _threshold(alpha: np.ndarray) -> np.ndarray:
  """Returns coverage, set to 0 for background and at most 1.2."""
  return np.where(alpha > _MIN_COVERAGE, np.minimum(alpha, 1.2), 0)


def _center(alpha_bthw: np.ndarray) -> np.ndarray:
  """Returns centres of mass (x, y); the frame's centre for an empty frame."""
  h, w = alpha_bthw.shape[2:]
  area_bt = alpha_bthw.sum((2, 3))
  empty_bt = area_bt < 1e-3
  area_bt = np.where(empty_bt, 1, area_bt)
  x_bt = alpha_bthw.sum(2) @ np.arange(w, dtype=np.float32) / area_bt
  y_bt = alpha_bthw.sum(3) @ np.arange(h, dtype=np.float32) / area_bt
  x_bt = np.where(empty_bt, (w - 1) / 2, x_bt)
  return np.stack([x_bt, np.where(empty_bt, (h - 1) / 2, y_bt)], -1)


def _window(center_bt2: np.ndarray, world: world_lib.World) -> tuple:
  """Returns indices of the pixels around centres, as `[b, t, m, m]`."""
  b, t, _ = center_bt2.shape
  frame_2 = np.array(world.clip_shape[2:0:-1])
  radius = max(world.radius(size) for size in world.factors_kept['size'])
  side = min(2 * math.ceil(1.4 * radius + 1.5) + 2, *frame_2)
  corner_bt2 = np.rint(center_bt2 - (side - 1) / 2).astype(int)
  corner_bt2 = np.clip(corner_bt2, 0, frame_2 - side)
  x_btm, y_btm = np.moveaxis(corner_bt2[..., None] + np.arange(side), 2, 0)
  return (
    np.arange(b)[:, None, None, None],
    np.arange(t)[:, None, None],
    y_btm[..., None],
    x_btm[:, :, None],
  )

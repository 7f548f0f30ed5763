"""Finds the object of a world's clip in every frame, and what else is there.

Nothing here is learned: colours are projections on the world's palette, shapes
are overlaps with the shapes as the world draws them, and what an ideal object
at the same place leaves of a frame should not be there.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source as world_lib

_FAINT = 0.2  # Coverage below which a pixel counts as background.


class Track(NamedTuple):
  """Where an object is in each frame, and what it looks like there.

  Lengths are in pixels, colours in levels out of 255. `shape_b`, `size_b` and
  `color_b` are places in `world.factors_kept`; k runs over all shapes there
  are, whether the world keeps them or not.

  Attributes:
    center_bt2: (x, y) of the object.
    radius_bt: As it looks.
    area_bt: Sum of coverage.
    shape_b: Shape that overlaps best, over the clip, of those kept.
    size_b: Size nearest in area, given the shape.
    usual_radius_b: As the world has it for this size.
    color_b: Nearest colour, over the clip.
    tint_bt3: Colour within the object, less the background.
    iou_btk: Overlap with each ideal shape: soft intersection over union.
    residual_rms_bt: Root mean square of what an ideal object does not explain.
    residual_patch_bt: Largest mean of it over a patch of `patch(world)` a side.
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


def palette(world: world_lib.World) -> np.ndarray:
  """Returns the world's colours less its background, `[k, 3]`, of 255."""
  names = world.factors_kept['color']
  return np.array([world_lib.COLORS[n] for n in names]) - drawing.BACKGROUND


def patch(world: world_lib.World) -> int:
  """Returns how many pixels wide the smallest thing is that counts as one."""
  return max(3, round(0.04 * min(world.clip_shape[1:3])) * 2 - 1)


def areas(world: world_lib.World) -> np.ndarray:
  """Returns coverage of each shape `[k]` and size `[s]`, averaged over places.

  Measured, since soft edges add more to a small object than to a large one.
  """
  center_t2 = (
    world.clip_shape[1] / 2 + (np.indices((5, 5)) / 5).reshape(2, -1).T
  )
  frame = world.clip_shape[1:3]
  means = [
    [
      _bold(drawing.coverage(shape, world.radius(size), center_t2, frame)).sum()
      / len(center_t2)
      for size in world.factors_kept['size']
    ]
    for shape in world_lib.FACTORS['shape']
  ]
  return np.array(means)


def track(video_bthwc: np.ndarray, world: world_lib.World) -> Track:
  """Follows the object of each clip; levels are from 0 to 255, in any dtype."""
  # Channels first: sums over three numbers in a row are slow.
  delta_btchw = np.moveaxis(video_bthwc, -1, 2).astype(np.float32, order='C')
  delta_btchw -= drawing.BACKGROUND
  color_b, alpha_bthw = _find_color(delta_btchw, palette(world))
  # Near what is shown: m pixels a side hold the largest object.
  at = _window(_center(_bold(alpha_bthw)), world)
  corner_bt2 = np.stack([at[3][:, :, 0, 0], at[2][:, :, 0, 0]], -1)
  alpha_btmm = alpha_bthw[at]
  bold_btmm = _bold(alpha_btmm)
  center_bt2, area_bt = _center(bold_btmm), bold_btmm.sum((2, 3))

  # The usual area: some frames may show half an object, none shows it twice.
  usual_b = np.maximum(np.percentile(area_bt, 75, axis=1), 1e-3)
  size_bk = np.abs(np.log(usual_b[:, None, None] / areas(world))).argmin(-1)
  radius_s = np.array([world.radius(s) for s in world.factors_kept['size']])
  every = world_lib.FACTORS['shape']
  iou_btk = np.empty((*area_bt.shape, len(every)))
  for k in range(len(every)):
    place_bt3 = _places(center_bt2, radius_s[size_bk[:, k]])
    ideal_btmm = _ideal(np.full(len(usual_b), k), place_bt3, bold_btmm)
    iou_btk[..., k] = _overlap(bold_btmm, _bold(ideal_btmm))
  kept = np.array([every.index(s) for s in world.factors_kept['shape']])
  shape_b = iou_btk.mean(1)[:, kept].argmax(1)
  kind_b = kept[shape_b]
  size_b = size_bk[np.arange(len(kind_b)), kind_b]

  radius_b = radius_s[size_b]
  place_bt3 = _refine(alpha_btmm, kind_b, _places(center_bt2, radius_b))
  center_bt2 = place_bt3[..., :2]
  ideal_btmm = _ideal(kind_b, _places(center_bt2, radius_b), alpha_btmm)
  tint_bt3 = _explain(delta_btchw, ideal_btmm, at)
  residual_rms_bt, residual_patch_bt = _unexplained(delta_btchw, patch(world))
  return Track(
    center_bt2=center_bt2 + corner_bt2,
    radius_bt=place_bt3[..., 2],
    area_bt=area_bt,
    shape_b=shape_b,
    size_b=size_b,
    usual_radius_b=radius_b,
    color_b=color_b,
    tint_bt3=tint_bt3,
    iou_btk=iou_btk,
    residual_rms_bt=residual_rms_bt,
    residual_patch_bt=residual_patch_bt,
  )


def _find_color(
  delta_btchw: np.ndarray, palette_k3: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns clips' colours, and coverage of pixels by the frames' colours."""
  b, t, c, h, w = delta_btchw.shape
  length_k = np.linalg.norm(palette_k3, axis=1)
  power_bthw = sum(np.square(delta_btchw[:, :, i]) for i in range(c))
  shown_bthw = power_bthw > (_FAINT * length_k.mean()) ** 2
  weight_bthw = np.sqrt(np.where(shown_bthw, power_bthw, 0))
  pixels_btcs = delta_btchw.reshape(b, t, c, h * w)
  mean_btc = (pixels_btcs @ weight_bthw.reshape(b, t, h * w, 1))[..., 0]
  likeness_btk = mean_btc @ (palette_k3 / length_k[:, None]).T
  color_bt = likeness_btk.argmax(-1)
  # Frames vote by how much they show.
  votes_btk = np.eye(len(palette_k3))[color_bt]
  votes_btk = votes_btk * weight_bthw.sum((2, 3))[..., None]
  ray_k3 = (palette_k3 / np.square(length_k)[:, None]).astype(np.float32)
  alpha_bthw = (ray_k3[color_bt][:, :, None] @ pixels_btcs).reshape(b, t, h, w)
  return votes_btk.sum(1).argmax(-1), alpha_bthw


def _bold(alpha: np.ndarray) -> np.ndarray:
  return np.where(alpha > _FAINT, np.minimum(alpha, 1.2), 0)


def _center(alpha_bthw: np.ndarray) -> np.ndarray:
  """Returns centres of mass (x, y); an empty frame's is the frame's own."""
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


def _places(center_bt2: np.ndarray, radius_b: np.ndarray) -> np.ndarray:
  """Returns (x, y, radius) in each frame."""
  radius_bt1 = np.broadcast_to(radius_b[:, None], center_bt2.shape[:2])[
    ..., None
  ]
  return np.concatenate([center_bt2, radius_bt1], -1)


def _ideal(
  kind_b: np.ndarray, place_bt3: np.ndarray, like_btmm: np.ndarray
) -> np.ndarray:
  """Returns what perfect objects would cover of windows, `[b, t, m, m]`."""
  ideal_btmm = np.empty_like(like_btmm)
  for kind in np.unique(kind_b):
    chosen_b = kind_b == kind
    place_n3 = place_bt3[chosen_b].reshape(-1, 3)
    ideal_btmm[chosen_b] = drawing.coverage(
      world_lib.FACTORS['shape'][kind],
      place_n3[:, 2],
      place_n3[:, :2],
      like_btmm.shape[2:],
    ).reshape(-1, *like_btmm.shape[1:])
  return ideal_btmm


def _refine(
  alpha_btmm: np.ndarray, kind_b: np.ndarray, place_bt3: np.ndarray
) -> np.ndarray:
  """Returns the (x, y, radius) nearby of the object that explains most.

  Three steps of Gauss and Newton: soft edges tell places to hundredths of a
  pixel, even of objects of three pixels.
  """
  b, t, m, _ = alpha_btmm.shape
  for _ in range(3):
    rest_btmm = alpha_btmm - _ideal(kind_b, place_bt3, alpha_btmm)
    slope_bt3s = np.empty((b, t, 3, m * m), np.float32)
    for i, shift_3 in enumerate(0.25 * np.eye(3)):
      more = _ideal(kind_b, place_bt3 + shift_3, alpha_btmm)
      less = _ideal(kind_b, place_bt3 - shift_3, alpha_btmm)
      slope_bt3s[:, :, i] = (2 * (more - less)).reshape(b, t, m * m)
    normal_bt33 = slope_bt3s @ np.swapaxes(slope_bt3s, 2, 3) + 1e-3 * np.eye(3)
    goal_bt31 = slope_bt3s @ rest_btmm.reshape(b, t, m * m, 1)
    step_bt3 = np.linalg.solve(normal_bt33, goal_bt31)[..., 0]
    place_bt3 = place_bt3 + np.clip(step_bt3, -0.5, 0.5)
  return place_bt3


def _explain(
  delta_btchw: np.ndarray, ideal_btmm: np.ndarray, at: tuple
) -> np.ndarray:
  """Takes the ideal object out of frames; returns its colour, `[b, t, 3]`."""
  weight_bt = np.maximum(np.square(ideal_btmm).sum((2, 3)), 1e-3)
  tints = []
  for c in range(delta_btchw.shape[2]):
    rest_bthw = delta_btchw[:, :, c]  # A view.
    tint_bt = (ideal_btmm * rest_bthw[at]).sum((2, 3)) / weight_bt
    rest_bthw[at] -= ideal_btmm * tint_bt[..., None, None]
    tints.append(tint_bt)
  return np.stack(tints, -1)


def _overlap(one_btmm: np.ndarray, other_btmm: np.ndarray) -> np.ndarray:
  shared_bt = np.minimum(one_btmm, other_btmm).sum((2, 3))
  either_bt = np.maximum(one_btmm, other_btmm).sum((2, 3))
  return shared_bt / np.maximum(either_bt, 1e-3)


def _unexplained(
  rest_btchw: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns root mean squares of the rest, and its worst patches' lengths."""
  h, w = rest_btchw.shape[3:]
  residual_rms_bt = np.sqrt(np.square(rest_btchw).mean((2, 3, 4)))
  # Means over patches that overlap by half, as two products of matrices.
  mean_btcyx = _patches(h, width) @ rest_btchw @ _patches(w, width).T
  return residual_rms_bt, np.sqrt(np.square(mean_btcyx).sum(2).max((2, 3)))


def _patches(length: int, width: int) -> np.ndarray:
  """Returns weights of means over stretches of a line, `[y, h]`."""
  last = length - width
  starts_y1 = np.r_[0 : last : max(1, width // 2), last][:, None]
  places = np.arange(length)
  inside_yh = (places >= starts_y1) & (places < starts_y1 + width)
  return (inside_yh / width).astype(np.float32)

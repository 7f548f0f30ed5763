"""Finds the object of a world's clip in every frame, and what it looks like.

Nothing here is learned: colours are projections on the world's palette, shapes
are overlaps with the shapes as the world draws them.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.data import drawing
from vgen_jax.data import world as world_lib

_FAINT = 0.2  # Coverage below which a pixel counts as background.
_PLAIN = (
  0.35  # Share of a colour's strength from which a pixel shows something.
)


class Track(NamedTuple):
  """Where an object is in each frame, and what it looks like there.

  Lengths are in pixels, colours in levels out of 255. `shape_b`, `size_b` and
  `color_b` are places in `world.factors_kept`.

  Attributes:
    center_bt2: (x, y) of the centre of mass.
    area_bt: Sum of coverage.
    expected_area_b: Of an object of this shape and size.
    radius_b: As the world has it for this size.
    shape_b: Shape that overlaps best, over the clip.
    size_b: Size nearest in area, given the shape.
    color_b: Nearest colour, over the clip.
    color_bt: Nearest colour of each frame.
    tint_bt3: Colour within the object, less the background.
    iou_bt: Overlap with the ideal shape: soft intersection over union.
    better_iou_bt: By how much another shape overlaps better; 0 if none does.
    stray_bt: Share of what is shown, in any colour, beyond the object's reach.
    noise_bt: Root mean square deviation from the background there.
  """

  center_bt2: np.ndarray
  area_bt: np.ndarray
  expected_area_b: np.ndarray
  radius_b: np.ndarray
  shape_b: np.ndarray
  size_b: np.ndarray
  color_b: np.ndarray
  color_bt: np.ndarray
  tint_bt3: np.ndarray
  iou_bt: np.ndarray
  better_iou_bt: np.ndarray
  stray_bt: np.ndarray
  noise_bt: np.ndarray


def palette(world: world_lib.World) -> np.ndarray:
  """Returns the world's colours less its background, `[k, 3]`, of 255."""
  names = world.factors_kept['color']
  return np.array([world_lib.COLORS[n] for n in names]) - drawing.BACKGROUND


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
    for shape in world.factors_kept['shape']
  ]
  return np.array(means)


def track(video_bthwc: np.ndarray, world: world_lib.World) -> Track:
  """Follows the object of each clip; levels are from 0 to 255, in any dtype."""
  delta_bthwc = video_bthwc.astype(np.float32) - drawing.BACKGROUND
  color_bt, color_b, alpha_bthw = _find_color(delta_bthwc, palette(world))
  area_bt = alpha_bthw.sum((2, 3))
  center_bt2 = _center(alpha_bthw, area_bt)

  # The usual area: some frames may show half an object, none shows it twice.
  usual_b = np.percentile(area_bt, 75, axis=1)
  area_ks = areas(world)
  size_bk = np.abs(
    np.log(np.maximum(usual_b, 1e-3))[:, None, None] - np.log(area_ks)
  ).argmin(-1)
  radii_s = np.array([world.radius(s) for s in world.factors_kept['size']])
  ideal_kbthw = [
    _ideal(shape, radii_s[size_bk[:, k]], center_bt2, world)
    for k, shape in enumerate(world.factors_kept['shape'])
  ]
  iou_kbt = np.stack([_overlap(alpha_bthw, ideal) for ideal in ideal_kbthw])
  shape_b = iou_kbt.mean(-1).argmax(0)
  clip_b = np.arange(len(shape_b))
  iou_bt = iou_kbt[shape_b, clip_b]
  size_b = size_bk[clip_b, shape_b]
  ideal_bthw = np.stack(
    [ideal_kbthw[k][b] for b, k in enumerate(shape_b.tolist())]
  )
  strength = np.linalg.norm(palette(world), axis=1).mean()
  stray_bt, noise_bt = _beyond(
    delta_bthwc, _PLAIN * strength, center_bt2, radii_s[size_b]
  )
  tint_bt3 = np.einsum('bthw,bthwc->btc', ideal_bthw, delta_bthwc)
  return Track(
    center_bt2=center_bt2,
    area_bt=area_bt,
    expected_area_b=area_ks[shape_b, size_b],
    radius_b=radii_s[size_b],
    shape_b=shape_b,
    size_b=size_b,
    color_b=color_b,
    color_bt=color_bt,
    tint_bt3=tint_bt3
    / np.maximum(np.square(ideal_bthw).sum((2, 3)), 1e-3)[..., None],
    iou_bt=iou_bt,
    better_iou_bt=iou_kbt.max(0) - iou_bt,
    stray_bt=stray_bt,
    noise_bt=noise_bt,
  )


def _find_color(
  delta_bthwc: np.ndarray, palette_k3: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns colours of frames and clips, and coverage of pixels by them."""
  length_k = np.linalg.norm(palette_k3, axis=1)
  size_bthw = np.sqrt(np.einsum('bthwc,bthwc->bthw', delta_bthwc, delta_bthwc))
  weight_bthw = np.where(size_bthw > _FAINT * length_k.mean(), size_bthw, 0)
  mean_bt3 = np.einsum('bthw,bthwc->btc', weight_bthw, delta_bthwc)
  likeness_btk = mean_bt3 @ (palette_k3 / length_k[:, None]).T
  color_bt = likeness_btk.argmax(-1)
  # Frames vote by how much they show.
  votes_btk = np.eye(len(palette_k3))[color_bt]
  votes_btk = votes_btk * weight_bthw.sum((2, 3))[..., None]
  ray_k3 = (palette_k3 / np.square(length_k)[:, None]).astype(np.float32)
  b, t, h, w, c = delta_bthwc.shape
  pixels = delta_bthwc.reshape(b * t, h * w, c)
  rays = ray_k3[color_bt].reshape(b * t, c, 1)
  alpha_bthw = (pixels @ rays).reshape(b, t, h, w)
  return color_bt, votes_btk.sum(1).argmax(-1), _bold(alpha_bthw)


def _bold(alpha: np.ndarray) -> np.ndarray:
  return np.where(alpha > _FAINT, np.minimum(alpha, 1.2), 0)


def _center(alpha_bthw: np.ndarray, area_bt: np.ndarray) -> np.ndarray:
  """Returns centres of mass (x, y); an empty frame's is the frame's own."""
  h, w = alpha_bthw.shape[2:]
  empty_bt = area_bt < 1e-3
  area_bt = np.where(empty_bt, 1, area_bt)
  x_bt = alpha_bthw.sum(2) @ np.arange(w, dtype=np.float32) / area_bt
  y_bt = alpha_bthw.sum(3) @ np.arange(h, dtype=np.float32) / area_bt
  x_bt = np.where(empty_bt, (w - 1) / 2, x_bt)
  return np.stack([x_bt, np.where(empty_bt, (h - 1) / 2, y_bt)], -1)


def _ideal(
  shape: str,
  radius_b: np.ndarray,
  center_bt2: np.ndarray,
  world: world_lib.World,
) -> np.ndarray:
  """Returns what a perfect object would cover at the places measured."""
  b, t, _ = center_bt2.shape
  alpha = drawing.coverage(
    shape,
    np.repeat(radius_b, t),
    center_bt2.reshape(-1, 2),
    world.clip_shape[1:3],
  )
  return alpha.reshape(b, t, *alpha.shape[1:])


def _overlap(one_bthw: np.ndarray, other_bthw: np.ndarray) -> np.ndarray:
  shared_bt = np.minimum(one_bthw, other_bthw).sum((2, 3))
  either_bt = np.maximum(one_bthw, other_bthw).sum((2, 3))
  return shared_bt / np.maximum(either_bt, 1e-3)


def _beyond(
  delta_bthwc: np.ndarray,
  plain: float,
  center_bt2: np.ndarray,
  radius_b: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns what strays beyond the object's reach, and the noise there."""
  h, w = delta_bthwc.shape[2:4]
  x_btw = np.arange(w, dtype=np.float32) - center_bt2[..., :1]
  y_bth = np.arange(h, dtype=np.float32) - center_bt2[..., 1:]
  reach_b111 = (1.4 * radius_b + 1.5)[:, None, None, None]
  beyond_bthw = np.square(x_btw)[:, :, None, :] + np.square(y_bth)[
    :, :, :, None
  ] > np.square(reach_b111)
  power_bthw = np.einsum('bthwc,bthwc->bthw', delta_bthwc, delta_bthwc)
  shown_bthw = np.where(power_bthw > plain**2, np.sqrt(power_bthw), 0)
  stray_bt = (shown_bthw * beyond_bthw).sum((2, 3))
  count_bt = np.maximum(beyond_bthw.sum((2, 3)), 1)
  return (
    stray_bt / np.maximum(shown_bthw.sum((2, 3)), 1e-3),
    np.sqrt((power_bthw * beyond_bthw).sum((2, 3)) / count_bt / 3),
  )

"""Appearance of digits in clips: masks, centres, crops and edges."""

import functools
import math
from typing import NamedTuple

import numpy as np

from vgen_jax.synthetic.digits import source as digits_lib

_MIN_LEVEL = 64  # Of 255; brighter pixels belong to a digit or a speck.
_MARGIN = 3  # Pixels around a digit that crops include.


class ReferenceImages(NamedTuple):
  """All images of digits, as crops around their centres of mass.

  Attributes:
    unit_nd: Flattened crops, each divided by its Euclidean length.
    length_n: Euclidean length of each crop.
    edges_n: Strength of the edges, as from `edge_strength`.
    center_n2: Centre of mass (x, y) of each image, in pixels.
    label_n: Class of each image.
  """

  unit_nd: np.ndarray
  length_n: np.ndarray
  edges_n: np.ndarray
  center_n2: np.ndarray
  label_n: np.ndarray


@functools.lru_cache(maxsize=4)
def reference_images(side: int) -> ReferenceImages:
  """Returns all images of digits of `side` pixels; do not write into them."""
  image_nhw, label_n = digits_lib.images(side)
  center_n2, _ = center_of_mass(image_nhw[None])
  crop_nd = crops(image_nhw[None], center_n2, side)[0]
  length_n = np.linalg.norm(crop_nd, axis=1)
  return ReferenceImages(
    unit_nd=crop_nd / length_n[:, None],
    length_n=length_n,
    edges_n=edge_strength(crop_nd),
    center_n2=center_n2[0],
    label_n=label_n,
  )


def mask_digit(level_bthw: np.ndarray) -> np.ndarray:
  """Returns frames that are 0 except at the digit, without small specks."""
  from scipy import ndimage

  b, t, h, w = level_bthw.shape
  bright_nhw = (level_bthw > _MIN_LEVEL).reshape(-1, h, w)
  neighbors = np.zeros((3, 3, 3), bool)
  neighbors[1] = True  # Within a frame only.
  component_nhw, num_components = ndimage.label(bright_nhw, neighbors)
  sizes = np.bincount(component_nhw.ravel(), minlength=num_components + 1)
  sizes[0] = 0
  size_nhw = sizes[component_nhw]
  largest_n11 = size_nhw.max((1, 2))[:, None, None]
  kept_nhw = (size_nhw >= np.maximum(0.1 * largest_n11, 4)) & bright_nhw
  # Dilation includes the soft edges.
  kept_nhw = ndimage.binary_dilation(kept_nhw, neighbors, iterations=2)
  return np.where(kept_nhw.reshape(b, t, h, w), level_bthw, 0)


def center_of_mass(level_bthw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns centres of mass (x, y), `[b, t, 2]`, and masses, `[b, t]`.

  The centre of mass of an empty frame is the middle of the frame.
  """
  h, w = level_bthw.shape[2:]
  mass_bt = level_bthw.sum((2, 3))
  divisor_bt = np.maximum(mass_bt, 1)
  x_bt = level_bthw.sum(2) @ np.arange(w, dtype=np.float32) / divisor_bt
  y_bt = level_bthw.sum(3) @ np.arange(h, dtype=np.float32) / divisor_bt
  x_bt = np.where(mass_bt > 0, x_bt, (w - 1) / 2)
  y_bt = np.where(mass_bt > 0, y_bt, (h - 1) / 2)
  return np.stack([x_bt, y_bt], -1), mass_bt


def crops(
  level_bthw: np.ndarray, center_bt2: np.ndarray, side: int
) -> np.ndarray:
  """Returns flattened crops around centres, `[b, t, d]`.

  Pixels are interpolated linearly.

  Args:
    level_bthw: Frames with values from 0 to 255.
    center_bt2: Centres (x, y) of the crops, in pixels.
    side: Side of a digit, in pixels; crops have a margin around it.
  """
  from scipy import ndimage

  b, t, _, _ = level_bthw.shape
  # Padding for soft edges outside of the frame, which digits may touch.
  padding = ((0, 0), (0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
  soft_bthw = np.pad(level_bthw, padding)
  soft_bthw = ndimage.gaussian_filter(soft_bthw, (0, 0, side / 20, side / 20))
  grid_m = np.arange(side + 2 * _MARGIN) - (side - 1) / 2
  m = len(grid_m)
  y_btm = center_bt2[..., 1:] + grid_m
  x_btm = center_bt2[..., :1] + grid_m
  frame_bt11 = np.arange(b * t).reshape(b, t, 1, 1)
  crop = ndimage.map_coordinates(
    soft_bthw.reshape(b * t, *soft_bthw.shape[2:]),
    np.broadcast_arrays(frame_bt11, y_btm[..., :, None], x_btm[..., None, :]),
    order=1,
  )
  return crop.reshape(b, t, m * m)


def edge_strength(crop: np.ndarray) -> np.ndarray:
  """Returns the relative strength of edges, `[...]`.

  It is the Euclidean norm of all differences of neighbouring pixels, divided by
  that of all pixels.

  Args:
    crop: Square crops, flattened, `[..., d]`.
  """
  m = math.isqrt(crop.shape[-1])
  square = crop.reshape(*crop.shape[:-1], m, m)
  differences = sum(
    np.square(np.diff(square, axis=a)).sum((-2, -1)) for a in (-2, -1)
  )
  return np.sqrt(differences) / np.maximum(np.linalg.norm(crop, axis=-1), 1)

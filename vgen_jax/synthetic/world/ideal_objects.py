"""Ideal objects fitted to frames, and what they leave unexplained.

An object is given by its (x, y, radius) in each frame, `[b, t, 3]`. Windows are
square parts of frames around objects, `[b, t, m, m]`.
"""

import numpy as np

from vgen_jax.synthetic import drawing


def coverage(
  shape_b: np.ndarray, object_bt3: np.ndarray, like_btmm: np.ndarray
) -> np.ndarray:
  """Returns the coverage of windows by ideal objects, `[b, t, m, m]`.

  Args:
    shape_b: Shape of each clip's object, as an index in `drawing.SHAPES`.
    object_bt3: Objects, relative to the windows.
    like_btmm: Array of the shape and type of the result.
  """
  ideal_btmm = np.empty_like(like_btmm)
  for shape in np.unique(shape_b):
    chosen_b = shape_b == shape
    object_n3 = object_bt3[chosen_b].reshape(-1, 3)
    ideal_btmm[chosen_b] = drawing.coverage(
      drawing.SHAPES[shape],
      object_n3[:, 2],
      object_n3[:, :2],
      like_btmm.shape[2:],
    ).reshape(-1, *like_btmm.shape[1:])
  return ideal_btmm


def with_radius(center_bt2: np.ndarray, radius_b: np.ndarray) -> np.ndarray:
  """Returns objects of constant radius, `[b, t, 3]`."""
  radius_bt1 = np.broadcast_to(radius_b[:, None], center_bt2.shape[:2])[
    ..., None
  ]
  return np.concatenate([center_bt2, radius_bt1], -1)


def refine(
  alpha_btmm: np.ndarray, shape_b: np.ndarray, object_bt3: np.ndarray
) -> np.ndarray:
  """Returns objects fitted to the windows by least squares, `[b, t, 3]`.

  The fit makes three Gauss-Newton steps from the initial objects. Soft edges
  determine positions to hundredths of a pixel, even of objects that are three
  pixels wide.

  Args:
    alpha_btmm: Coverage of the windows.
    shape_b: Shape of each clip's object, as an index in `drawing.SHAPES`.
    object_bt3: Initial objects.
  """
  b, t, m, _ = alpha_btmm.shape
  for _ in range(3):
    rest_btmm = alpha_btmm - coverage(shape_b, object_bt3, alpha_btmm)
    slope_bt3s = np.empty((b, t, 3, m * m), np.float32)
    for i, shift_3 in enumerate(0.25 * np.eye(3)):
      more = coverage(shape_b, object_bt3 + shift_3, alpha_btmm)
      less = coverage(shape_b, object_bt3 - shift_3, alpha_btmm)
      slope_bt3s[:, :, i] = (2 * (more - less)).reshape(b, t, m * m)
    normal_bt33 = slope_bt3s @ np.swapaxes(slope_bt3s, 2, 3) + 1e-3 * np.eye(3)
    goal_bt31 = slope_bt3s @ rest_btmm.reshape(b, t, m * m, 1)
    step_bt3 = np.linalg.solve(normal_bt33, goal_bt31)[..., 0]
    object_bt3 = object_bt3 + np.clip(step_bt3, -0.5, 0.5)
  return object_bt3


def overlap(one_btmm: np.ndarray, other_btmm: np.ndarray) -> np.ndarray:
  """Returns the soft intersection over union of two coverages, `[b, t]`."""
  intersection_bt = np.minimum(one_btmm, other_btmm).sum((2, 3))
  union_bt = np.maximum(one_btmm, other_btmm).sum((2, 3))
  return intersection_bt / np.maximum(union_bt, 1e-3)


def subtract(
  delta_btchw: np.ndarray, ideal_btmm: np.ndarray, window: tuple
) -> np.ndarray:
  """Subtracts ideal objects from frames, in place.

  Args:
    delta_btchw: Frames minus the background; their residual on return.
    ideal_btmm: Coverage by the ideal objects.
    window: Indices of the windows' pixels.

  Returns:
    Colour of the objects minus the background, `[b, t, 3]`.
  """
  weight_bt = np.maximum(np.square(ideal_btmm).sum((2, 3)), 1e-3)
  tints = []
  for c in range(delta_btchw.shape[2]):
    rest_bthw = delta_btchw[:, :, c]  # A view.
    tint_bt = (ideal_btmm * rest_bthw[window]).sum((2, 3)) / weight_bt
    rest_bthw[window] -= ideal_btmm * tint_bt[..., None, None]
    tints.append(tint_bt)
  return np.stack(tints, -1)


def residuals(
  rest_btchw: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns two measures of the size of the residuals in each frame.

  Args:
    rest_btchw: Residual colours, where colours are from 0 to 255.
    width: Side of a patch, in pixels.

  Returns:
    Root mean square over the frame, and length of the mean colour over the
    worst patch, `[b, t]` each. Patches overlap by half.
  """
  h, w = rest_btchw.shape[3:]
  rms_bt = np.sqrt(np.square(rest_btchw).mean((2, 3, 4)))
  # Means over patches, as two matrix products.
  mean_btcyx = (
    _patch_weights(h, width) @ rest_btchw @ _patch_weights(w, width).T
  )
  return rms_bt, np.sqrt(np.square(mean_btcyx).sum(2).max((2, 3)))


def _patch_weights(length: int, width: int) -> np.ndarray:
  """Returns weights that average over intervals of an axis, `[y, h]`."""
  last = length - width
  starts_y1 = np.r_[0 : last : max(1, width // 2), last][:, None]
  positions = np.arange(length)
  inside_yh = (positions >= starts_y1) & (positions < starts_y1 + width)
  return (inside_yh / width).astype(np.float32)

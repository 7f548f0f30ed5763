"""Class and validity of clips of one moving digit.

The verifier is for clips of one digit (`synthetic/digits/source.py`); two
digits overlap in most frames, so that neither is visible separately. Nothing is
learned: a digit has the class of the most similar of all 1,797 images. Among
digits that are not in these images, about nine in ten have the class of the
nearest one, so no better accuracy can be expected of new digits that a model
generates.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.core import shapes
from vgen_jax.synthetic import bounces
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.digits import appearance
from vgen_jax.synthetic.digits import source as digits_lib

_BATCH = 16  # Clips at a time, to bound the memory.
# Limits of valid clips. Real clips of 16 x 16 pixels are within them in 91 %.
_MIN_SIMILARITY = 0.93
_MIN_CONSTANCY = 0.96
_MAX_BACKGROUND_RMS = 20  # On the scale from 0 to 255.
_BRIGHTNESS = (0.75, 1.25)
_SHARPNESS = (0.75, 1.25)
_SPEED = (0.85, 1.15)  # Relative to the slowest and the fastest speed.


class ClipFeatures(NamedTuple):
  """Features of each clip; lengths are in pixels.

  Attributes:
    label_b: Class of the image that is most similar to the clip's digit.
    label_bt: The same for each frame.
    center_bt2: Centre of mass (x, y) of the digit.
    visible_bt: Whether the digit is about as bright in total as in most frames
      of the clip, bool.
    similarity_bt: Cosine between each frame's digit and the image of `label_b`;
      1 if they are equal up to brightness.
    constancy_b: Smallest cosine between the digits of any two frames.
    brightness_b: Brightness of the digit relative to that of the image.
    sharpness_b: Strength of its edges relative to those of the image.
    background_rms_b: Root mean square of the pixels outside of the digit, on
      the scale from 0 to 255.
    path_error_b: Root mean square distance to the best fit of uniform motion
      between elastic walls.
    speed_b: Speed of that motion, in sides of a digit per frame.
    valid_b: Whether the clip could be one of the dataset, bool.
  """

  label_b: np.ndarray
  label_bt: np.ndarray
  center_bt2: np.ndarray
  visible_bt: np.ndarray
  similarity_bt: np.ndarray
  constancy_b: np.ndarray
  brightness_b: np.ndarray
  sharpness_b: np.ndarray
  background_rms_b: np.ndarray
  path_error_b: np.ndarray
  speed_b: np.ndarray
  valid_b: np.ndarray


def compute_features(
  source: digits_lib.MovingDigits, video_bthwc: np.ndarray
) -> ClipFeatures:
  """Returns the features of clips, and whether they are valid.

  A clip is valid if every frame shows one digit, always the same, which is
  similar to one image, as bright and as sharp, with little noise around it, on
  a path and at a speed that the dataset generates.

  Args:
    source: Dataset that defines sizes and speeds.
    video_bthwc: Clips, uint8, or floats in [-1, 1].

  Raises:
    ValueError: If clips do not have the dataset's shape, or the dataset shows
      several digits, or digits that fill the frame.
  """
  _check(source, video_bthwc.shape)
  if len(video_bthwc) > _BATCH:
    batches = [
      compute_features(source, video_bthwc[i : i + _BATCH])
      for i in range(0, len(video_bthwc), _BATCH)
    ]
    return ClipFeatures(*map(np.concatenate, zip(*batches, strict=True)))
  level_bthw = saturation.to_levels(video_bthwc).mean(-1)
  digit_bthw = appearance.mask_digit(level_bthw)
  background_rms_b = np.sqrt(
    np.square(level_bthw - digit_bthw).mean((1, 2, 3))
    / np.maximum((digit_bthw == 0).mean((1, 2, 3)), 1e-3)
  )
  center_bt2, mass_bt = appearance.center_of_mass(digit_bthw)
  usual_mass_b = np.percentile(mass_bt, 75, axis=1)
  ratio_bt = mass_bt / np.maximum(usual_mass_b, 1)[:, None]
  visible_bt = (ratio_bt > 0.5) & (ratio_bt < 1.6)

  reference = appearance.reference_images(source.side)
  crop_btd = appearance.crops(level_bthw, center_bt2, source.side)
  mean_bd = (crop_btd * visible_bt[..., None]).mean(1)
  image_b = (mean_bd @ reference.unit_nd.T).argmax(1)
  length_bt = np.linalg.norm(crop_btd, axis=-1)
  product_btn = crop_btd @ reference.unit_nd.T
  product_bt = np.take_along_axis(product_btn, image_b[:, None, None], 2)[
    ..., 0
  ]
  edges_b = np.median(appearance.edge_strength(crop_btd), 1)
  corner_bt2 = center_bt2 - reference.center_n2[image_b][:, None]
  path_error_b, speed_b = _fit_motion(source, corner_bt2, visible_bt)
  unit_btd = crop_btd / np.maximum(length_bt, 1)[..., None]
  features = ClipFeatures(
    label_b=reference.label_n[image_b],
    label_bt=reference.label_n[product_btn.argmax(-1)],
    center_bt2=center_bt2,
    visible_bt=visible_bt,
    similarity_bt=product_bt / np.maximum(length_bt, 1),
    constancy_b=(unit_btd @ unit_btd.swapaxes(1, 2)).min((1, 2)),
    brightness_b=np.median(product_bt, 1) / reference.length_n[image_b],
    sharpness_b=edges_b / reference.edges_n[image_b],
    background_rms_b=background_rms_b,
    path_error_b=path_error_b,
    speed_b=speed_b,
    valid_b=np.ones(len(video_bthwc), bool),
  )
  return features._replace(valid_b=_is_valid(features, source))


def report(
  source: digits_lib.MovingDigits,
  video_bthwc: np.ndarray,
  label_b: np.ndarray | None = None,
) -> dict[str, float]:
  """Returns numbers that describe a set of clips.

  * `validity`: fraction of valid clips; `class_accuracy`: fraction of all clips
    that show the requested class; `valid_and_correct`: fraction that are both.
  * `class_entropy`: entropy of the classes of valid clips; 1 if all ten are
    equally frequent.
  * `class_switch_fraction`: fraction of frames whose class is not the clip's.
  * `digit_presence`, `image_similarity`, `constancy`, `brightness`,
    `sharpness`, `background_rms`: means of the features; `path_error`: median.

  Args:
    source: Dataset, as in `compute_features`.
    video_bthwc: Clips, as in `compute_features`.
    label_b: Requested classes. Without them no class numbers are returned.
  """
  features = compute_features(source, video_bthwc)
  count_k = np.bincount(features.label_b[features.valid_b], minlength=10)
  fraction_k = count_k / max(count_k.sum(), 1)
  entropy = (fraction_k * -np.log10(np.maximum(fraction_k, 1e-9))).sum()
  switch_bt = features.label_bt != features.label_b[:, None]
  numbers = {
    'validity': features.valid_b.mean(),
    'class_entropy': entropy,
    'class_switch_fraction': switch_bt.mean(),
    'digit_presence': features.visible_bt.mean(),
    'image_similarity': features.similarity_bt.mean(),
    'constancy': features.constancy_b.mean(),
    'brightness': features.brightness_b.mean(),
    'sharpness': features.sharpness_b.mean(),
    'background_rms': features.background_rms_b.mean(),
    'path_error': np.median(features.path_error_b),
  }
  if label_b is not None:
    shapes.sizes('', clip_b=features.label_b, label_b=np.asarray(label_b))
    correct_b = features.label_b == np.asarray(label_b)
    numbers['class_accuracy'] = correct_b.mean()
    numbers['valid_and_correct'] = (correct_b & features.valid_b).mean()
  return {name: float(number) for name, number in numbers.items()}


def _check(source: digits_lib.MovingDigits, shape: tuple[int, ...]) -> None:
  if shape[1:] != source.clip_shape:
    raise ValueError(
      f'The clips have shape {shape[1:]}, but those of the dataset have shape'
      f' {source.clip_shape}. Use a dataset whose clips have the same shape.'
    )
  if source.num_digits != 1:
    raise ValueError(
      f'The dataset shows {source.num_digits} digits; only one can be tracked.'
      ' Verify with a dataset whose num_digits is 1.'
    )
  if source.side >= min(source.clip_shape[1:3]):
    raise ValueError(
      f'A digit of {source.side} pixels cannot move within frames of'
      f' {source.clip_shape[1:3]}; take a smaller side.'
    )


def _is_valid(
  features: ClipFeatures, source: digits_lib.MovingDigits
) -> np.ndarray:
  """Returns which clips are within all limits, bool `[b]`."""
  valid_b = features.similarity_bt.min(1) >= _MIN_SIMILARITY
  valid_b &= features.visible_bt.all(1)
  valid_b &= features.constancy_b >= _MIN_CONSTANCY
  valid_b &= features.background_rms_b <= _MAX_BACKGROUND_RMS
  valid_b &= features.path_error_b <= 0.5 + 0.02 * source.side
  for value_b, (low, high), (less, more) in (
    (features.brightness_b, (1, 1), _BRIGHTNESS),
    (features.sharpness_b, (1, 1), _SHARPNESS),
    (features.speed_b, source.speed, _SPEED),
  ):
    valid_b &= (value_b >= less * low) & (value_b <= more * high)
  return valid_b


def _fit_motion(
  source: digits_lib.MovingDigits,
  corner_bt2: np.ndarray,
  visible_bt: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the distance to the best path, and its speed, of each clip."""
  _, h, w, _ = source.clip_shape
  low_b = np.zeros(len(corner_bt2))
  speeds, gaps = [], []
  for axis, length in enumerate((w, h)):
    velocity_b, path_bt, _ = bounces.fit_bounces(
      corner_bt2[..., axis],
      visible_bt,
      low_b,
      low_b + length - source.side,
      1.5 * source.side * source.speed[1],
    )
    speeds.append(velocity_b)
    gaps.append((path_bt - corner_bt2[..., axis]) * visible_bt)
  square_bt = np.square(gaps).sum(0)
  path_error_b = np.sqrt(square_bt.sum(1) / np.maximum(visible_bt.sum(1), 1))
  return path_error_b, np.hypot(*speeds) / source.side

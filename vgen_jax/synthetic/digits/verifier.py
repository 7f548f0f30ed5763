"""Says of a clip which digit moves in it, and whether it moves as it must.

For clips of one digit (`synthetic/digits/source.py`); of two, which shine
through each other for most of a clip, no frame shows either alone. Nothing is
learned: a digit is of the class of the image that it is most like, out of the
1,797 there are. Of digits that are none of these, about nine in ten are of the
class of the nearest one: new digits of a model are not expected to do better.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import shapes
from vgen_jax.synthetic.digits import source as digits_lib
from vgen_jax.synthetic.world import motion
from vgen_jax.synthetic.world import spots

_PLAIN = 64  # Of 255: what is brighter shows something.
_CHUNK = 16  # Clips at a time, to bound the memory.
_MARGIN = 3  # Pixels around a digit that are compared, too.
# Limits of what is valid; the real ones are far within.
_LIKENESS = 0.93
_CONSTANCY = 0.96
_NOISE = 20  # Levels of 255.
_BRIGHTNESS = (0.75, 1.25)
_SHARPNESS = (0.75, 1.25)
_SPEED = (0.85, 1.15)


class Measured(NamedTuple):
  """What each clip shows; lengths are in pixels, levels of 255.

  Attributes:
    label_b: Class of the image that the clip's digit is most like.
    label_bt: The same, of each frame alone.
    center_bt2: The digit's centre of mass (x, y).
    seen_bt: Whether there is a digit of the clip's usual mass.
    likeness_bt: Cosine between each frame's digit and that image; 1 if equal.
    constancy_b: Least cosine between the digits of any two frames.
    brightness_b: The digit's, relative to that image.
    sharpness_b: Strength of its edges for its brightness, relative to the same.
    noise_b: Root mean square of what is not the digit.
    path_error_b: Root mean square distance to the straight path that is
      mirrored at the walls and explains the clip best.
    speed_b: Of that path, in sides of a digit per frame.
    valid_b: Whether it could be a clip of the source.
  """

  label_b: np.ndarray
  label_bt: np.ndarray
  center_bt2: np.ndarray
  seen_bt: np.ndarray
  likeness_bt: np.ndarray
  constancy_b: np.ndarray
  brightness_b: np.ndarray
  sharpness_b: np.ndarray
  noise_b: np.ndarray
  path_error_b: np.ndarray
  speed_b: np.ndarray
  valid_b: np.ndarray


def measure(
  source: digits_lib.MovingDigits, video_bthwc: np.ndarray
) -> Measured:
  """Returns what clips show, and whether they keep the rules of a source.

  A clip is valid if in every frame one digit is seen, always the same, which is
  like one image there is, as bright and as sharp as that, without much noise
  beside it, on a path and at a speed that the source has.

  Args:
    source: Whose sizes and speeds.
    video_bthwc: uint8, or floats in [-1, 1].

  Raises:
    ValueError: If shapes differ, or the source shows several digits, or has no
      room to move in.
  """
  _check(source, video_bthwc.shape)
  if len(video_bthwc) > _CHUNK:
    starts = range(0, len(video_bthwc), _CHUNK)
    parts = [measure(source, video_bthwc[i : i + _CHUNK]) for i in starts]
    return Measured(*map(np.concatenate, zip(*parts, strict=True)))
  level_bthw = spots.levels(video_bthwc).mean(-1)
  digit_bthw = _digit(level_bthw)
  noise_b = np.sqrt(
    np.square(level_bthw - digit_bthw).mean((1, 2, 3))
    / np.maximum((digit_bthw == 0).mean((1, 2, 3)), 1e-3)
  )
  center_bt2, mass_bt = _center(digit_bthw)
  usual_b = np.percentile(mass_bt, 75, axis=1)
  ratio_bt = mass_bt / np.maximum(usual_b, 1)[:, None]
  seen_bt = (ratio_bt > 0.5) & (ratio_bt < 1.6)
  look = _looks(source.side)
  crop_btd = _crops(level_bthw, center_bt2, source.side)
  mean_bd = (crop_btd * seen_bt[..., None]).mean(1)
  image_b = (mean_bd @ look.unit_nd.T).argmax(1)
  size_bt = np.linalg.norm(crop_btd, axis=-1)
  frame_btn = crop_btd @ look.unit_nd.T
  like_bt = np.take_along_axis(frame_btn, image_b[:, None, None], 2)[..., 0]
  likeness_bt = like_bt / np.maximum(size_bt, 1)
  brightness_b = np.median(like_bt, 1) / look.size_n[image_b]
  sharpness_b = np.median(_edges(crop_btd), 1) / look.edges_n[image_b]
  corner_bt2 = center_bt2 - look.center_n2[image_b][:, None]
  path_error_b, speed_b = _motion(source, corner_bt2, seen_bt)
  unit_btd = crop_btd / np.maximum(size_bt, 1)[..., None]
  constancy_b = (unit_btd @ unit_btd.swapaxes(1, 2)).min((1, 2))
  valid_b = (likeness_bt.min(1) >= _LIKENESS) & seen_bt.all(1)
  valid_b &= constancy_b >= _CONSTANCY
  valid_b &= noise_b <= _NOISE
  valid_b &= path_error_b <= 0.5 + 0.02 * source.side
  for value_b, (low, high), (less, more) in (
    (brightness_b, (1, 1), _BRIGHTNESS),
    (sharpness_b, (1, 1), _SHARPNESS),
    (speed_b, source.speed, _SPEED),
  ):
    valid_b &= (value_b >= less * low) & (value_b <= more * high)
  return Measured(
    label_b=look.label_n[image_b],
    label_bt=look.label_n[frame_btn.argmax(-1)],
    center_bt2=center_bt2,
    seen_bt=seen_bt,
    likeness_bt=likeness_bt,
    constancy_b=constancy_b,
    brightness_b=brightness_b,
    sharpness_b=sharpness_b,
    noise_b=noise_b,
    path_error_b=path_error_b,
    speed_b=speed_b,
    valid_b=valid_b,
  )


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
    source: Dataset, as in `measure`.
    video_bthwc: Clips, as in `measure`.
    label_b: Requested classes. Without them no class numbers are returned.
  """
  found = measure(source, video_bthwc)
  count_k = np.bincount(found.label_b[found.valid_b], minlength=10)
  share_k = count_k / max(count_k.sum(), 1)
  numbers = {
    'validity': found.valid_b.mean(),
    'class_entropy': (share_k * -np.log10(np.maximum(share_k, 1e-9))).sum(),
    'class_switch_fraction': (found.label_bt != found.label_b[:, None]).mean(),
    'digit_presence': found.seen_bt.mean(),
    'image_similarity': found.likeness_bt.mean(),
    'constancy': found.constancy_b.mean(),
    'brightness': found.brightness_b.mean(),
    'sharpness': found.sharpness_b.mean(),
    'background_rms': found.noise_b.mean(),
    'path_error': np.median(found.path_error_b),
  }
  if label_b is not None:
    shapes.sizes('', clip_b=found.label_b, label_b=np.asarray(label_b))
    right_b = found.label_b == np.asarray(label_b)
    numbers['class_accuracy'] = right_b.mean()
    numbers['valid_and_correct'] = (right_b & found.valid_b).mean()
  return {name: float(number) for name, number in numbers.items()}


class _Looks(NamedTuple):
  """All images, as crops about their centres of mass."""

  unit_nd: np.ndarray
  size_n: np.ndarray
  edges_n: np.ndarray
  center_n2: np.ndarray
  label_n: np.ndarray


@functools.lru_cache(maxsize=4)
def _looks(side: int) -> _Looks:
  image_nhw, label_n = digits_lib.images(side)
  center_n2, _ = _center(image_nhw[None])
  crop_nd = _crops(image_nhw[None], center_n2, side)[0]
  size_n = np.linalg.norm(crop_nd, axis=1)
  unit_nd = crop_nd / size_n[:, None]
  return _Looks(unit_nd, size_n, _edges(crop_nd), center_n2[0], label_n)


def _check(source: digits_lib.MovingDigits, shape: tuple[int, ...]) -> None:
  if shape[1:] != source.clip_shape:
    raise ValueError(
      f'Clips have shape {shape}; the source needs {("b", *source.clip_shape)}:'
      ' judge by a source of their shape.'
    )
  if source.num_digits != 1:
    raise ValueError(
      f'The source shows {source.num_digits} digits; only one can be followed:'
      ' judge by a source with num_digits 1.'
    )
  if source.side >= min(source.clip_shape[1:3]):
    raise ValueError(
      f'A digit of {source.side} pixels cannot move within frames of'
      f' {source.clip_shape[1:3]}; take a smaller side.'
    )


def _digit(level_bthw: np.ndarray) -> np.ndarray:
  """Returns levels where the digit is, 0 elsewhere: specks are left out."""
  from scipy import ndimage

  b, t, h, w = level_bthw.shape
  plain_nhw = (level_bthw > _PLAIN).reshape(-1, h, w)
  beside = np.zeros((3, 3, 3), bool)
  beside[1] = True  # Within a frame; other frames are no neighbours.
  part_nhw, num_parts = ndimage.label(plain_nhw, beside)
  sizes = np.bincount(part_nhw.ravel(), minlength=num_parts + 1)
  sizes[0] = 0
  size_nhw = sizes[part_nhw]
  most_n = size_nhw.max((1, 2))[:, None, None]
  kept_nhw = (size_nhw >= np.maximum(0.1 * most_n, 4)) & plain_nhw
  kept_nhw = ndimage.binary_dilation(kept_nhw, beside, iterations=2)
  return np.where(kept_nhw.reshape(b, t, h, w), level_bthw, 0)


def _center(level_bthw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns centres of mass (x, y), and mass; of an empty frame, its middle."""
  h, w = level_bthw.shape[2:]
  mass_bt = level_bthw.sum((2, 3))
  some_bt = np.maximum(mass_bt, 1)
  x_bt = level_bthw.sum(2) @ np.arange(w, dtype=np.float32) / some_bt
  y_bt = level_bthw.sum(3) @ np.arange(h, dtype=np.float32) / some_bt
  x_bt = np.where(mass_bt > 0, x_bt, (w - 1) / 2)
  return np.stack([x_bt, np.where(mass_bt > 0, y_bt, (h - 1) / 2)], -1), mass_bt


def _crops(
  level_bthw: np.ndarray, center_bt2: np.ndarray, side: int
) -> np.ndarray:
  """Returns what is about the centres, `[b, t, d]`, sampled between pixels."""
  from scipy import ndimage

  b, t, _, _ = level_bthw.shape
  # Room for what is soft beyond the frame's edge, where digits may touch it.
  room = ((0, 0), (0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
  soft_bthw = np.pad(level_bthw, room)
  soft_bthw = ndimage.gaussian_filter(soft_bthw, (0, 0, side / 20, side / 20))
  grid_m = np.arange(side + 2 * _MARGIN) - (side - 1) / 2
  y_btm = center_bt2[..., 1:] + grid_m
  x_btm = center_bt2[..., :1] + grid_m
  place = np.arange(b * t).reshape(b, t, 1, 1)
  crop = ndimage.map_coordinates(
    soft_bthw.reshape(b * t, *soft_bthw.shape[2:]),
    np.broadcast_arrays(place, y_btm[..., :, None], x_btm[..., None, :]),
    order=1,
  )
  return crop.reshape(b, t, len(grid_m) ** 2)


def _edges(crop: np.ndarray) -> np.ndarray:
  """Returns how much neighbours differ, for the size of what they show."""
  m = math.isqrt(crop.shape[-1])
  square = crop.reshape(*crop.shape[:-1], m, m)
  steps = sum(
    np.square(np.diff(square, axis=a)).sum((-2, -1)) for a in (-2, -1)
  )
  return np.sqrt(steps) / np.maximum(np.linalg.norm(crop, axis=-1), 1)


def _motion(
  source: digits_lib.MovingDigits, corner_bt2: np.ndarray, seen_bt: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the distance to the best path, and its speed, clip by clip."""
  _, h, w, _ = source.clip_shape
  least_b = np.zeros(len(corner_bt2))
  speeds, gaps = [], []
  for axis, length in enumerate((w, h)):
    velocity_b, path_bt, *_ = motion.fit_bounces(
      corner_bt2[..., axis],
      seen_bt,
      least_b,
      least_b + length - source.side,
      1.5 * source.side * source.speed[1],
    )
    speeds.append(velocity_b)
    gaps.append((path_bt - corner_bt2[..., axis]) * seen_bt)
  square_bt = np.square(gaps).sum(0)
  path_error_b = np.sqrt(square_bt.sum(1) / np.maximum(seen_bt.sum(1), 1))
  return path_error_b, np.hypot(*speeds) / source.side

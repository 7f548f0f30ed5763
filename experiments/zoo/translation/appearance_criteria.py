"""Criteria for clips of subjects, and clips that must not meet them (cheats).

`few_shot.py` states the criteria.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.subjects import source

LARGEST_ERROR = 0.08
LEAST_SLOPE = 0.8
LEAST_WEIGHT = 0.6
LEAST_IOU = 0.85
LEAST_DISTANCE = 1e-3  # Least distance of kernels, relative to their norms.
LARGEST_ROUNDING = 1e-5
_FIGURE = 85.0  # Least saturation of the figure, in levels of 255.
_BACKGROUND = 60.0  # Level of the background of cheats.


class Case(NamedTuple):
  """Layouts of clips, and the appearance that their references show.

  In the letters of shapes, `s` are the sides of a body; colours are those of
  body and head, from 0 to 1.

  Attributes:
    layout_bthw: Layouts of the clips.
    alpha_b2thw: Fraction of each pixel that body and head cover.
    side_bt: Index of the side that is visible in each frame.
    color_bs2c: Mean colours in the clip's own references.
    other_bs2c: Mean colours in references of another subject.
  """

  layout_bthw: np.ndarray
  alpha_b2thw: np.ndarray
  side_bt: np.ndarray
  color_bs2c: np.ndarray
  other_bs2c: np.ndarray


class Network(NamedTuple):
  """Measurements of a network, in addition to those of its clips.

  Attributes:
    weight: Mean attention weight of the reference, one of three, that has the
      pose of the frame, over the body or the figure (see `few_shot.py`).
    distance: Smallest distance of the generated kernels of two subjects,
      relative to their norms.
    equal_distance: Largest distance for equal references.
  """

  weight: float
  distance: float
  equal_distance: float


def case(
  world: source.Subjects, index_b: np.ndarray, other_b: np.ndarray
) -> Case:
  """Returns the case of clips of a dataset.

  Args:
    world: Dataset with references.
    index_b: Indices of the clips.
    other_b: Indices of clips of other subjects.
  """
  truths = [world.truth(int(i)) for i in index_b]
  colors = {
    int(i): reference_colors(world, int(i)) for i in {*index_b, *other_b}
  }
  return Case(
    np.stack([world[int(i)]['layout'] for i in index_b]),
    np.stack([truth.alpha_2thw for truth in truths]),
    np.stack([truth.side_t for truth in truths]),
    np.stack([colors[int(i)] for i in index_b]),
    np.stack([colors[int(i)] for i in other_b]),
  )


def reference_colors(world: source.Subjects, index: int) -> np.ndarray:
  """Returns the mean colours in the references of a clip, `[s, 2, c]`.

  Raises:
    ValueError: If no pixel shows the head, or one of the sides of the body.
  """
  references = world.references(index, world.num_references)
  truths = [world.truth(index, i) for i in range(len(references))]
  total_bt2c, count_bt2 = _sums(
    np.stack([x['video'] for x in references]),
    np.stack([truth.alpha_2thw for truth in truths]),
  )
  side_bt = np.stack([truth.side_t for truth in truths])
  total_s2c = _by_side(total_bt2c, side_bt, world.num_sides).sum(axis=0)
  count_s2 = _by_side(count_bt2, side_bt, world.num_sides).sum(axis=0)
  # All sides have the same head.
  total_s2c[:, 1], count_s2[:, 1] = total_s2c[:, 1].sum(0), count_s2[:, 1].sum()
  if not count_s2.all():
    raise ValueError(
      f'The {len(references)} references of clip {index} do not show all'
      f' {world.num_sides} sides; num_references must be at least num_sides.'
    )
  return total_s2c / count_s2[..., None]


def _sums(
  video_bthwc: np.ndarray, alpha_b2thw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns sums of the colours of body and head, and numbers of pixels.

  They are those of pixels that the part covers completely, and that the other
  part does not cover, in each frame: `[b, t, 2, c]` and `[b, t, 2]`.

  Args:
    video_bthwc: Clips, as in `saturation.to_levels`.
    alpha_b2thw: Fraction of each pixel that body and head cover.

  Raises:
    ValueError: If a clip has no such pixel of a part.
  """
  levels = saturation.to_levels(video_bthwc) / 255
  inner = (alpha_b2thw > 0.99) & (alpha_b2thw[:, ::-1] < 0.01)
  count_bt2 = inner.sum(axis=(3, 4)).swapaxes(1, 2)
  if not count_bt2.sum(axis=1).all():
    h, w = inner.shape[3:]
    raise ValueError(
      f'A part covers no pixel of frames of {h} x {w} pixels completely; use'
      ' 32 x 32 or larger.'
    )
  total_bt2c = np.einsum('bpthw,bthwc->btpc', inner.astype(np.float32), levels)
  return total_bt2c, count_bt2


def _by_side(
  value_bt: np.ndarray, side_bt: np.ndarray, num_sides: int
) -> np.ndarray:
  """Returns sums over the frames that show each side, `[b, s, ...]`."""
  shown_bts = side_bt[..., None] == np.arange(num_sides)
  return np.einsum('bts,bt...->bs...', shown_bts.astype(np.float64), value_bt)


def _of_frames(found: Case, color_bs2c: np.ndarray) -> np.ndarray:
  """Returns the colours of the visible side in each frame, `[b, t, 2, c]`."""
  return np.take_along_axis(color_bs2c, found.side_bt[:, :, None, None], axis=1)


def numbers(
  found: Case, own_bthwc: np.ndarray, swapped_bthwc: np.ndarray
) -> dict[str, float]:
  """Returns the measurements of clips.

  Args:
    found: Layouts and references.
    own_bthwc: Clips generated with their own references.
    swapped_bthwc: Clips generated with the same layouts and the references of
      other subjects.

  Returns:
    'error', the root mean square difference between the colours of body and
    head and those of the references, from 0 to 1, averaged over clips and the
    sides that they show; 'slope', the slope of a least-squares fit of the
    change of the colours to the change of the references when these are
    swapped; 'iou', the intersection over union of the figures of clips and of
    layouts; 'side', the largest of some mean errors of bodies in single frames:
    those that show one side, for each side, and those after a change of side.
  """
  num_sides = found.color_bs2c.shape[1]
  by_side = lambda value_bt: _by_side(value_bt, found.side_bt, num_sides)
  own_bt2c, count_bt2 = _sums(own_bthwc, found.alpha_b2thw)
  swapped_bt2c, _ = _sums(swapped_bthwc, found.alpha_b2thw)
  count_bs2 = by_side(count_bt2)
  is_shown = count_bs2 > 0
  count_k1 = count_bs2[is_shown][:, None]
  own_kc = by_side(own_bt2c)[is_shown] / count_k1
  swapped_kc = by_side(swapped_bt2c)[is_shown] / count_k1
  color_kc = found.color_bs2c[is_shown]
  error_k = np.sqrt(np.square(own_kc - color_kc).mean(axis=-1))
  wanted_kc = found.other_bs2c[is_shown] - color_kc
  slope = ((swapped_kc - own_kc) * wanted_kc).sum() / np.square(wanted_kc).sum()
  shown = saturation.saturation(own_bthwc) > _FIGURE
  inside = found.layout_bthw > 0
  iou = (shown & inside).sum() / (shown | inside).sum()
  return {
    'error': float(error_k.mean()),
    'slope': float(slope),
    'iou': float(iou),
    'side': _side_error(found, own_bt2c[:, :, 0], count_bt2[:, :, 0]),
  }


def _side_error(
  found: Case, total_btc: np.ndarray, count_bt: np.ndarray
) -> float:
  """Returns the number 'side' of `numbers`.

  Args:
    found: Poses and colours.
    total_btc: Sums of the colours of bodies in each frame.
    count_bt: Numbers of pixels.
  """
  color_btc = _of_frames(found, found.color_bs2c)[:, :, 0]
  mean_btc = total_btc / np.maximum(count_bt, 1)[..., None]
  error_bt = np.sqrt(np.square(mean_btc - color_btc).mean(axis=-1))
  has_changed_bt = (
    np.diff(found.side_bt, axis=1, prepend=found.side_bt[:, :1]) != 0
  )
  groups = [found.side_bt == i for i in range(found.color_bs2c.shape[1])]
  groups = [x & (count_bt > 0) for x in (*groups, has_changed_bt)]
  return float(max(error_bt[x].mean() for x in groups if x.any()))


def failures(found: dict[str, float], network: Network | None) -> list[str]:
  """Returns the names of the criteria that clips and network do not meet.

  Args:
    found: Measurements of clips, from `numbers`.
    network: Measurements of the network; None leaves these criteria out.
  """
  passes = {
    'colour': found['error'] <= LARGEST_ERROR,
    'slope': found['slope'] >= LEAST_SLOPE,
    'pose': found['iou'] >= LEAST_IOU,
    'side': found['side'] <= LARGEST_ERROR,
  }
  if network is not None:
    passes['attention'] = network.weight >= LEAST_WEIGHT
    passes['kernels'] = (
      network.distance >= LEAST_DISTANCE
      and network.equal_distance <= LARGEST_ROUNDING
    )
  return [name for name, is_met in passes.items() if not is_met]


def cheats(
  found: Case, train_color_ks2c: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Returns clips that must fail, {name: (own, swapped)}.

  Args:
    found: Layouts and references.
    train_color_ks2c: Mean colours of the subjects of the training.
  """
  own, other = found.color_bs2c, found.other_bs2c
  same = lambda x_s2c: np.broadcast_to(x_s2c[None], own.shape)
  train_k2c = train_color_ks2c.reshape(-1, *train_color_ks2c.shape[2:])
  nearest = lambda color_bs2c: train_k2c[
    np.square(color_bs2c[:, :, None, 0] - train_k2c[None, None, :, 0])
    .sum(axis=-1)
    .argmin(axis=2)
  ]
  both = lambda *colors, case=found: tuple(paint(case, x) for x in colors)
  mean, first = same(train_color_ks2c.mean(axis=0)), same(train_color_ks2c[0])
  moved = found._replace(
    alpha_b2thw=np.roll(found.alpha_b2thw, 1, axis=0),
    side_bt=np.roll(found.side_bt, 1, axis=0),
  )
  made = {
    'mean colours of training': both(mean, mean),
    'one subject of training': both(first, first),
    'nearest body of training': both(nearest(own), nearest(other)),
    'reference ignored': both(own, own),
    'pose of another clip': both(own, other, case=moved),
  }
  if own.shape[1] == 2:
    blend = lambda x: np.broadcast_to(x.mean(axis=1, keepdims=True), x.shape)
    turned = lambda x: np.roll(x, 1, axis=1)
    made['mean of the sides'] = both(blend(own), blend(other))
    made['sides exchanged'] = both(turned(own), turned(other))
    opposite = lambda x: np.stack([x[:, 0], _opposite(x[:, 0])], axis=1)
    made['opposite of the first side'] = both(opposite(own), opposite(other))
    late_bt = np.concatenate([found.side_bt[:, :1], found.side_bt[:, :-1]], 1)
    late = found._replace(side_bt=late_bt)
    made['sides one frame late'] = both(own, other, case=late)
  return made


def _opposite(color_b2c: np.ndarray) -> np.ndarray:
  """Returns bodies of the opposite hue, and the same heads."""
  low, high = color_b2c.min(-1, keepdims=True), color_b2c.max(-1, keepdims=True)
  return np.stack([(low + high - color_b2c)[:, 0], color_b2c[:, 1]], axis=1)


def paint(found: Case, color_bs2c: np.ndarray) -> np.ndarray:
  """Returns figures on a grey background, uint8 `[b, t, h, w, c]`.

  Args:
    found: Poses of the figures.
    color_bs2c: Colours of body and head, from 0 to 1, for each side.
  """
  alpha = found.alpha_b2thw[..., None]
  color_bt2c = 255 * _of_frames(found, color_bs2c)
  color = color_bt2c.swapaxes(1, 2)[:, :, :, None, None]
  body_bthwc = _BACKGROUND + alpha[:, 0] * (color[:, 0] - _BACKGROUND)
  video_bthwc = body_bthwc + alpha[:, 1] * (color[:, 1] - body_bthwc)
  return np.rint(video_bthwc).astype(np.uint8)

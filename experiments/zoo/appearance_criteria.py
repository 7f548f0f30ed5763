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

  Attributes:
    layout_bthw: Layouts of the clips.
    alpha_b2thw: Fraction of each pixel that body and head cover.
    color_b2c: Mean colours of body and head in the clip's own references, from
      0 to 1.
    other_b2c: Mean colours of body and head of another subject.
  """

  layout_bthw: np.ndarray
  alpha_b2thw: np.ndarray
  color_b2c: np.ndarray
  other_b2c: np.ndarray


class Network(NamedTuple):
  """Measurements of a network, in addition to those of its clips.

  Attributes:
    weight: Mean attention weight of the reference, one of three, that has the
      pose of the frame.
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
    int(i): reference_color(world, int(i)) for i in {*index_b, *other_b}
  }
  return Case(
    np.stack([world[int(i)]['layout'] for i in index_b]),
    np.stack([truth.alpha_2thw for truth in truths]),
    np.stack([colors[int(i)] for i in index_b]),
    np.stack([colors[int(i)] for i in other_b]),
  )


def reference_color(world: source.Subjects, index: int) -> np.ndarray:
  """Returns the mean colours in the references of a clip, `[2, c]`."""
  references = world.references(index, world.num_references)
  video_bthwc = np.stack([x['video'] for x in references])
  truths = [world.truth(index, i) for i in range(len(references))]
  return part_colors(
    video_bthwc, np.stack([truth.alpha_2thw for truth in truths])
  ).mean(axis=0)


def part_colors(video_bthwc: np.ndarray, alpha_b2thw: np.ndarray) -> np.ndarray:
  """Returns the mean colours of body and head, from 0 to 1, `[b, 2, c]`.

  Means are taken over pixels that the part covers completely, and that the
  other part does not cover.

  Args:
    video_bthwc: Clips, as in `saturation.to_levels`.
    alpha_b2thw: Fraction of each pixel that body and head cover.

  Raises:
    ValueError: If there is no such pixel.
  """
  levels = saturation.to_levels(video_bthwc) / 255
  inner = (alpha_b2thw > 0.99) & (alpha_b2thw[:, ::-1] < 0.01)
  count_b2 = inner.sum(axis=(2, 3, 4))
  if not count_b2.all():
    h, w = inner.shape[3:]
    raise ValueError(
      f'A part covers no pixel of frames of {h} x {w} pixels completely; use'
      ' 32 x 32 or larger.'
    )
  total_b2c = np.einsum('bpthw,bthwc->bpc', inner.astype(np.float32), levels)
  return total_b2c / count_b2[..., None]


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
    head and those of the references, from 0 to 1, averaged over clips; 'slope',
    the slope of a least-squares fit of the change of the colours to the change
    of the references when these are swapped; 'iou', the intersection over union
    of the figures of clips and of layouts.
  """
  own_b2c = part_colors(own_bthwc, found.alpha_b2thw)
  swapped_b2c = part_colors(swapped_bthwc, found.alpha_b2thw)
  error_b2 = np.sqrt(np.square(own_b2c - found.color_b2c).mean(axis=-1))
  wanted = found.other_b2c - found.color_b2c
  slope = ((swapped_b2c - own_b2c) * wanted).sum() / np.square(wanted).sum()
  shown = saturation.saturation(own_bthwc) > _FIGURE
  inside = found.layout_bthw > 0
  iou = (shown & inside).sum() / (shown | inside).sum()
  return {
    'error': float(error_b2.mean()), 'slope': float(slope), 'iou': float(iou),
  }  # fmt: skip


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
  }
  if network is not None:
    passes['attention'] = network.weight >= LEAST_WEIGHT
    passes['kernels'] = (
      network.distance >= LEAST_DISTANCE
      and network.equal_distance <= LARGEST_ROUNDING
    )
  return [name for name, is_met in passes.items() if not is_met]


def cheats(
  found: Case, train_color_k2c: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Returns clips that must fail, {name: (own, swapped)}.

  Args:
    found: Layouts and references.
    train_color_k2c: Mean colours of the subjects of the training.
  """
  num = len(found.color_b2c)
  same = lambda x_2c: np.broadcast_to(x_2c[None], (num, *x_2c.shape))
  nearest = lambda color_b2c: train_color_k2c[
    np.square(color_b2c[:, None, 0] - train_color_k2c[None, :, 0])
    .sum(axis=-1)
    .argmin(axis=1)
  ]
  both = lambda one_b2c, other_b2c, alpha: (
    paint(one_b2c, alpha), paint(other_b2c, alpha),
  )  # fmt: skip
  alpha = found.alpha_b2thw
  mean, first = same(train_color_k2c.mean(axis=0)), same(train_color_k2c[0])
  return {
    'mean colours of training': both(mean, mean, alpha),
    'one subject of training': both(first, first, alpha),
    'nearest body of training': both(
      nearest(found.color_b2c), nearest(found.other_b2c), alpha
    ),
    'reference ignored': both(found.color_b2c, found.color_b2c, alpha),
    'pose of another clip': both(
      found.color_b2c, found.other_b2c, np.roll(alpha, 1, axis=0)
    ),
  }


def paint(color_b2c: np.ndarray, alpha_b2thw: np.ndarray) -> np.ndarray:
  """Returns figures on a grey background, uint8 `[b, t, h, w, c]`.

  Args:
    color_b2c: Colours of body and head, from 0 to 1.
    alpha_b2thw: Fraction of each pixel that body and head cover.
  """
  alpha = alpha_b2thw[..., None]
  color = 255 * color_b2c[:, :, None, None, None]
  body_bthwc = _BACKGROUND + alpha[:, 0] * (color[:, 0] - _BACKGROUND)
  video_bthwc = body_bthwc + alpha[:, 1] * (color[:, 1] - body_bthwc)
  return np.rint(video_bthwc).astype(np.uint8)

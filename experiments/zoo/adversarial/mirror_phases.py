"""Checks that the two discs of clips of `synthetic.mirror` move oppositely.

  python -m experiments.zoo.adversarial.mirror_phases --workdir=runs/savn \
      --num=256

The script prints

- the correlation between the positions of the two discs along their edges, over
  the frames of all clips in which both discs are visible and move;
- the proportion of such clips;
- the mean absolute change of a position from frame to frame, relative to the
  standard deviation of positions. It is large if the order of frames is wrong;
- the standard deviation of first positions among clips of a class, relative to
  that of all positions. It is small if clips of a class are the same;
- the proportion of clips whose discs are at the edges of the requested class.

Clips pass with a correlation of at most -0.8, a change of at most 1, a
deviation of first positions of at least 0.5, and proportions of at least 0.7
and 0.8. For comparison, the script also prints these numbers for real clips and
for clips that must not pass: one disc copied to the other edge, discs from
different clips, still clips, frames in random order, one clip of each class,
and clips of the other class.
"""

from typing import NamedTuple

import numpy as np

from experiments.zoo import arguments
from vgen_jax.inference import runs
from vgen_jax.synthetic import saturation

LARGEST_CORRELATION = -0.8
LEAST_MEASURED = 0.7
LARGEST_CHANGE = 1.0
LEAST_VARIETY = 0.5
LEAST_ACCURACY = 0.8
# Least total saturation of a visible disc, in levels of 255.
_LEAST_MASS = 100.0
# Least standard deviation of its position, in sides of a frame.
_LEAST_MOTION = 0.03
_EDGE = 0.25  # Width of an edge, in sides of a frame.


class Numbers(NamedTuple):
  """Measurements of clips.

  Attributes:
    correlation: Correlation of the positions of both discs; NaN if no clip was
      measured.
    measured: Proportion of clips with two visible, moving discs.
    change: Mean change of a position in a frame, relative to the standard
      deviation of positions; NaN if no clip was measured.
    variety: Standard deviation of first positions in a class, relative to that
      of all positions; NaN if no clip was measured.
    accuracy: Proportion of clips with discs at the edges of their class.
  """

  correlation: float
  measured: float
  change: float
  variety: float
  accuracy: float


def main() -> None:
  args = arguments.parser(__doc__, num=256).parse_args()
  run = runs.load(args.workdir)
  label_b = np.asarray(run.condition(args.num)['label'])
  clips = [run.source[i] for i in range(args.num)]
  real = np.stack([x['video'] for x in clips])
  real_label_b = np.stack([x['label'] for x in clips])
  arms = {'generated': (run.sample(args.num), label_b)}
  arms['real'] = (real, real_label_b)
  for name, video in cheats(real, real_label_b).items():
    arms[name] = (video, real_label_b)
  print(
    '| clips | correlation | measured | change | variety | class | passes |'
  )
  print('|---' * 7 + '|')
  for name, (video, label) in arms.items():
    found = numbers(video, label)
    print(
      f'| {name} | {" | ".join(f"{x:.2f}" for x in found)} | {passes(found)} |'
    )


def numbers(video_bthwc: np.ndarray, label_b: np.ndarray) -> Numbers:
  """Returns the measurements of clips.

  Args:
    video_bthwc: Clips with square frames, as in `saturation.to_levels`.
    label_b: 0 for discs at the left and right edge, 1 for the others.
  """
  mass_bthw = saturation.saturation(_upright(video_bthwc, label_b))
  side = mass_bthw.shape[2]
  row_h = np.arange(side)
  half = side // 2
  positions, valid_b = [], np.ones(len(mass_bthw), bool)
  for half_bthw in (mass_bthw[..., :half], mass_bthw[..., half:]):
    mass_bt = half_bthw.sum(axis=(2, 3))
    position_bt = half_bthw.sum(axis=3) @ row_h / np.maximum(mass_bt, 1)
    position_bt -= position_bt.mean(axis=1, keepdims=True)
    valid_b &= (mass_bt >= _LEAST_MASS).all(axis=1)
    valid_b &= position_bt.std(axis=1) >= _LEAST_MOTION * side
    positions.append(position_bt)
  correlation = change = variety = np.nan
  if valid_b.any():
    one_bt, other_bt = (position_bt[valid_b] for position_bt in positions)
    one, other = one_bt.ravel(), other_bt.ravel()
    correlation = (one @ other) / np.sqrt((one @ one) * (other @ other))
    change = abs(np.diff(one_bt)).mean() / one.std()
    first_b, of_class_b = one_bt[:, 0], label_b[valid_b]
    variety = (
      np.mean([first_b[of_class_b == k].std() for k in set(of_class_b)])
      / one.std()
    )
  edge = round(_EDGE * side)
  # With the right class, all of the mass is at the left and right edges.
  across = (row_h < edge) | (row_h >= side - edge)
  columns_b = mass_bthw[..., across].sum(axis=(1, 2, 3))
  rows_b = mass_bthw[:, :, across].sum(axis=(1, 2, 3))
  return Numbers(
    float(correlation),
    float(valid_b.mean()),
    float(change),
    float(variety),
    float((columns_b > rows_b).mean()),
  )


def passes(found: Numbers) -> bool:
  """Returns whether all numbers meet the limits in the file's docstring."""
  return (
    found.measured >= LEAST_MEASURED
    and found.correlation <= LARGEST_CORRELATION
    and found.change <= LARGEST_CHANGE
    and found.variety >= LEAST_VARIETY
    and found.accuracy >= LEAST_ACCURACY
  )


def cheats(
  video_bthwc: np.ndarray, label_b: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns clips that must not pass, {name: clips}.

  Args:
    video_bthwc: Real clips to make them from.
    label_b: Their classes, 0 or 1.
  """
  upright = _upright(video_bthwc, label_b)
  half = upright.shape[3] // 2
  halves = upright[..., :half, :], upright[..., half:, :]
  made = {
    'one disc copied': (halves[0], halves[0][..., ::-1, :]),
    'discs of different clips': (halves[0], np.roll(halves[1], 1, axis=0)),
    'still': [x[:, :1].repeat(x.shape[1], axis=1) for x in halves],
  }
  result = {
    name: _upright(np.concatenate(parts, axis=3), label_b)
    for name, parts in made.items()
  }
  index_bt = np.broadcast_to(np.arange(video_bthwc.shape[1]), upright.shape[:2])
  order_bt = np.random.default_rng(0).permuted(index_bt, axis=1)
  first_b = np.argmax(label_b[:, None] == label_b, axis=1)
  return result | {
    'frames in random order': np.take_along_axis(
      video_bthwc, order_bt[:, :, None, None, None], axis=1
    ),
    'one clip of each class': video_bthwc[first_b],
    'the other class': np.swapaxes(video_bthwc, 2, 3),
  }


def _upright(video_bthwc: np.ndarray, label_b: np.ndarray) -> np.ndarray:
  """Returns clips in which height and width are exchanged for class 1.

  Applied twice, it returns the clips as they were.
  """
  exchanged = np.swapaxes(video_bthwc, 2, 3)
  return np.where(
    label_b[:, None, None, None, None] == 1, exchanged, video_bthwc
  )


if __name__ == '__main__':
  main()

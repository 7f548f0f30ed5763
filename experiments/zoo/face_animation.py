"""Checks that a trained AGVN moves the mouth of faces with the sound.

  python experiments/zoo/face_animation.py --workdir=runs/agvn --num=64

The opening of the mouth is measured as the area of red pixels. The script
prints its correlation with the loudness of the sound, over all frames after the
first one; the intersection over union (IoU) of `mask > 0.5` and the pixels that
can change, which are eyes and mouth; and the mean of the mask. Clips pass with
a correlation of at least 0.9, an IoU of at least 0.5 and a mean of at most 0.3.
For comparison, the script also prints these numbers for clips and masks that
must not pass: the first frame repeated, the sound of other clips, and masks of
ones and zeros.
"""

import argparse
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import checks
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.models import agvn
from vgen_jax.synthetic import saturation

LEAST_CORRELATION = 0.9
LEAST_IOU = 0.5
LARGEST_MEAN = 0.3
# Least difference of red and green in lips, in levels of 255; in skin it is 31.
_LEAST_RED = 60.0


class Arm(NamedTuple):
  """Clips, and the properties of real clips that they are compared with.

  Attributes:
    video_bthwc: Clips.
    mask_bthw: Masks of the clips, from 0 to 1.
    loudness_bt: Loudness of the sound in each frame.
    moving_bhw: True where the pixels of a real clip can change.
  """

  video_bthwc: np.ndarray
  mask_bthw: np.ndarray
  loudness_bt: np.ndarray
  moving_bhw: np.ndarray


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--workdir', required=True, help='Workdir of the run.')
  parser.add_argument('--num', type=int, default=64, help='Number of clips.')
  args = parser.parse_args()
  checks.at_least('--num', args.num, 1)
  arm = generate(args.workdir, args.num)
  print('| clips | correlation | IoU | mean of the mask | passes |')
  print('|---|---|---|---|---|')
  for name, each in {'generated': arm, **cheats(arm)}.items():
    correlation, iou, mean = found = numbers(each)
    print(
      f'| {name} | {correlation:.2f} | {iou:.2f} | {mean:.3f} |'
      f' {passes(*found)} |'
    )


def generate(workdir: str, num: int) -> Arm:
  """Returns generated clips, for first frames and sounds of the run's data."""
  run = runs.load(workdir)
  network = run.model.generator
  variables = run.state.variables(run.config.sample_from)
  own = {
    kind: parts['generator']
    for kind, parts in variables.items()
    if 'generator' in parts
  }
  condition = {k: jnp.asarray(x) for k, x in run.condition(num).items()}
  del condition['known']
  condition['known_video'] = condition['known_video'][:, :1]

  @jax.jit
  def layers_of(variables, key_b, condition):
    return network.apply(variables, key_b, condition, method='layers')

  layers = layers_of(own, sampling.clip_keys(0, num), condition)
  video_bthwc = agvn.animate(condition['known_video'], layers)
  moving = [run.source.truth(i).moving_hw for i in range(num)]
  return Arm(
    np.asarray(video_bthwc),
    np.asarray(layers.mask_bthw),
    np.asarray(condition['audio'][..., 0]),
    np.stack(moving),
  )


def numbers(arm: Arm) -> tuple[float, float, float]:
  """Returns the correlation, the IoU and the mean of the mask."""
  levels = saturation.to_levels(arm.video_bthwc)
  red = np.maximum(levels[..., 0] - levels[..., 1] - _LEAST_RED, 0)
  opening_bt = _centred(red.sum(axis=(2, 3))[:, 1:])
  loudness_bt = _centred(arm.loudness_bt[:, 1:])
  norm = np.sqrt((opening_bt**2).sum() * (loudness_bt**2).sum())
  correlation = (opening_bt * loudness_bt).sum() / norm if norm else 0.0
  inside_bthw = arm.mask_bthw[:, 1:] > 0.5
  moving_bthw = np.broadcast_to(arm.moving_bhw[:, None], inside_bthw.shape)
  union = (inside_bthw | moving_bthw).sum()
  iou = (inside_bthw & moving_bthw).sum() / max(union, 1)
  return float(correlation), float(iou), float(arm.mask_bthw[:, 1:].mean())


def passes(correlation: float, iou: float, mean: float) -> bool:
  """Returns whether the mouth follows the sound, and little else changes.

  Args:
    correlation: Correlation of the opening of the mouth with the loudness.
    iou: IoU of the mask with the pixels that can change.
    mean: Mean of the mask.
  """
  return (
    correlation >= LEAST_CORRELATION
    and iou >= LEAST_IOU
    and mean <= LARGEST_MEAN
  )


def cheats(arm: Arm) -> dict[str, Arm]:
  """Returns arms that must not pass, {name: arm}."""
  still = np.broadcast_to(arm.video_bthwc[:, :1], arm.video_bthwc.shape)
  return {
    'first frame': arm._replace(video_bthwc=still),
    'other sound': arm._replace(loudness_bt=np.roll(arm.loudness_bt, 1, 0)),
    'mask of ones': arm._replace(mask_bthw=np.ones_like(arm.mask_bthw)),
    'mask of zeros': arm._replace(mask_bthw=np.zeros_like(arm.mask_bthw)),
  }


def _centred(x_bt: np.ndarray) -> np.ndarray:
  return x_bt - x_bt.mean(axis=1, keepdims=True)


if __name__ == '__main__':
  main()

"""Counts clips that are roughly valid, for GANs that are still being trained.

  python -m experiments.zoo.rough_clips --workdir=runs/vgan --num=256

A clip is roughly valid if it shows a blob of roughly constant colour in every
frame, and the blob moves like an object of the dataset, with the limits of
`ROUGH`. Its shape and its exact colour do not matter. For comparison, the
script also prints the fractions of real clips and of clips that must not be
valid: the first frame of generated clips, repeated, and real clips whose frames
are in random order, or change their colour.
"""

import argparse
import dataclasses

import numpy as np

from vgen_jax.config import build
from vgen_jax.core import checks
from vgen_jax.inference import runs
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.world import verifier as verifier_lib

ROUGH = dataclasses.replace(
  verifier_lib.LOOSE,
  path_error=(0.1, 0.05),
  step_error=(0.1, 0.1),
  size_error=0.5,
  size_change=0.5,
  speed_error=0.3,
  speed_drift=0.35,
  angle_error=23.0,
  shape_mismatch=1.0,
  residual_rms=40.0,
  residual_patch=np.inf,
  color_error=np.inf,
  color_drift=120.0,
)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--workdir', required=True, help='Workdir of the run.')
  parser.add_argument('--num', type=int, default=256, help='Number of clips.')
  args = parser.parse_args()
  checks.at_least('--num', args.num, 1)
  run = runs.load(args.workdir)
  world = build.source(
    run.config.data.to_dict(), run.config.clip_shape, split='validation'
  )
  verifier = verifier_lib.Verifier(world)
  video_bthwc = run.sample(args.num)
  real_bthwc = np.stack([world[i]['video'] for i in range(args.num)])
  arms = {'generated': video_bthwc, 'real': real_bthwc}
  print('| clips | roughly valid | valid (loose tier) |')
  print('|---|---|---|')
  for name, video in {**arms, **cheats(video_bthwc, real_bthwc)}.items():
    found = verifier.features(video)
    rough, loose = (
      verifier.valid(found, tier).mean() for tier in (ROUGH, verifier_lib.LOOSE)
    )
    print(f'| {name} | {rough:.2f} | {loose:.2f} |')


def cheats(
  video_bthwc: np.ndarray, real_bthwc: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns clips that must not be roughly valid, {name: clips}.

  Args:
    video_bthwc: Generated clips.
    real_bthwc: Real clips, uint8.
  """
  rng = np.random.default_rng(0)
  order_bt = np.stack(
    [rng.permutation(real_bthwc.shape[1]) for _ in real_bthwc]
  )
  levels = saturation.to_levels(real_bthwc)
  # In each frame, the colour is a mixture of two permutations of channels.
  weight_t111 = np.linspace(0, 1, levels.shape[1])[:, None, None, None]
  mixed = levels + weight_t111 * (np.roll(levels, 1, axis=-1) - levels)
  return {
    'first frame': np.repeat(video_bthwc[:, :1], video_bthwc.shape[1], axis=1),
    'random order': np.take_along_axis(
      real_bthwc, order_bt[:, :, None, None, None], axis=1
    ),
    'changing colour': drawing.to_uint8(mixed),
  }


if __name__ == '__main__':
  main()

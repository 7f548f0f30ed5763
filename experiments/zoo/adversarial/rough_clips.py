"""Counts clips that are roughly valid, for GANs that are still being trained.

  python -m experiments.zoo.adversarial.rough_clips --workdir=runs/vgan \
      --num=256

A clip is roughly valid if it shows a blob of roughly constant colour in every
frame that moves like an object of the dataset, and no other bright object, with
the limits of `ROUGH`. The shape and the exact colour of the blob do not matter.
One clip, repeated, is also valid: the script prints the entropy of colours,
relative to its maximum. For comparison, it also prints these numbers for real
clips, and for clips that must not be valid: real clips whose first frame is
repeated, whose frames are in random order or exchanged with their neighbours,
whose colour changes from frame to frame, or that show a second object.
"""

import dataclasses

import numpy as np

from experiments.zoo import arguments
from vgen_jax.config import build
from vgen_jax.inference import runs
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.world import verifier as verifier_lib

ROUGH = dataclasses.replace(
  verifier_lib.LOOSE,
  path_error=(0.1, 0.05),
  size_error=0.5,
  size_change=0.5,
  speed_error=0.3,
  speed_drift=0.35,
  angle_error=23.0,
  shape_mismatch=1.0,
  residual_rms=25.0,
  residual_patch=80.0,
  color_error=np.inf,
  color_drift=120.0,
)


def main() -> None:
  args = arguments.parser(__doc__, num=256).parse_args()
  run = runs.load(args.workdir)
  world = build.source(
    run.config.data.to_dict(), run.config.clip_shape, split='validation'
  )
  verifier = verifier_lib.Verifier(world)
  real_bthwc = np.stack([world[i]['video'] for i in range(args.num)])
  arms = {'generated': run.sample(args.num), 'real': real_bthwc}
  print('| clips | roughly valid | valid (loose tier) | entropy of colours |')
  print('|---|---|---|---|')
  for name, video in {**arms, **cheats(real_bthwc)}.items():
    found = verifier.features(video)
    rough, loose = (
      verifier.valid(found, tier).mean() for tier in (ROUGH, verifier_lib.LOOSE)
    )
    entropy = verifier.report(video)['entropy_color']
    print(f'| {name} | {rough:.2f} | {loose:.2f} | {entropy:.2f} |')


def cheats(real_bthwc: np.ndarray) -> dict[str, np.ndarray]:
  """Returns clips that must not be roughly valid, {name: clips}.

  Args:
    real_bthwc: Real clips, uint8, with an even number of frames.
  """
  num_frames = real_bthwc.shape[1]
  rng = np.random.default_rng(0)
  order_bt = np.stack([rng.permutation(num_frames) for _ in real_bthwc])
  levels = saturation.to_levels(real_bthwc)
  # In each frame, the colour is a mixture of two permutations of channels.
  weight_t111 = np.linspace(0, 1, num_frames)[:, None, None, None]
  mixed = levels + weight_t111 * (np.roll(levels, 1, axis=-1) - levels)
  second = real_bthwc.copy()
  second[:, :, 1:4, 1:4] = (255, 0, 0)
  return {
    'first frame': np.repeat(real_bthwc[:, :1], num_frames, axis=1),
    'random order': np.take_along_axis(
      real_bthwc, order_bt[:, :, None, None, None], axis=1
    ),
    'neighbours exchanged': real_bthwc[:, np.arange(num_frames) ^ 1],
    'changing colour': drawing.to_uint8(mixed),
    'second object': second,
  }


def next_of_class(label_b: np.ndarray) -> np.ndarray:
  """Returns the index of the next clip of the same class, for each clip."""
  result_b = np.arange(len(label_b))
  for label in set(label_b):
    (index_n,) = np.nonzero(label_b == label)
    result_b[index_n] = np.roll(index_n, -1)
  return result_b


if __name__ == '__main__':
  main()

"""Checks that the mask of a trained VGAN detects the moving object.

  python -m experiments.zoo.adversarial.vgan_layers --workdir=runs/vgan \
      --num=256

Generated clips of the synthetic dataset have a grey background, so the pixels
of the object are those with a saturation above 0.3. The script prints the
intersection over union (IoU) of `mask > 0.5` and these pixels, over all clips,
and the mean of the mask. The masks of real clips have an IoU of 0.95. For
comparison, the script also prints these numbers for wrong masks: a mask of
ones, which is a generator of one stream; a mask of zeros; the masks of other
clips; a mask that is the same in all frames; and one that is one frame late. A
mask passes with an IoU of at least 0.75 and a mean of at most 0.2.
"""

import jax.numpy as jnp
import numpy as np

from experiments.zoo import arguments
from vgen_jax.core import random
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.nn import compositing
from vgen_jax.synthetic import saturation
from vgen_jax.training import state as state_lib

LEAST_IOU = 0.75
LARGEST_MEAN = 0.2
# Pixels with a larger saturation, from 0 to 255, are those of the object. A
# pixel has this saturation if the object covers about 40 % of it.
_LEAST_SATURATION = 0.3 * 255


def main() -> None:
  args = arguments.parser(__doc__, num=256, least=2).parse_args()
  video_bthwc, mask_bthw = generate(args.workdir, args.num)
  print('| mask | IoU | mean | passes |')
  print('|---|---|---|---|')
  for name, mask in {'generated': mask_bthw, **cheats(mask_bthw)}.items():
    iou, mean = numbers(mask, video_bthwc)
    print(f'| {name} | {iou:.2f} | {mean:.3f} | {passes(iou, mean)} |')


def generate(workdir: str, num: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns clips of a run in [-1, 1], and their masks `[b, t, h, w]`."""
  run = runs.load(workdir)
  network = run.model.generator
  average = run.config.sample_from
  variables = run.state.variables(average)
  own = state_lib.of_part(variables, 'generator')
  latent_bd = random.normal(sampling.clip_keys(0, num), (network.latent_width,))
  condition = {k: jnp.asarray(x) for k, x in run.condition(num).items()}
  layers = network.apply(
    own, latent_bd, condition, train=False, method='layers'
  )
  return np.asarray(compositing.blend(*layers)), np.asarray(layers.mask_bthw)


def numbers(
  mask_bthw: np.ndarray, video_bthwc: np.ndarray
) -> tuple[float, float]:
  """Returns the IoU of a mask with the pixels of the object, and its mean.

  Args:
    mask_bthw: Mask, from 0 to 1.
    video_bthwc: Clips in [-1, 1], whose objects have colour.
  """
  shown_bthw = shown(video_bthwc)
  inside_bthw = mask_bthw > 0.5
  union = (inside_bthw | shown_bthw).sum()
  iou = (inside_bthw & shown_bthw).sum() / max(union, 1)
  return float(iou), float(mask_bthw.mean())


def shown(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns which pixels of clips show the object, bool `[b, t, h, w]`."""
  return saturation.saturation(video_bthwc) > _LEAST_SATURATION


def passes(iou: float, mean: float) -> bool:
  """Returns whether a mask detects the object and nothing else."""
  return iou >= LEAST_IOU and mean <= LARGEST_MEAN


def cheats(mask_bthw: np.ndarray) -> dict[str, np.ndarray]:
  """Returns masks that must not pass, {name: mask}."""
  still = np.broadcast_to(mask_bthw[:, :1], mask_bthw.shape)
  return {
    'ones': np.ones_like(mask_bthw),
    'zeros': np.zeros_like(mask_bthw),
    'of other clips': np.roll(mask_bthw, 1, axis=0),
    'of the first frame': still,
    'one frame late': np.concatenate(
      [mask_bthw[:, :1], mask_bthw[:, :-1]], axis=1
    ),
  }


if __name__ == '__main__':
  main()

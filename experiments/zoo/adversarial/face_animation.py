"""Checks that a trained AGVN moves the mouth of faces with the sound.

  python -m experiments.zoo.adversarial.face_animation --workdir=runs/agvn \
      --num=64

The opening of the mouth is the area of red pixels among those that the mouth
can cover. The script prints, over all frames after the first one of the clips
of the split `validation`:

- the correlation of the opening with the loudness of the sound;
- the error of the mouth: the mean absolute difference between generated and
  real pixels that the mouth can cover, relative to that of the first frame,
  repeated; of each clip, averaged over the tenth of the clips that is worst. It
  depends on the place, the shape and the opening of the mouth;
- the error of the eyes, computed in the same way from all clips together. It is
  1 for eyes that never blink, and about 2 for eyes that blink at other times
  than the real ones, which the sound does not determine;
- the error of the rest: the largest difference, in levels of 255, between
  generated and real pixels other than those of eyes and mouth, of each clip,
  averaged over clips. It is small only if the person, the brows and the
  background stay the same;
- the intersection over union (IoU) of `mask > 0.5` and the pixels that can
  change, which are those of eyes and mouth;
- the mean of the mask.

The limits are `LIMITS`. For comparison, the script also prints these numbers
for clips and masks that must not pass, such as clips that the model generates
from the sounds of other clips.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.zoo import arguments
from vgen_jax.config import build
from vgen_jax.core import pixels
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.models import agvn
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic import saturation
from vgen_jax.training import state as state_lib

# Least difference of red and green in lips, in levels of 255; in skin it is 31.
_LEAST_RED = 60.0


class Arm(NamedTuple):
  """Clips, and the properties of real clips that they are compared with.

  Attributes:
    video_bthwc: Clips, uint8, or floats in [-1, 1].
    mask_bthw: Masks of the clips, from 0 to 1.
    real_bthwc: The real clips with the same first frames and sounds, uint8.
    loudness_bt: Loudness of the sound in each frame.
    moving_bhw: True where the pixels of a real clip can change.
    mouth_bhw: True where its mouth can be.
  """

  video_bthwc: np.ndarray
  mask_bthw: np.ndarray
  real_bthwc: np.ndarray
  loudness_bt: np.ndarray
  moving_bhw: np.ndarray
  mouth_bhw: np.ndarray


class Numbers(NamedTuple):
  """Measurements of clips and masks; see the docstring of this file.

  Attributes:
    correlation: Correlation of the opening of the mouth with the loudness.
    mouth: Error of the mouth in the worst tenth of the clips.
    eyes: Error of the eyes.
    rest: Largest error of all other pixels, in levels of 255.
    iou: IoU of the mask with the pixels that can change.
    mean: Mean of the mask.
  """

  correlation: float
  mouth: float
  eyes: float
  rest: float
  iou: float
  mean: float


# The least correlation and IoU, and the largest of the other numbers.
LIMITS = Numbers(
  correlation=0.9, mouth=0.45, eyes=2.0, rest=25.0, iou=0.5, mean=0.3
)
_LEAST = ('correlation', 'iou')


def main() -> None:
  args = arguments.parser(__doc__, num=64, least=2).parse_args()
  arm = generate(args.workdir, args.num)
  arms = {
    'generated': arm,
    'from other sounds': generate(args.workdir, args.num, shift=1),
    **cheats(arm),
  }
  print('| clips | correlation | mouth | eyes | rest | IoU | mask | fails |')
  print('|---|---|---|---|---|---|---|---|')
  print(_row('limit', LIMITS, ''))
  for name, each in arms.items():
    found = numbers(each)
    print(_row(name, found, ', '.join(failures(found)) or 'nothing'))


def generate(workdir: str, num: int, shift: int = 0) -> Arm:
  """Returns clips from first frames and sounds of the split `validation`.

  Args:
    workdir: Workdir of the run.
    num: Number of clips.
    shift: Clip i is generated from the sound of clip i - shift, modulo `num`.
  """
  run = runs.load(workdir)
  source = build.source(
    run.config.data.to_dict(), run.config.clip_shape, split='validation'
  )
  clips = [source[i] for i in range(num)]
  real_bthwc = np.stack([x['video'] for x in clips])
  network = run.model.generator
  variables = run.state.variables(run.config.sample_from)
  own = state_lib.of_part(variables, 'generator')
  condition = {
    k: jnp.asarray(np.stack([x[k] for x in clips]))
    for k in run.model.condition_keys
    if k in clips[0]
  }
  condition['audio'] = jnp.roll(condition['audio'], shift, axis=0)
  condition['known_video'] = jnp.asarray(pixels.to_float(real_bthwc[:, :1]))

  @jax.jit
  def layers_of(variables, key_b, condition):
    return network.apply(variables, key_b, condition, method='layers')

  layers = layers_of(own, sampling.clip_keys(0, num), condition)
  video_bthwc = agvn.animate(condition['known_video'], layers)
  truths = [source.truth(i) for i in range(num)]
  return Arm(
    np.asarray(video_bthwc),
    np.asarray(layers.mask_bthw),
    real_bthwc,
    np.stack([x['audio'][:, 0] for x in clips]),
    np.stack([x.moving_hw for x in truths]),
    np.stack([x.mouth_hw for x in truths]),
  )


def numbers(arm: Arm) -> Numbers:
  """Returns the numbers of clips and masks."""
  levels = saturation.to_levels(arm.video_bthwc)
  real = saturation.to_levels(arm.real_bthwc)
  mouth_bthw = arm.mouth_bhw[:, None]
  red = np.maximum(levels[..., 0] - levels[..., 1] - _LEAST_RED, 0) * mouth_bthw
  error_bthw = np.abs(levels - real).mean(axis=-1)[:, 1:]
  still_bthw = np.abs(real[:, :1] - real).mean(axis=-1)[:, 1:]
  total = lambda x_bthw, part_bhw: (x_bthw * part_bhw[:, None]).sum((1, 2, 3))
  of_part = lambda part_bhw: (
    total(error_bthw, part_bhw),
    total(still_bthw, part_bhw),
  )
  mouth_b, still_b = of_part(arm.mouth_bhw)
  ratio_b = np.sort(mouth_b / np.maximum(still_b, 1e-9))
  eyes_b, still_eyes_b = of_part(arm.moving_bhw & ~arm.mouth_bhw)
  rest_bthw = error_bthw * ~arm.moving_bhw[:, None]
  inside_bthw = arm.mask_bthw[:, 1:] > 0.5
  union = (inside_bthw | arm.moving_bhw[:, None]).sum()
  iou = (inside_bthw & arm.moving_bhw[:, None]).sum() / max(union, 1)
  return Numbers(
    correlation=_correlation(
      red.sum(axis=(2, 3))[:, 1:], arm.loudness_bt[:, 1:]
    ),
    mouth=float(ratio_b[-max(len(ratio_b) // 10, 1) :].mean()),
    eyes=float(eyes_b.sum() / still_eyes_b.sum()),
    rest=float(rest_bthw.max(axis=(1, 2, 3)).mean()),
    iou=float(iou),
    mean=float(arm.mask_bthw[:, 1:].mean()),
  )


def failures(found: Numbers) -> list[str]:
  """Returns the names of the numbers that do not meet `LIMITS`."""
  names = []
  for name, number, limit in zip(Numbers._fields, found, LIMITS, strict=True):
    meets = number >= limit if name in _LEAST else number <= limit
    if not meets:
      names.append(name)
  return names


def cheats(arm: Arm) -> dict[str, Arm]:
  """Returns arms that must not pass, {name: arm}."""
  real = saturation.to_levels(arm.real_bthwc)
  first = real[:, :1]
  still = np.broadcast_to(first, real.shape)
  rest_bthw1 = ~arm.moving_bhw[:, None, ..., None]
  eyes_bthw1 = (arm.moving_bhw & ~arm.mouth_bhw)[:, None, ..., None]
  odd_t111 = (np.arange(real.shape[1]) % 2)[:, None, None, None]
  every_sixth = np.arange(len(real)) % 6 == 0
  clips = {
    'first frame': still,
    'one red pixel': _with_red_pixel(still, arm),
    'half of the motion': first + (real - first) / 2,
    'every sixth clip still': np.where(
      every_sixth[:, None, None, None, None], still, real
    ),
    'mouth three pixels lower': first + np.roll(real - first, 3, axis=2),
    'other person, same motion': np.where(
      rest_bthw1, np.roll(real, 1, axis=0), real
    ),
    'no background': real * ~rest_bthw1,
    'eyes flicker': np.where(eyes_bthw1 & (odd_t111 > 0), 255 - real, real),
  }
  arms = {
    name: arm._replace(video_bthwc=drawing.to_uint8(x.clip(0, 255)))
    for name, x in clips.items()
  }
  return {
    **arms,
    'mask of ones': arm._replace(mask_bthw=np.ones_like(arm.mask_bthw)),
    'mask of zeros': arm._replace(mask_bthw=np.zeros_like(arm.mask_bthw)),
  }


def _with_red_pixel(levels: np.ndarray, arm: Arm) -> np.ndarray:
  """Returns clips in which the red channel of a pixel follows the loudness."""
  flat_bp = arm.mouth_bhw.reshape(len(arm.mouth_bhw), -1)
  pixel_bp = np.arange(flat_bp.shape[1]) == flat_bp.argmax(axis=1)[:, None]
  pixel_bhw = pixel_bp.reshape(arm.mouth_bhw.shape)
  red_bt = _LEAST_RED + (255 - _LEAST_RED) * arm.loudness_bt
  color_btc = red_bt[..., None] * np.array([1.0, 0.0, 0.0])
  return np.where(
    pixel_bhw[:, None, ..., None], color_btc[:, :, None, None], levels
  )


def _correlation(x_bt: np.ndarray, y_bt: np.ndarray) -> float:
  """Returns the correlation of deviations from the means of clips, or 0."""
  x_bt = x_bt - x_bt.mean(axis=1, keepdims=True)
  y_bt = y_bt - y_bt.mean(axis=1, keepdims=True)
  norm = np.sqrt((x_bt**2).sum() * (y_bt**2).sum())
  return float((x_bt * y_bt).sum() / norm) if norm else 0.0


def _row(name: str, found: Numbers, end: str) -> str:
  return (
    f'| {name} | {found.correlation:.2f} | {found.mouth:.2f} |'
    f' {found.eyes:.2f} | {found.rest:.1f} | {found.iou:.2f} |'
    f' {found.mean:.3f} | {end} |'
  )


if __name__ == '__main__':
  main()

"""Checks that a trained TGAN moves objects if codes of frames are interpolated.

  python -m experiments.zoo.adversarial.tgan_interpolation \
      --workdir=runs/tgan --num=128

TGAN generates a frame from the code of its clip and a code of its own. For the
frames t and t + 4 of a generated clip, the script generates a frame from the
mean of their codes. It counts the pairs for which the object of this frame

- is in the middle: its centre is at most 0.35 times the distance of the two
  objects away from the middle between them; and
- is one object: its spread, the root mean square distance of its pixels to the
  centre, is at most 1.15 times the mean of the two spreads, and its total
  saturation is 0.6 to 1.5 times the mean of theirs.

Only pairs whose objects are at least one pixel apart are counted. TGAN passes
if both are true for 80 % of these pairs, and half of all pairs are counted. For
comparison, the script also prints the numbers of frames that must not pass: the
mean of the pixels, the first frame, the frames of other clips, and one coloured
pixel in the middle.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.zoo import arguments
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.synthetic import saturation
from vgen_jax.training import state as state_lib

GAP = 4  # Frames between the two frames of a pair.
LEAST_FRACTION = 0.8
_LARGEST_DISTANCE = 0.35  # From the middle, relative to that of the pair.
_LARGEST_SPREAD = 1.15
_MASSES = (0.6, 1.5)  # Total saturation, relative to that of the pair.
_LEAST_COUNTED = 0.5
_LEAST_MOTION = 1.0  # Pixels.


class Pairs(NamedTuple):
  """Pairs of frames of clips, and a frame between the frames of each pair.

  Attributes:
    first_bnhwc: The earlier frames, in [-1, 1] or uint8.
    last_bnhwc: The later frames.
    middle_bnhwc: The frames between them.
  """

  first_bnhwc: np.ndarray
  last_bnhwc: np.ndarray
  middle_bnhwc: np.ndarray


def main() -> None:
  args = arguments.parser(__doc__, num=128, least=2).parse_args()
  pairs = generate(args.workdir, args.num)
  print('| frames | in the middle | one object | both | passes |')
  print('|---|---|---|---|---|')
  for name, each in {'mean of the codes': pairs, **cheats(pairs)}.items():
    middle, single, both = numbers(each)
    print(
      f'| {name} | {middle:.2f} | {single:.2f} | {both:.2f} |'
      f' {both >= LEAST_FRACTION} |'
    )


def generate(workdir: str, num: int) -> Pairs:
  """Returns pairs of frames of a run, and frames from the means of codes."""
  run = runs.load(workdir)
  network = run.model.generator
  variables = run.state.variables(run.config.sample_from)
  own = state_lib.of_part(variables, 'generator')
  condition = {'label': jnp.asarray(run.condition(num)['label'])}

  def frames(network, key_b):
    clip_code = network.clip_code(key_b, condition)
    code_btd = network.frame_codes(clip_code, train=False)
    mean_bnd = (code_btd[:, :-GAP] + code_btd[:, GAP:]) / 2
    return tuple(
      network.from_codes(clip_code, x, train=False)
      for x in (code_btd[:, :-GAP], code_btd[:, GAP:], mean_bnd)
    )

  found = network.apply(own, sampling.clip_keys(0, num), method=frames)
  return Pairs(*map(np.asarray, found))


def numbers(pairs: Pairs) -> tuple[float, float, float]:
  """Returns the fractions of pairs that meet each condition, and both.

  They are 0 if objects are less than a pixel apart in most pairs.
  """
  first, last, middle = map(saturation.locate, pairs)
  distance_bn = np.linalg.norm(last.center_bt2 - first.center_bt2, axis=-1)
  mean_bn2 = (first.center_bt2 + last.center_bt2) / 2
  error_bn = np.linalg.norm(middle.center_bt2 - mean_bn2, axis=-1)
  is_middle_bn = error_bn <= _LARGEST_DISTANCE * distance_bn
  is_middle_bn &= middle.mass_bt > 0
  spread_bn = (first.spread_bt + last.spread_bt) / 2
  is_single_bn = middle.spread_bt <= _LARGEST_SPREAD * spread_bn
  mass_bn = (first.mass_bt + last.mass_bt) / 2
  low, high = _MASSES
  is_single_bn &= (middle.mass_bt >= low * mass_bn) & (
    middle.mass_bt <= high * mass_bn
  )
  counts = distance_bn >= _LEAST_MOTION
  if counts.mean() < _LEAST_COUNTED:
    return 0.0, 0.0, 0.0
  return tuple(
    float(x[counts].mean())
    for x in (is_middle_bn, is_single_bn, is_middle_bn & is_single_bn)
  )


def cheats(pairs: Pairs) -> dict[str, Pairs]:
  """Returns pairs whose middle frames must not pass, {name: pairs}."""
  levels = saturation.to_levels(pairs.first_bnhwc)
  mean = (levels + saturation.to_levels(pairs.last_bnhwc)) / 2
  made = {
    'mean of the pixels': mean / 127.5 - 1,
    'first frame': pairs.first_bnhwc,
    'of other clips': np.roll(pairs.middle_bnhwc, 1, axis=0),
    'one pixel': _one_pixel(pairs),
  }
  return {name: pairs._replace(middle_bnhwc=x) for name, x in made.items()}


def _one_pixel(pairs: Pairs) -> np.ndarray:
  """Returns frames with a violet pixel in the middle between two objects."""
  first, last = (saturation.locate(x) for x in pairs[:2])
  mean_bn2 = (first.center_bt2 + last.center_bt2) / 2
  result_bnhwc = np.zeros(pairs.first_bnhwc.shape)
  x_bn, y_bn = (np.rint(mean_bn2[..., i]).astype(int) for i in (0, 1))
  b, n = np.indices(x_bn.shape)
  h, w = result_bnhwc.shape[2:4]
  y_bn, x_bn = np.clip(y_bn, 0, h - 1), np.clip(x_bn, 0, w - 1)
  result_bnhwc[b, n, y_bn, x_bn] = (1, -1, 1)
  return result_bnhwc


if __name__ == '__main__':
  main()

"""Checks that the content code of a trained MoCoGAN determines the colour.

  python -m experiments.zoo.adversarial.mocogan_codes --workdir=runs/mocogan \
      --picture=a.png

Each of 16 content codes is combined with each of 16 motions, each of which
consists of a class, an initial state and noise. The script prints which
fraction of the variance of the object's mean colour the content code explains,
and in which fraction of the clips the object moves in the direction of the
motion's class. A generator passes if these are at least 0.8 and 0.85. The same
numbers are printed for two cheats, which must fail: content and motion
exchanged, and clips in random order.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.models import mocogan
from vgen_jax.runtime.output import pictures
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.training import state as state_lib

LEAST_EXPLAINED = 0.8
LEAST_ACCURACY = 0.85
# Least variance of all colours, for which an explained fraction is computed.
_LEAST_VARIANCE = 400.0


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--workdir', required=True, help='Workdir of the run.')
  parser.add_argument(
    '--side', type=int, default=16, help='Number of contents, and of motions.'
  )
  parser.add_argument(
    '--picture', default='', help='PNG of 4 contents with 3 motions each.'
  )
  args = parser.parse_args()
  run = runs.load(args.workdir)
  video_cmthwc, label_m = generate(run, args.side)
  verifier = verifier_lib.Verifier(run.source)
  flat_bthwc = video_cmthwc.reshape(-1, *video_cmthwc.shape[2:])
  features = verifier.features(flat_bthwc)
  tint_cm3 = features.tint_b3.reshape(args.side, args.side, 3)
  shown_cm = features.label_b.reshape(args.side, args.side)
  print('| clips | colour, explained by content | class of motion | passes |')
  print('|---|---|---|---|')
  arms = {'generated': (tint_cm3, shown_cm), **cheats(tint_cm3, shown_cm)}
  for name, (tint, shown) in arms.items():
    explained, accuracy = numbers(tint, shown, label_m)
    print(
      f'| {name} | {explained:.2f} | {accuracy:.2f} |'
      f' {passes(explained, accuracy)} |'
    )
  if args.picture:
    sections = [pictures.Section(x_mthwc[:3]) for x_mthwc in video_cmthwc[:4]]
    Image.fromarray(pictures.sheet(sections)).save(args.picture)


def generate(run: runs.Run, side: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns all combinations of `side` contents with `side` motions.

  Args:
    run: Run of a MoCoGAN.
    side: Number of content codes, and of motions.

  Returns:
    Clips in [-1, 1], `[content, motion, t, h, w, c]`, and the class of each
    motion.
  """
  network = run.model.generator
  variables = run.state.variables(run.config.sample_from)
  own = state_lib.of_part(variables, 'generator')
  codes = network.codes(sampling.clip_keys(0, side))
  label_m = np.asarray(run.condition(side)['label'])

  @jax.jit
  def of_content(content_d):
    content_md = jnp.broadcast_to(content_d, codes.content_bd.shape)
    return network.apply(
      own,
      mocogan.Codes(content_md, codes.start_bd, codes.noise_btd),
      {'label': jnp.asarray(label_m)},
      train=False,
      method='from_codes',
    )

  video_cmthwc = np.stack([of_content(x) for x in codes.content_bd])
  return video_cmthwc, label_m


def numbers(
  tint_cm3: np.ndarray, shown_cm: np.ndarray, label_m: np.ndarray
) -> tuple[float, float]:
  """Returns the fraction of variance explained by content, and the accuracy.

  Args:
    tint_cm3: Mean colour of the object for each content and motion, in levels
      of 255. If all clips have about the same colour, the fraction is 0.
    shown_cm: Class that the clip shows, -1 for none.
    label_m: Class of each motion.
  """
  within = tint_cm3.var(axis=1).sum(axis=-1).mean()
  total = tint_cm3.reshape(-1, 3).var(axis=0).sum()
  explained = 1 - within / total if total >= _LEAST_VARIANCE else 0.0
  return float(explained), float((shown_cm == label_m).mean())


def passes(explained: float, accuracy: float) -> bool:
  """Returns whether content determines colour, and motion the direction."""
  return explained >= LEAST_EXPLAINED and accuracy >= LEAST_ACCURACY


def cheats(
  tint_cm3: np.ndarray, shown_cm: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Returns colours and classes that must not pass, {name: (tint, shown)}."""
  order = np.random.default_rng(0).permutation(shown_cm.size)
  return {
    'content and motion exchanged': (tint_cm3.swapaxes(0, 1), shown_cm.T),
    'in random order': (
      tint_cm3.reshape(-1, 3)[order].reshape(tint_cm3.shape),
      shown_cm.reshape(-1)[order].reshape(shown_cm.shape),
    ),
  }


if __name__ == '__main__':
  main()

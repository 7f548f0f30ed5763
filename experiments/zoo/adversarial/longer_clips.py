"""Checks that a MoCoGAN generates valid clips of twice its length.

  vgen train --config=mocogan_world:small --workdir=runs/mocogan_walls \
      --config.clip_shape='(8, 16, 16, 3)' --config.num_steps=4000 \
      --config.data.only.speed='("slowly",)' --config.data.meets_walls=True
  python -m experiments.zoo.adversarial.longer_clips \
      --workdir=runs/mocogan_walls --num=256

The data must have slow objects that bounce off the sides of the frame: where
objects meet no walls, they leave the frame in longer clips. In twice the number
of frames, they move like the quick objects of a dataset of longer clips, which
judges the clips. The script prints the proportions of clips that are roughly
valid (`rough_clips.py`) as a whole, and of their first and second halves, and
the proportion of clips that show the requested class. MoCoGAN passes if 50 % of
the whole clips are valid and of the class. For comparison, the script also
prints the numbers of real clips, and of clips that must not pass: the first
half of a real clip, followed by its last frame, by itself, by itself backwards,
or by the second half of another clip of the class.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.zoo import arguments
from experiments.zoo.adversarial import rough_clips
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.training import state as state_lib

LEAST_RIGHT = 0.5


class Numbers(NamedTuple):
  """Proportions of clips.

  Attributes:
    first: Those whose first half is roughly valid.
    second: Those whose second half is roughly valid.
    whole: Those that are roughly valid.
    accuracy: Those that show the requested class.
    right: Those that are roughly valid and show the class.
  """

  first: float
  second: float
  whole: float
  accuracy: float
  right: float


def main() -> None:
  args = arguments.parser(__doc__, num=256, least=2).parse_args()
  run = runs.load(args.workdir)
  world = longer_world(run.source)
  clips = [world[i] for i in range(args.num)]
  real_bthwc = np.stack([x['video'] for x in clips])
  real_label_b = np.stack([x['label'] for x in clips])
  label_b = np.asarray(run.condition(args.num)['label'])
  arms = {
    'generated': (generate(run, label_b), label_b),
    'real': (real_bthwc, real_label_b),
  }
  for name, video in cheats(real_bthwc, real_label_b).items():
    arms[name] = (video, real_label_b)
  print('| clips | first half | second half | whole | class | right | passes |')
  print('|---' * 7 + '|')
  for name, (video, label) in arms.items():
    found = numbers(video, label, world)
    text = ' | '.join(f'{x:.2f}' for x in found)
    print(f'| {name} | {text} | {passes(found)} |')


def longer_world(world: world_lib.World) -> world_lib.World:
  """Returns a dataset of clips of twice the length, with the same speeds.

  Raises:
    ValueError: If objects are not slow, or meet no walls.
  """
  if tuple(world.factors_kept['speed']) != ('slowly',) or not world.meets_walls:
    raise ValueError(
      'The run was trained on other data than this check needs: slow objects'
      " (config.data.only.speed = ('slowly',)) that meet walls"
      ' (config.data.meets_walls = True).'
    )
  t, *rest = world.clip_shape
  # Speeds are relative to the length of a clip; quick is twice as fast as slow.
  only = dict(world.factors_kept, speed='quickly')
  return world_lib.World((2 * t, *rest), 'validation', only=only)


def generate(run: runs.Run, label_b: np.ndarray) -> np.ndarray:
  """Returns clips of twice the length of the run's, float in [-1, 1]."""
  network = run.model.generator
  t, *rest = network.clip_shape
  longer = network.clone(clip_shape=(2 * t, *rest))
  variables = run.state.variables(run.config.sample_from)
  own = state_lib.of_part(variables, 'generator')

  @jax.jit
  def apply(key_b):
    condition = {'label': jnp.asarray(label_b)}
    return longer.apply(own, key_b, condition, train=False)

  return np.asarray(apply(sampling.clip_keys(0, len(label_b))))


def numbers(
  video_bthwc: np.ndarray, label_b: np.ndarray, world: world_lib.World
) -> Numbers:
  """Returns the measurements of clips of classes, judged by `world`."""
  t, *rest = world.clip_shape
  only = dict(world.factors_kept, speed='slowly')
  half = verifier_lib.Verifier(world_lib.World((t // 2, *rest), only=only))
  whole = verifier_lib.Verifier(world)
  halves_bthwc = (video_bthwc[:, : t // 2], video_bthwc[:, t // 2 :])
  first_b, second_b = (
    half.valid(half.features(x), rough_clips.ROUGH) for x in halves_bthwc
  )
  features = whole.features(video_bthwc)
  is_valid_b = whole.valid(features, rough_clips.ROUGH)
  is_class_b = features.label_b == label_b
  values = first_b, second_b, is_valid_b, is_class_b, is_valid_b & is_class_b
  return Numbers(*(float(x.mean()) for x in values))


def passes(found: Numbers) -> bool:
  """Returns whether enough clips are right; see the file's docstring."""
  return found.right >= LEAST_RIGHT


def cheats(
  video_bthwc: np.ndarray, label_b: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns clips that must not pass, {name: clips}.

  Args:
    video_bthwc: Real clips, with an even number of frames.
    label_b: Their classes.
  """
  half = video_bthwc.shape[1] // 2
  first, second = video_bthwc[:, :half], video_bthwc[:, half:]
  other = second[rough_clips.next_of_class(label_b)]
  seconds = {
    'then still': np.repeat(first[:, -1:], half, axis=1),
    'first half twice': first,
    'then backwards': first[:, ::-1],
    'then another clip': other,
  }
  return {
    name: np.concatenate([first, x], axis=1) for name, x in seconds.items()
  }


if __name__ == '__main__':
  main()

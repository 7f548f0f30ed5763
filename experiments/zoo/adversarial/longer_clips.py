"""Checks that a MoCoGAN generates valid clips of twice its length.

  vgen train --config=mocogan_world:small --workdir=runs/mocogan_walls \
      --config.num_steps=4000 --config.clip_shape='(8, 16, 16, 3)' \
      --config.data.only.speed='("slowly",)' --config.data.meets_walls=True \
      --config.optim.schedule.name=wsd \
      --config.optim.schedule.decay_fraction=0.3
  python -m experiments.zoo.adversarial.longer_clips \
      --workdir=runs/mocogan_walls --num=256

The training data must have slow objects that bounce off the sides of the frame;
data without walls do not say what happens after their last frame. Clips are
judged by a dataset with twice as many frames. Speeds are relative to the length
of a clip, so its quick objects move as many pixels per frame as the slow ones
of the training data.

The script prints the proportions of clips that are roughly valid
(`rough_clips.py`) as a whole, and of their first and second halves, and the
proportion of clips that show the requested class. MoCoGAN passes if 50 % of the
whole clips are valid and of the class. Shapes and small changes of the colour
do not matter, and clips may be all the same. For comparison, the script also
prints the numbers of real clips, and of wrong clips that must not pass: the
first half of a real clip, followed by its last frame, by itself, by itself
backwards, or by the second half of another clip of the class, or with every
frame shown twice. Backwards motion is right where the first half ends at a side
of the frame.
"""

from collections.abc import Mapping
import functools
from typing import NamedTuple

import jax
import numpy as np

from experiments.zoo import arguments
from experiments.zoo.adversarial import rough_clips
from vgen_jax.core import pixels
from vgen_jax.core.types import ClipShape
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.models import mocogan
from vgen_jax.synthetic import base
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as verifier_lib

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
  args = arguments.parser(__doc__, num=256, least=16).parse_args()
  run = runs.load(args.workdir)
  check_run(run)
  world = longer_world(run.source)
  real_bthwc, real_label_b = real_clips(world, args.num)
  label_b = np.asarray(run.condition(args.num)['label'])
  arms = {
    'generated': (generate(run, args.num), label_b),
    'real': (real_bthwc, real_label_b),
  }
  for name, video in cheats(real_bthwc, real_label_b).items():
    arms[name] = (video, real_label_b)
  print_table({name: numbers(*x, world) for name, x in arms.items()})


def check_network(run: runs.Run) -> None:
  """Raises ValueError if the run did not train a MoCoGAN."""
  network = getattr(run.model, 'generator', None)
  if not isinstance(network, mocogan.Generator):
    kind = type(network or run.model)
    name = f'{kind.__module__}.{kind.__name__}'.removeprefix('vgen_jax.')
    raise ValueError(
      f'The run trained {name}; this check needs models.mocogan.Generator.'
    )


def check_run(run: runs.Run) -> None:
  """Raises ValueError if the run is not a MoCoGAN of the data of this check."""
  check_network(run)
  world = run.source
  if not isinstance(world, world_lib.World):
    raise ValueError(
      f'The run was trained on {type(world).__name__}; this check needs World'
      ' (synthetic.world.source.World).'
    )
  speeds = tuple(world.factors_kept['speed'])
  found = {
    'only.speed': (speeds, ('slowly',)),
    'meets_walls': (world.meets_walls, True),
    'label': (world.label, ('direction',)),
  }
  for field, (value, expected) in found.items():
    if value != expected:
      raise ValueError(
        f'config.data.{field} of the run is {value}; this check needs'
        f' {expected}.'
      )


def longer_world(world: world_lib.World) -> world_lib.World:
  """Returns a dataset of clips of twice the length, with the same speeds."""
  t, *rest = world.clip_shape
  return _with_frames(world, (2 * t, *rest), 'quickly')


def _with_frames(
  world: world_lib.World, clip_shape: ClipShape, speed: str
) -> world_lib.World:
  """Returns a dataset with the objects of `world`, of one speed."""
  only = {k: tuple(v) for k, v in world.factors_kept.items()}
  return world_lib.World(
    clip_shape, 'validation', label=world.label, only=only | {'speed': speed}
  )


def real_clips(
  source: base.SyntheticDataset, num: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the first clips of a dataset, uint8, and their classes."""
  clips = [source[i] for i in range(num)]
  return tuple(np.stack([x[key] for x in clips]) for key in ('video', 'label'))


def generate(run: runs.Run, num: int) -> np.ndarray:
  """Returns clips of twice the length of the run's, uint8.

  They begin with the clips that `run.sample` returns.
  """
  network = run.model.generator
  t, *rest = network.clip_shape
  shape = (2 * t, *rest)
  model = run.model.clone(
    clip_shape=shape, generator=network.clone(clip_shape=shape)
  )
  apply = jax.jit(functools.partial(model.apply, method='sample'))
  variables = run.state.variables(run.config.sample_from)
  video = apply(variables, sampling.clip_keys(0, num), run.condition(num))
  video_bthwc = np.asarray(video)
  sampling.check_finite(video_bthwc)
  return pixels.to_uint8(video_bthwc)


def numbers(
  video_bthwc: np.ndarray, label_b: np.ndarray, world: world_lib.World
) -> Numbers:
  """Returns the measurements of clips of classes, judged by `world`."""
  t, *rest = world.clip_shape
  half = verifier_lib.Verifier(_with_frames(world, (t // 2, *rest), 'slowly'))
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


def print_table(found: Mapping[str, Numbers]) -> None:
  """Prints the measurements of clips, a row for each name."""
  print('| clips | first half | second half | whole | class | right | passes |')
  print('|---' * 7 + '|')
  for name, row in found.items():
    text = ' | '.join(f'{x:.2f}' for x in row)
    print(f'| {name} | {text} | {passes(row)} |')


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
  result = {
    name: np.concatenate([first, x], axis=1) for name, x in seconds.items()
  }
  return result | {'half of the speed': np.repeat(first, 2, axis=1)}


if __name__ == '__main__':
  main()

"""Checks that a VGAN continues the first frames that it is given.

  vgen train --config=vgan_world:small --workdir=runs/vgan_frames \
      --config.model.num_context=1 --config.model.context_weight=10.0 \
      --config.model.generator.num_context=1
  python -m experiments.zoo.adversarial.first_frames \
      --workdir=runs/vgan_frames --num=256

Each clip is generated from the first frame and the class of a clip of the split
`validation`. A generated clip is right if the mean absolute error of its first
frame, in [-1, 1], is at most 0.05 over all pixels and at most 0.15 over those
of the object (0.22 if objects are shifted by a pixel); if it shows the
requested class; and if it is roughly valid (`rough_clips.py`). The script
prints both errors, averaged over clips, and the proportions of clips for which
each condition and all of them are met. VGAN passes if 50 % of the clips are
right. For comparison, the script also prints the numbers of real clips, and of
clips that must not pass: generated from other first frames of the class, with
empty first frames, with the given frame repeated, with the given frame before
the other frames of another clip of the class, and with another colour after the
given frame.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.zoo import arguments
from experiments.zoo.adversarial import rough_clips
from vgen_jax.config import build
from vgen_jax.core import pixels
from vgen_jax.families.adversarial import critics
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.training import state as state_lib

LARGEST_ERROR = 0.05
LARGEST_OBJECT_ERROR = 0.15
LEAST_RIGHT = 0.5


class Clips(NamedTuple):
  """Real clips that models continue, of a dataset.

  Attributes:
    world: Dataset.
    video_bthwc: Clips in [-1, 1].
    label_b: Their classes.
    object_bhw: Which pixels of the first frame the object covers by half or
      more.
  """

  world: world_lib.World
  video_bthwc: np.ndarray
  label_b: np.ndarray
  object_bhw: np.ndarray


class Numbers(NamedTuple):
  """Measurements of clips.

  Attributes:
    error: Mean absolute error of first frames.
    object_error: The same over the pixels of objects.
    given: Proportion of clips with small errors of the first frame.
    accuracy: Proportion of clips that show the requested class.
    valid: Proportion of roughly valid clips.
    right: Proportion of clips that meet all conditions.
  """

  error: float
  object_error: float
  given: float
  accuracy: float
  valid: float
  right: float


def main() -> None:
  args = arguments.parser(__doc__, num=256, least=2).parse_args()
  run = runs.load(args.workdir)
  world = build.source(
    run.config.data.to_dict(), run.config.clip_shape, split='validation'
  )
  clips = first_clips(world, args.num)
  video_bthwc = generate(run, clips)
  arms = {'generated': video_bthwc, 'real': clips.video_bthwc}
  print(
    '| clips | error | of the object | given frame | class | roughly valid |'
    ' right | passes |'
  )
  print('|---' * 8 + '|')
  for name, video in (arms | cheats(video_bthwc, clips)).items():
    found = numbers(video, clips)
    text = ' | '.join(f'{x:.2f}' for x in found)
    print(f'| {name} | {text} | {passes(found)} |')


def first_clips(world: world_lib.World, num: int) -> Clips:
  """Returns the first clips of a dataset."""
  clips = [world[i] for i in range(num)]
  return Clips(
    world,
    pixels.to_float(np.stack([x['video'] for x in clips])),
    np.stack([x['label'] for x in clips]),
    np.stack([world.truth(i).alpha_thw[0] >= 0.5 for i in range(num)]),
  )


def generate(run: runs.Run, clips: Clips) -> np.ndarray:
  """Returns clips in [-1, 1], as the network generates them."""
  variables = run.state.variables(run.config.sample_from)
  own = state_lib.of_part(variables, 'generator')
  condition = {
    'known_video': jnp.asarray(clips.video_bthwc[:, :1]),
    'label': jnp.asarray(clips.label_b),
  }
  key_b = sampling.clip_keys(0, len(clips.label_b))
  # With a penalty of the mask, the result is (clips, penalties).
  video_bthwc, _ = critics.split(
    run.model.generator.apply(own, key_b, condition, train=False)
  )
  return np.asarray(video_bthwc)


def numbers(video_bthwc: np.ndarray, clips: Clips) -> Numbers:
  """Returns the measurements of clips in [-1, 1] that continue `clips`."""
  error_bhw = abs(video_bthwc[:, 0] - clips.video_bthwc[:, 0]).mean(axis=-1)
  error_b = error_bhw.mean(axis=(1, 2))
  area_b = np.maximum(clips.object_bhw.sum(axis=(1, 2)), 1)
  object_error_b = (error_bhw * clips.object_bhw).sum(axis=(1, 2)) / area_b
  is_given_b = error_b <= LARGEST_ERROR
  is_given_b &= object_error_b <= LARGEST_OBJECT_ERROR
  verifier = verifier_lib.Verifier(clips.world)
  features = verifier.features(video_bthwc)
  is_valid_b = verifier.valid(features, rough_clips.ROUGH)
  is_class_b = features.label_b == clips.label_b
  values = (
    error_b,
    object_error_b,
    is_given_b,
    is_class_b,
    is_valid_b,
    is_given_b & is_class_b & is_valid_b,
  )
  return Numbers(*(float(x.mean()) for x in values))


def passes(found: Numbers) -> bool:
  """Returns whether enough clips are right; see the file's docstring."""
  return found.right >= LEAST_RIGHT


def cheats(video_bthwc: np.ndarray, clips: Clips) -> dict[str, np.ndarray]:
  """Returns clips that must not pass, {name: clips}.

  Args:
    video_bthwc: Clips that continue `clips`; wrong ones are made from them.
    clips: Real clips.
  """
  given_bthwc = clips.video_bthwc[:, :1]
  num_frames = video_bthwc.shape[1]
  empty = np.full_like(given_bthwc, np.median(clips.video_bthwc))
  other = video_bthwc[rough_clips.next_of_class(clips.label_b)]
  rest = video_bthwc[:, 1:]
  return {
    'from other frames': other,
    'empty first frame': np.concatenate([empty, rest], axis=1),
    'frame repeated': np.repeat(given_bthwc, num_frames, axis=1),
    'frame before another clip': np.concatenate(
      [given_bthwc, other[:, 1:]], axis=1
    ),
    'other colour after the frame': np.concatenate(
      [video_bthwc[:, :1], np.roll(rest, 1, axis=-1)], axis=1
    ),
  }


if __name__ == '__main__':
  main()

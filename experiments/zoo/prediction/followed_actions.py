"""Checks that a trained predictor moves the object as its actions request.

  vgen train --config=savp_two_futures:small --config.model.variant=vae \
      --config.data.name=synthetic.actions.source.Actions \
      --workdir=runs/savp_actions
  python -m experiments.zoo.prediction.followed_actions \
      --workdir=runs/savp_actions

Clips of `synthetic.actions`, split `validation`, are predicted from their first
frames, once with their own actions and once with those of other clips. Each
step after the first frames is compared with the motion that its action
requests, including walls, as in synthetic/actions/verifier.py. A model passes
if, for the actions of either kind,

* the correlation of requested and actual motion, over steps and axes, is at
  least 0.95;
* the actual motion is 0.9 to 1.1 times the requested one (the slope of the
  regression through the origin);
* at least 90 % of the steps follow their action, also of those that should move
  the object;
* the object is visible in at least 95 % of the predicted frames;

and if the motion with the actions of other clips has a correlation of at most
0.2 with the motion that the clips' own actions request. So the motion comes
from the actions, and not from the first frames. Colours and shapes are not
compared. The same numbers are printed for clips that must fail.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np

from experiments.zoo import arguments
from vgen_jax.config import build
from vgen_jax.core import pixels
from vgen_jax.evaluation.metrics import baselines
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.synthetic.actions import source
from vgen_jax.synthetic.actions import verifier

HEADER = (
  '| clips | actions | correlation | slope | steps that follow | moving steps'
  ' that follow | object visible | with own actions | fails |\n'
  '|---|---|---|---|---|---|---|---|---|'
)


class Arm(NamedTuple):
  """Clips that were generated with two sequences of actions.

  Attributes:
    video_bthwc: Clips with their own actions, uint8.
    action_bt2: These actions.
    other_bthwc: Clips with other actions.
    other_bt2: The other actions.
  """

  video_bthwc: np.ndarray
  action_bt2: np.ndarray
  other_bthwc: np.ndarray
  other_bt2: np.ndarray


def numbers(
  world: source.Actions,
  video_bthwc: np.ndarray,
  action_bt2: np.ndarray,
  start: int,
) -> dict[str, float]:
  """Returns measurements of the motion after the first frames.

  They are those of `verifier.report`, with 'object_presence' in the predicted
  frames only, and 'slope', the ratio of actual to requested motion.

  Args:
    world: Dataset of the clips.
    video_bthwc: Clips, uint8.
    action_bt2: Actions of the clips.
    start: Number of given frames.
  """
  pair = video_bthwc[:, start - 1 :], action_bt2[:, start - 1 :]
  steps = verifier.compute_features(world, *pair)
  square = np.square(steps.requested_bs2).sum()
  slope = (steps.requested_bs2 * steps.moved_bs2).sum() / max(square, 1e-6)
  visible = steps.visible_bt[:, 1:].mean()
  return verifier.report(world, *pair) | {
    'slope': float(slope),
    'object_presence': float(visible),
  }


def compare(
  world: source.Actions, arm: Arm, start: int
) -> tuple[dict[str, float], dict[str, float]]:
  """Returns the numbers of clips with their own and with other actions.

  In the second ones, 'own' is the correlation with the motion that the clips'
  own actions request.

  Args:
    world: Dataset of the clips.
    arm: Clips.
    start: Number of given frames.
  """
  other = numbers(world, arm.other_bthwc, arm.other_bt2, start)
  wrong = numbers(world, arm.other_bthwc, arm.action_bt2, start)
  own = numbers(world, arm.video_bthwc, arm.action_bt2, start)
  return own, other | {'own': wrong['correlation']}


def failures(found: dict[str, float]) -> list[str]:
  """Returns the names of the criteria that numbers of clips do not meet."""
  passes = {
    'correlation': found['correlation'] >= 0.95,
    'slope': 0.9 <= found['slope'] <= 1.1,
    'steps': min(found['accuracy'], found['accuracy_moving']) >= 0.9,
    'visible': found['object_presence'] >= 0.95,
    'own': abs(found.get('own', 0)) <= 0.2,
  }
  return [name for name, is_met in passes.items() if not is_met]


def cheats(world: source.Actions, real: Arm, start: int) -> dict[str, Arm]:
  """Returns clips that must fail, made from real ones."""
  t = world.clip_shape[0]
  known = real.video_bthwc[:, :start]
  still = baselines.copy_last(known, t - start)
  still = np.concatenate([known, still], axis=1)
  late = real.video_bthwc.copy()
  late[:, start:] = real.video_bthwc[:, start - 1 : -1]
  # Twice as many frames have half the motion in each step.
  slower = source.Actions((2 * t, *world.clip_shape[1:]), 'validation')
  slow = load(slower, len(late))
  slow = Arm(*(x[:, :t] for x in slow))
  roll = lambda x: np.roll(x, 1, axis=0)
  same = lambda x: real._replace(video_bthwc=x, other_bthwc=roll(x))
  return {
    'last known frame': real._replace(video_bthwc=still, other_bthwc=still),
    'one frame late': same(late),
    'opposite motion': same(real.video_bthwc[:, :, ::-1, ::-1]),
    'half the motion': slow,
    'actions ignored': real._replace(other_bthwc=real.video_bthwc),
    'still with other actions': real._replace(other_bthwc=still),
  }


def load(world: source.Actions, num: int) -> Arm:
  """Returns real clips; the other actions are those of the clip before.

  So the clip with other actions is that clip.

  Args:
    world: Dataset of the clips.
    num: Number of clips.
  """
  clips = [world[i] for i in range(num)]
  video, action = (
    np.stack([x[key] for x in clips]) for key in ('video', 'action')
  )
  return Arm(video, action, np.roll(video, 1, 0), np.roll(action, 1, 0))


def rows(name: str, found: tuple[dict[str, float], dict[str, float]]) -> str:
  """Returns two rows of the table."""
  keys = (
    'correlation', 'slope', 'accuracy', 'accuracy_moving', 'object_presence',
    'own',
  )  # fmt: skip
  lines = []
  for kind, each in zip(('own', 'other'), found, strict=True):
    cells = [f'{each[key]:.2f}' if key in each else '' for key in keys]
    cells.append(', '.join(failures(each)) or 'nothing')
    lines.append(f'| {name} | {kind} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def main() -> None:
  args = arguments.parser(__doc__, num=128, least=2).parse_args()
  run = runs.load(args.workdir)
  start = getattr(run.model, 'num_context', 0)
  if not (isinstance(run.source, source.Actions) and start):
    raise ValueError(
      f'{run.workdir} is a run of {type(run.model).__name__} with clips of'
      f' {type(run.source).__name__}; this experiment needs a model that'
      ' predicts clips of Actions from their first frames.'
    )
  world = build.source(
    run.config.data.to_dict(), run.config.clip_shape, split='validation'
  )
  real = load(world, args.num)
  variables = run.state.variables(run.config.sample_from)
  apply = jax.jit(functools.partial(run.model.apply, method='sample'))

  def generate(action_bt2: np.ndarray) -> np.ndarray:
    known = pixels.to_float(real.video_bthwc)
    condition = {'known_video': known, 'action': action_bt2}
    key_b = sampling.clip_keys(0, args.num)
    return pixels.to_uint8(np.asarray(apply(variables, key_b, condition)))

  # The motion of the given frames is that of their own actions.
  other_bt2 = real.other_bt2.copy()
  other_bt2[:, : start - 1] = real.action_bt2[:, : start - 1]
  model = Arm(
    generate(real.action_bt2), real.action_bt2, generate(other_bt2), other_bt2
  )
  arms = {
    'the model': model, 'real': real, **cheats(world, real, start),
  }  # fmt: skip
  print(HEADER)
  for name, arm in arms.items():
    print(rows(name, compare(world, arm, start)))


if __name__ == '__main__':
  main()

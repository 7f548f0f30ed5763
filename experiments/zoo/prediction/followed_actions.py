"""Checks that a trained predictor moves the object as its actions request.

  vgen train --config=savp_two_futures:small --config.model.variant=vae \
      --config.data.name=synthetic.actions.source.Actions \
      --workdir=runs/savp_actions
  python -m experiments.zoo.prediction.followed_actions \
      --workdir=runs/savp_actions

Clips of `synthetic.actions`, split `validation`, are predicted from their first
frames and their actions. Each step after these frames is compared with the
motion that its action requests, including walls, as in
synthetic/actions/verifier.py. A model passes if

* the correlation of requested and actual motion, over steps and axes, is at
  least 0.95;
* if the model is given the actions of other clips, the motion has a correlation
  of at most 0.2 with the motion that the clips' own actions request: so the
  motion comes from the actions, and not from the first frames;
* the object is visible in at least 95 % of the frames.

The same numbers are printed for clips that must fail.
"""

import argparse
import functools

import jax
import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import pixels
from vgen_jax.evaluation.metrics import baselines
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.synthetic.actions import source
from vgen_jax.synthetic.actions import verifier

HEADER = (
  '| clips | correlation | with actions of others | steps that follow | moving'
  ' steps that follow | error, px | object visible | fails |\n'
  '|---|---|---|---|---|---|---|---|'
)


def numbers(
  world: source.Actions,
  video_bthwc: np.ndarray,
  other_bthwc: np.ndarray,
  action_bt2: np.ndarray,
  start: int,
) -> dict[str, float]:
  """Returns the numbers of `verifier.report`, and 'others'.

  'others' is the correlation of clips that were generated with other actions.

  Args:
    world: Dataset of the clips.
    video_bthwc: Clips, uint8, generated with `action_bt2`.
    other_bthwc: The same clips, generated with the actions of other clips.
    action_bt2: Actions of the clips.
    start: Number of given frames.
  """
  report = lambda clips: verifier.report(
    world, clips[:, start - 1 :], action_bt2[:, start - 1 :]
  )
  others = report(other_bthwc)['correlation']
  return {**report(video_bthwc), 'others': others}


def failures(found: dict[str, float]) -> list[str]:
  """Returns the names of the criteria that clips do not meet."""
  passes = {
    'correlation': found['correlation'] >= 0.95,
    'others': abs(found['others']) <= 0.2,
    'visible': found['object_presence'] >= 0.95,
  }
  return [name for name, is_met in passes.items() if not is_met]


def cheats(
  real_bthwc: np.ndarray, start: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Returns pairs of clips that must fail, as given to `numbers`."""
  rest = real_bthwc.shape[1] - start
  known = real_bthwc[:, :start]
  still = np.concatenate([known, baselines.copy_last(known, rest)], axis=1)
  late = real_bthwc.copy()
  late[:, start:] = real_bthwc[:, start - 1 : -1]
  back = real_bthwc[:, :, ::-1, ::-1]
  others = np.roll(real_bthwc, 1, axis=0)
  return {
    'last known frame': (still, still),
    'one frame late': (late, others),
    'opposite motion': (back, others),
    'actions ignored': (real_bthwc, real_bthwc),
    'actions of other clips': (others, real_bthwc),
  }


def row(name: str, found: dict[str, float]) -> str:
  """Returns a row of the table."""
  keys = (
    'correlation', 'others', 'accuracy', 'accuracy_moving', 'error',
    'object_presence',
  )  # fmt: skip
  cells = [f'{found[key]:.2f}' for key in keys]
  cells.append(', '.join(failures(found)) or 'nothing')
  return f'| {name} | {" | ".join(cells)} |'


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--workdir', required=True, help='Workdir of the run.')
  parser.add_argument('--num', type=int, default=128, help='Number of clips.')
  args = parser.parse_args()
  checks.at_least('--num', args.num, 2)
  run = runs.load(args.workdir)
  start = getattr(run.model, 'num_context', 0)
  if not (isinstance(run.source, source.Actions) and start):
    raise ValueError(
      f'{run.workdir} is a run of {type(run.model).__name__} with clips of'
      f' {type(run.source).__name__}; this experiment needs a model that'
      ' predicts clips of Actions from their first frames.'
    )
  options = {k: x for k, x in run.config.data.items() if k != 'name'}
  world = source.Actions(
    run.schema.clip_shape, **options | {'split': 'validation'}
  )
  clips = [world[i] for i in range(args.num)]
  real_bthwc, action_bt2 = (
    np.stack([clip[key] for clip in clips]) for key in ('video', 'action')
  )
  other_bt2 = np.roll(action_bt2, 1, axis=0)
  variables = run.state.variables(run.config.sample_from)
  apply = jax.jit(functools.partial(run.model.apply, method='sample'))
  generate = lambda action_bt2: pixels.to_uint8(
    np.asarray(
      apply(
        variables,
        sampling.clip_keys(0, args.num),
        {'known_video': pixels.to_float(real_bthwc), 'action': action_bt2},
      )
    )
  )
  arms = {
    'the model': (generate(action_bt2), generate(other_bt2)),
    'real': (real_bthwc, np.roll(real_bthwc, 1, axis=0)),
    **cheats(real_bthwc, start),
  }
  print(HEADER)
  for name, pair in arms.items():
    print(row(name, numbers(world, *pair, action_bt2, start)))


if __name__ == '__main__':
  main()

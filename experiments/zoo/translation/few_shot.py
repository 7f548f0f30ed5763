"""Checks that few-shot vid2vid shows subjects that it was not trained on.

  python -m experiments.zoo.translation.few_shot --workdir=runs/few_shot

For clips of subjects of the split 'test' the model generates video from layouts
and three references. It passes if

* colour: the colours of body and head differ from those of the references by at
  most 0.08, as a root mean square of colours from 0 to 1;
* slope: with the references of another subject, the colours change by at least
  0.8 times the difference between the references;
* side: bodies have the colour of the side that is visible, with an error of at
  most 0.08 for each side by itself, and in the frames after a change of side;
* pose: the intersection over union of the figures of clips and layouts is at
  least 0.85;
* attention: of three references, one in the pose of the frame and two in other
  poses, the first has a weight of at least 0.6, averaged over the figure. If
  bodies have two sides (config.data.num_sides), the others show the other side,
  and the average is over the body: all references show the colour of the head;
* kernels: the generated kernels of different subjects differ, and those of
  equal references do not.

The same numbers are printed for real clips, for clips that must fail, for the
model with the references of one subject for all clips, and, with --control, for
another run, such as one without references
(--config.model.generator.num_adaptive=0).
"""

from collections.abc import Callable

import jax
import numpy as np

from experiments.zoo import arguments
from experiments.zoo.translation import appearance_criteria as criteria
from experiments.zoo.translation import few_shot_network
from vgen_jax.core import checks
from vgen_jax.core import pixels
from vgen_jax.core.types import Condition
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.synthetic.subjects import source

NUM_REFERENCES = 3
Sampler = Callable[[Condition], np.ndarray]
HEADER = (
  '| clips | colour error | slope | IoU | side | weight | distance |'
  ' of equal ones | fails |\n|---|---|---|---|---|---|---|---|---|'
)


def main() -> None:
  parser = arguments.parser(__doc__, num=64)
  parser.add_argument('--control', default='', help='Workdir of another run.')
  args = parser.parse_args()
  run = runs.load(args.workdir)
  num_sides = run.config.data.get('num_sides', 1)
  checks.in_range('config.data.num_sides', num_sides, 1, 2)
  world = source.Subjects(
    run.schema.clip_shape,
    'test',
    num_references=NUM_REFERENCES,
    num_sides=num_sides,
  )
  index_b = np.arange(args.num)
  other_b = others(world, index_b)
  case = criteria.case(world, index_b, other_b)
  network = few_shot_network.measure(run, world, index_b)
  print(HEADER)
  sample = sampler(run)
  own, swapped = (
    sample(few_shot_network.conditions(world, index_b, x))
    for x in (index_b, other_b)
  )
  report('the model', criteria.numbers(case, own, swapped), network)
  one = sample(
    few_shot_network.conditions(world, index_b, np.zeros_like(index_b))
  )
  report('the same references for all', criteria.numbers(case, one, one), None)
  real_bthwc = np.stack([world[int(i)]['video'] for i in index_b])
  recolored = criteria.paint(case, case.other_bs2c)
  report('real', criteria.numbers(case, real_bthwc, recolored), None)
  for name, clips in criteria.cheats(case, train_colors(world)).items():
    report(name, criteria.numbers(case, *clips), None)
  if args.control:
    sample = sampler(runs.load(args.control))
    own, swapped = (
      sample(few_shot_network.conditions(world, index_b, x))
      for x in (index_b, other_b)
    )
    report('the control', criteria.numbers(case, own, swapped), None)


def others(world: source.Subjects, index_b: np.ndarray) -> np.ndarray:
  """Returns, for each clip, the index of the next clip of another subject."""
  found = []
  for index in index_b:
    other = int(index) + 1
    while world.subject(other) == world.subject(int(index)):
      other += 1
    found.append(other)
  return np.array(found)


def sampler(run: runs.Run) -> Sampler:
  """Returns a function from a condition to clips, uint8 `[b, t, h, w, c]`."""
  variables = run.state.variables(run.config.sample_from)

  @jax.jit
  def apply(variables, key_b, condition):
    return run.model.apply(variables, key_b, condition, method='sample')

  def sample(condition: Condition) -> np.ndarray:
    used = {k: condition[k] for k in run.model.condition_keys}
    key_b = sampling.clip_keys(0, len(condition['layout']))
    return pixels.to_uint8(np.asarray(apply(variables, key_b, used)))

  return sample


def train_colors(world: source.Subjects) -> np.ndarray:
  """Returns the mean colours of all training subjects, `[k, s, 2, c]`."""
  train = source.Subjects(
    world.clip_shape,
    'train',
    num_references=world.num_sides,
    num_sides=world.num_sides,
  )
  found: dict[int, np.ndarray] = {}
  index = 0
  while len(found) < len(train.subjects):
    subject = train.subject(index)
    if subject not in found:
      found[subject] = criteria.reference_colors(train, index)
    index += 1
  return np.stack(list(found.values()))


def report(
  name: str, found: dict[str, float], network: criteria.Network | None
) -> None:
  """Prints a row of the table; its arguments are those of `failures`."""
  cells = [f'{found[key]:.3f}' for key in ('error', 'slope', 'iou', 'side')]
  cells += [''] * 3 if network is None else [f'{x:.2g}' for x in network]
  failed = ', '.join(criteria.failures(found, network)) or 'nothing'
  print(f'| {name} | {" | ".join(cells)} | {failed} |')


if __name__ == '__main__':
  main()

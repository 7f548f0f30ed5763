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
  poses, the first has a weight of at least 0.6, averaged over the figure; the
  others show other sides, if bodies have several (config.data.num_sides);
* kernels: the generated kernels of different subjects differ, and those of
  equal references do not.

The same numbers are printed for real clips, for clips that must fail, for the
model with the references of one subject for all clips, and, with --control, for
another run, such as one without references
(--config.model.generator.num_adaptive=0).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.zoo import arguments
from experiments.zoo.translation import appearance_criteria as criteria
from vgen_jax.core import checks
from vgen_jax.core import pixels
from vgen_jax.core.types import Clip
from vgen_jax.core.types import Condition
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.models import few_shot_vid2vid
from vgen_jax.synthetic.subjects import source
from vgen_jax.training import state as state_lib

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
  network = measure(run, world, index_b)
  print(HEADER)
  sample = sampler(run)
  own, swapped = (
    sample(conditions(world, index_b, x)) for x in (index_b, other_b)
  )
  report('the model', criteria.numbers(case, own, swapped), network)
  one = sample(conditions(world, index_b, np.zeros_like(index_b)))
  report('the same references for all', criteria.numbers(case, one, one), None)
  real_bthwc = np.stack([world[int(i)]['video'] for i in index_b])
  recolored = criteria.paint(case, case.other_bs2c)
  report('real', criteria.numbers(case, real_bthwc, recolored), None)
  for name, clips in criteria.cheats(case, train_colors(world)).items():
    report(name, criteria.numbers(case, *clips), None)
  if args.control:
    sample = sampler(runs.load(args.control))
    own, swapped = (
      sample(conditions(world, index_b, x)) for x in (index_b, other_b)
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


def conditions(
  world: source.Subjects, index_b: np.ndarray, reference_b: np.ndarray
) -> Condition:
  """Returns the layouts of some clips and the references of others.

  Args:
    world: Dataset with references.
    index_b: Indices of the clips whose layouts are used.
    reference_b: Indices of the clips whose references are used.
  """
  clips = [world[int(i)] for i in reference_b]
  reference = np.stack([x['reference'] for x in clips])
  layout = np.stack([x['reference_layout'] for x in clips])
  return {
    'layout': jnp.asarray(np.stack([world[int(i)]['layout'] for i in index_b])),
    'reference': jnp.asarray(pixels.to_float(reference)),
    'reference_layout': jnp.asarray(layout),
  }


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


def measure(
  run: runs.Run, world: source.Subjects, index_b: np.ndarray
) -> criteria.Network:
  """Returns the measurements of the network of a run.

  Args:
    run: Run of a network with references.
    world: Dataset with references.
    index_b: Indices of clips for the weights of attention.
  """
  network = run.model.generator
  variables = run.state.variables(run.config.sample_from)
  own = state_lib.of_part(variables, 'generator')

  @jax.jit
  def appearance_of(variables, layout_bhw, condition):
    encoded = network.apply(variables, condition, method='encode')
    return network.apply(variables, layout_bhw, encoded, method='appearance')

  last = world.clip_shape[0] - 1
  condition = conditions(world, index_b, index_b)
  layout_bhw = condition['layout'][:, last]
  matching = with_match(world, index_b, last, condition)
  weight_bhwr = appearance_of(own, layout_bhw, matching).weight_bhwr

  first = {}  # Index of the first clip of each subject.
  for index in range(len(world)):
    first.setdefault(world.subject(index), index)
    if len(first) == len(world.subjects):
      break
  # Each subject twice; all with the layout of one clip.
  twice_b = np.repeat([first[subject] for subject in world.subjects], 2)
  layout_bhw = jnp.repeat(layout_bhw[:1], len(twice_b), axis=0)
  found = appearance_of(own, layout_bhw, conditions(world, twice_b, twice_b))
  distances = kernel_distances(found)
  size = len(world.subjects)
  equal = np.repeat(np.eye(size, dtype=bool), 2, axis=0).repeat(2, axis=1)
  return criteria.Network(
    matching_weight(weight_bhwr, matching['layout'][:, last]),
    float(distances[~equal].min()),
    float(distances[equal].max()),
  )


def with_match(
  world: source.Subjects, index_b: np.ndarray, frame: int, condition: Condition
) -> Condition:
  """Returns references of which one shows the pose of a frame of the clip.

  The position of this reference, i modulo the number of references for clip i,
  is not the same in all clips. It is the frame itself. If bodies have several
  sides, all other references show another side.

  Args:
    world: Dataset of the clips.
    index_b: Indices of the clips.
    frame: Index of the frame.
    condition: Condition of the clips.
  """
  found = {k: np.array(condition[k]) for k in ('reference', 'reference_layout')}
  num_references = found['reference'].shape[1]
  for i, index in enumerate(int(x) for x in index_b):
    chosen = _of_other_sides(world, index, frame, num_references)
    clips = [(r, clip, 0) for r, clip in chosen.items()]
    for r, clip, t in (*clips, (i % num_references, world[index], frame)):
      found['reference'][i, r, 0] = pixels.to_float(clip['video'][t])
      found['reference_layout'][i, r, 0] = clip['layout'][t]
  return condition | {key: jnp.asarray(x) for key, x in found.items()}


def _of_other_sides(
  world: source.Subjects, index: int, frame: int, num_references: int
) -> dict[int, Clip]:
  """Returns clips in place of references that show the side of a frame."""
  if world.num_sides == 1:
    return {}
  side = world.truth(index).side_t[frame]
  same = [r for r in range(num_references) if r % world.num_sides == side]
  # Successive references show all sides in turn.
  further = world.references(index, num_references * (1 + world.num_sides) + 1)
  return {r: further[num_references * world.num_sides + r + 1] for r in same}


def matching_weight(weight_bhwr: np.ndarray, layout_bhw: np.ndarray) -> float:
  """Returns the mean weight of reference i % r of clip i over its figure.

  Args:
    weight_bhwr: Weights of references, in any resolution.
    layout_bhw: Layouts, with a multiple of this resolution.
  """
  weight_bhwr = np.asarray(weight_bhwr)
  b, h, w, r = weight_bhwr.shape
  rows, columns = layout_bhw.shape[1] // h, layout_bhw.shape[2] // w
  blocks = (np.asarray(layout_bhw) > 0).reshape(b, h, rows, w, columns)
  figure_bhw = blocks.mean(axis=(2, 4))
  number_b = np.arange(b)
  match_bhw = weight_bhwr[number_b, :, :, number_b % r]
  total_b = (match_bhw * figure_bhw).sum(axis=(1, 2))
  return float((total_b / figure_bhw.sum(axis=(1, 2))).mean())


def kernel_distances(found: few_shot_vid2vid.Appearance) -> np.ndarray:
  """Returns the distances of the kernels of all pairs of clips, `[b, b]`.

  The distances are relative to the mean norm of the kernels of a clip.

  Args:
    found: Kernels of clips.
  """
  leaves = [np.asarray(x) for x in jax.tree.leaves(found.kernels)]
  flat_bk = np.concatenate([x.reshape(len(x), -1) for x in leaves], axis=1)
  difference = np.linalg.norm(flat_bk[:, None] - flat_bk[None], axis=-1)
  norm = np.linalg.norm(flat_bk, axis=1).mean()
  return difference / max(norm, 1e-12)


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

"""Measurements of the network of few-shot vid2vid: weights and kernels.

`few_shot.py` states what they must be.
"""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.zoo.translation import appearance_criteria as criteria
from vgen_jax.core import pixels
from vgen_jax.core.types import Clip
from vgen_jax.core.types import Condition
from vgen_jax.inference import runs
from vgen_jax.models import few_shot_vid2vid
from vgen_jax.synthetic.subjects import source
from vgen_jax.training import state as state_lib


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
  where_bhw = averaged_positions(layout_bhw, world.num_sides)

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
    matching_weight(weight_bhwr, where_bhw),
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


def averaged_positions(layout_bhw: np.ndarray, num_sides: int) -> np.ndarray:
  """Returns the positions over which weights are averaged, bool `[b, h, w]`.

  These are those of figures. If bodies have several sides, they are those of
  bodies, as heads have the same colour in all references.

  Args:
    layout_bhw: Layouts of frames.
    num_sides: Number of sides of a body.
  """
  if num_sides > 1:
    return np.asarray(layout_bhw) == source.SEGMENTS.index('body')
  return np.asarray(layout_bhw) > 0


def matching_weight(weight_bhwr: np.ndarray, where_bhw: np.ndarray) -> float:
  """Returns the mean weight of reference i % r of clip i over some positions.

  Args:
    weight_bhwr: Weights of references, in any resolution.
    where_bhw: Positions to average over, bool, with a multiple of this
      resolution.
  """
  weight_bhwr = np.asarray(weight_bhwr)
  b, h, w, r = weight_bhwr.shape
  rows, columns = where_bhw.shape[1] // h, where_bhw.shape[2] // w
  blocks = np.asarray(where_bhw).reshape(b, h, rows, w, columns)
  part_bhw = blocks.mean(axis=(2, 4))
  number_b = np.arange(b)
  match_bhw = weight_bhwr[number_b, :, :, number_b % r]
  total_b = (match_bhw * part_bhw).sum(axis=(1, 2))
  return float((total_b / part_bhw.sum(axis=(1, 2))).mean())


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

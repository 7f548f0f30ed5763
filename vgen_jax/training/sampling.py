"""Drawing clips from a state."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

from vgen_jax import build
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import random
from vgen_jax.training import sharding
from vgen_jax.training.state import TrainState
from vgen_jax.types import Array
from vgen_jax.types import Condition
from vgen_jax.types import Schema

_STREAM = 1_000_003  # Of a seed: that of samples.

Sampler = Callable[[TrainState, Array, Condition], Array]


def make_sampler(model: VideoModel, average: str, mesh: Mesh) -> Sampler:
  """Returns `(state, key_b, condition) -> video_bthwc`, compiled per size.

  Devices share the clips if they can do so evenly; the clips come whole to
  every host, float32 in [-1, 1].

  Args:
    model: What to draw from.
    average: Name of the average of the parameters to use, or 'params'.
    mesh: Where the state lives.
  """
  whole = NamedSharding(mesh, P())

  def draw(state: TrainState, key_b: Array, condition: Condition) -> Array:
    if len(key_b) % sharding.num_batch_shards(mesh) == 0:
      key_b, condition = jax.lax.with_sharding_constraint(
        (key_b, condition), sharding.of_batch(mesh)
      )
    return model.apply(
      state.variables(average), key_b, condition, method='sample'
    )

  return jax.jit(draw, out_shardings=whole)


def clip_keys(seed: int, num_clips: int, first: int = 0) -> Array:
  """Returns keys of clips first, first + 1, ... of all that a seed can draw."""
  place_b = jnp.arange(first, first + num_clips)
  # Not the keys that a run of this seed spends itself.
  return random.keys(jax.random.fold_in(jax.random.key(seed), _STREAM), place_b)


def conditions(
  model: VideoModel, schema: Schema, num_clips: int, label: int | None = None
) -> Condition:
  """Returns what to ask of clips: the classes in turn, or one of them.

  Args:
    model: Whose conditions count.
    schema: Of the data that it learns from.
    num_clips: Number of clips, b.
    label: Class of them all; None takes turns.

  Raises:
    ValueError: If `label` is no class, or the model knows no classes.
  """
  if 'label' not in model.condition_keys:
    if label is not None:
      raise ValueError(
        f'label is {label}, but this {type(model).__name__} knows no classes.'
      )
    return {}
  count = schema.num_classes
  if label is not None and not 0 <= label < count:
    raise ValueError(f'label is {label}; classes are 0 to {count - 1}.')
  label_b = np.arange(num_clips) % count
  if label is not None:
    label_b = np.full(num_clips, label)
  return {'label': label_b.astype(np.int32)}


def class_id(schema: Schema, name: str) -> int:
  """Returns the id of a class by its name, or by its number in digits.

  Raises:
    ValueError: If there is no such class.
  """
  names = list(schema.class_names)
  if name in names:
    return names.index(name)
  if name.isdigit() and int(name) < schema.num_classes:
    return int(name)
  raise ValueError(
    f'There is no class {name!r}.'
    f'{build.hint(name, names or list(map(str, range(schema.num_classes))))}'
  )

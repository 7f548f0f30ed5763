"""Drawing clips from a state."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Schema
from vgen_jax.data import pipeline
from vgen_jax.families.base import VideoModel
from vgen_jax.runtime import sharding
from vgen_jax.training.state import TrainState

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
  return _keys(seed, np.arange(first, first + num_clips))


def draw(
  sample: Sampler,
  state: TrainState,
  mesh: Mesh,
  condition: Mapping[str, np.ndarray],
  places: np.ndarray,
  *,
  seed: int,
  batch_size: int,
) -> np.ndarray:
  """Draws clips in batches; returns uint8 `[b, t, h, w, c]`.

  Args:
    sample: From `make_sampler`.
    state: What to draw from.
    mesh: Where it lives.
    condition: A row for each clip.
    places: Numbers of the clips, of all that the seed can draw, `[b]`.
    seed: Of the noise.
    batch_size: Clips at a time, rounded up to what devices share evenly.
  """
  shards = sharding.num_batch_shards(mesh)
  batch_size = -(-batch_size // shards) * shards
  parts = []
  for first in range(0, len(places), batch_size):
    # The last batch is filled up with copies, so that all compile to one.
    rows = np.minimum(first + np.arange(batch_size), len(places) - 1)
    part = {key: np.asarray(x)[rows] for key, x in condition.items()}
    # The sampler shares them out: not all devices need be of this host.
    key_b = _keys(seed, places[rows])
    parts.append(to_uint8(jax.device_get(sample(state, key_b, part))))
  return np.concatenate(parts)[: len(places)]


def to_uint8(video: np.ndarray) -> np.ndarray:
  """Returns pixels 0 to 255 for pixels in [-1, 1], rounded and clipped."""
  return np.uint8(np.clip(np.rint((video + 1) * 127.5), 0, 255))


def conditions(
  model: VideoModel,
  source: pipeline.Source,
  num_clips: int,
  label: int | None = None,
  first: int = 0,
) -> Condition:
  """Returns what to ask of clips: the classes in turn, or one of them.

  What a model must be told beyond that (actions, or the frames that it goes on
  from) is that of clips of the data, and then so are the classes.

  Args:
    model: Whose conditions count.
    source: The data that it learns from.
    num_clips: Number of clips, b.
    label: Class of them all; None takes turns.
    first: Number of the first one.

  Raises:
    ValueError: If `label` is no class, or the model knows no classes.
  """
  count = source.schema.num_classes
  if label is not None and 'label' not in model.condition_keys:
    raise ValueError(
      f'label is {label}, but this {type(model).__name__} knows no classes.'
    )
  if label is not None and not 0 <= label < count:
    raise ValueError(f'label is {label}; classes are 0 to {count - 1}.')
  condition = {}
  if 'label' in model.condition_keys:
    label_b = np.arange(first, first + num_clips) % count
    condition['label'] = label_b.astype(np.int32)
  condition |= _of_data(model, source, num_clips, first)
  if label is not None:
    condition['label'] = np.full(num_clips, label, np.int32)
  return condition


def _of_data(
  model: VideoModel, source: pipeline.Source, num_clips: int, first: int
) -> Condition:
  """Returns what only clips can tell a model, {} if it need not be told."""
  keys = set(model.condition_keys) & {'text', 'text_mask', 'action', 'audio'}
  if not (keys or model.num_known):
    return {}
  places = range(first, first + num_clips)
  clips = [source[i % len(source)] for i in places]
  keys |= {'label'} & set(model.condition_keys)
  told = {key: np.stack([clip[key] for clip in clips]) for key in keys}
  if model.num_known:
    video_bthwc = np.stack([clip['video'] for clip in clips])
    video_bthwc = video_bthwc.astype(np.float32) / 127.5 - 1
    known_t = np.arange(video_bthwc.shape[1]) < model.num_known
    told['known_video'] = video_bthwc
    told['known'] = np.broadcast_to(
      known_t[None, :, None, None, None], (*video_bthwc.shape[:4], 1)
    )
  return told


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
    f'{checks.hint(name, names or list(map(str, range(schema.num_classes))))}'
  )


def _keys(seed: int, place_b: np.ndarray) -> Array:
  # Not the keys that a run of this seed spends itself.
  key = jax.random.fold_in(jax.random.key(seed), _STREAM)
  return random.keys(key, jnp.asarray(place_b))

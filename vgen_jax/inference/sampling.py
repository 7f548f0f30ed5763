"""Generation of clips from a state."""

from collections.abc import Callable, Container, Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np
import tqdm

from vgen_jax.core import checks
from vgen_jax.core import modalities
from vgen_jax.core import pixels
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Schema
from vgen_jax.data import pipeline
from vgen_jax.data import run_data
from vgen_jax.families.base import VideoModel
from vgen_jax.inference import own_conditions
from vgen_jax.nn import batch_sharding
from vgen_jax.runtime import sharding
from vgen_jax.training.state import TrainState

_KEY_DATA = 1_000_003  # Folded into the key of a seed, for generated clips.

Sampler = Callable[[TrainState, Array, Condition], Array]


def make_sampler(model: VideoModel, average: str, mesh: Mesh) -> Sampler:
  """Returns the function `(state, key_b, condition) -> video_bthwc`, jitted.

  Clips are split among devices if their number allows it. All processes receive
  all clips, float32 in [-1, 1]. Values that are infinite before clipping become
  NaN, so that `check_finite` finds them.

  Args:
    model: Model to sample from.
    average: Name of the average of the parameters to use, or 'params'.
    mesh: Mesh of the state.
  """

  def sample(state: TrainState, key_b: Array, condition: Condition) -> Array:
    if len(key_b) % sharding.num_batch_shards(mesh) == 0:
      key_b, condition = jax.lax.with_sharding_constraint(
        (key_b, condition), sharding.of_batch(mesh)
      )
    video_bthwc = model.apply(
      state.variables(average), key_b, condition, method='sample_unclipped'
    )
    return jnp.where(
      jnp.isfinite(video_bthwc), video_bthwc.clip(-1, 1), jnp.nan
    )

  return jax.jit(
    batch_sharding.on_mesh(mesh, sample),
    out_shardings=NamedSharding(mesh, P()),
  )


def clip_keys(seed: int, num_clips: int, first: int = 0) -> Array:
  """Returns the keys `[b]` of clips first, first + 1, ... of a seed."""
  return _keys(seed, np.arange(first, first + num_clips))


def generate(
  sample: Sampler,
  state: TrainState,
  mesh: Mesh,
  condition: Mapping[str, np.ndarray],
  number_b: np.ndarray,
  *,
  seed: int,
  batch_size: int,
) -> np.ndarray:
  """Returns generated clips, uint8 `[b, t, h, w, c]`.

  Args:
    sample: Sampler from `make_sampler`.
    state: State whose parameters generate the clips.
    mesh: Mesh of the state.
    condition: Condition with a row for each clip.
    number_b: Number of each clip; a seed and a number identify its noise.
    seed: Seed of the noise, 0 to 2**32 - 1.
    batch_size: Number of clips to generate at a time; it is rounded up to a
      multiple of the number of batch shards.

  Raises:
    FloatingPointError: If clips have values that are NaN or infinite; the
      message states how many.
  """
  shards = sharding.num_batch_shards(mesh)
  batch_size = -(-batch_size // shards) * shards
  parts, num_wrong = [], 0
  starts = range(0, len(number_b), batch_size)
  # disable=None: shown on a terminal only. The caller of one batch has its own.
  is_hidden = jax.process_index() > 0 or len(starts) == 1 or None
  for first in tqdm.tqdm(
    starts, 'Generating', unit='batch', disable=is_hidden, leave=False
  ):
    # The last batch is filled with copies, so that all have the same shape.
    rows = np.minimum(first + np.arange(batch_size), len(number_b) - 1)
    part = {key: np.asarray(x)[rows] for key, x in condition.items()}
    # The sampler shards the keys: some devices may belong to other hosts.
    key_b = _keys(seed, number_b[rows])
    video_bthwc = np.asarray(jax.device_get(sample(state, key_b, part)))
    video_bthwc = video_bthwc[: len(number_b) - first]
    num_wrong += pixels.num_not_finite(video_bthwc)
    if not num_wrong:  # Otherwise the others are only counted.
      parts.append(pixels.to_uint8(video_bthwc))
  _check_none(num_wrong, len(number_b), 'generated')
  return np.concatenate(parts)


def check_finite(video_bthwc: np.ndarray, kind: str = 'generated') -> None:
  """Raises FloatingPointError if clips of a model have NaN or infinite values.

  Args:
    video_bthwc: Clips of the model as floats, on the host.
    kind: Kind of the clips, for the message.
  """
  num_wrong = pixels.num_not_finite(video_bthwc)
  _check_none(num_wrong, len(video_bthwc), kind)


def conditions(
  model: VideoModel,
  source: pipeline.Source,
  num_clips: int,
  label: int | None = None,
  first: int = 0,
  given: Mapping[str, np.ndarray] | None = None,
) -> Condition:
  """Returns the condition of clips, with the given class or with all classes.

  Conditions that only real clips have, such as actions or first frames, are
  those of clips of `source`. In this case the classes are also those of the
  clips.

  Args:
    model: Model whose conditions are needed.
    source: Source of the training data.
    num_clips: Number of clips, b.
    label: Class of all clips; None for class i modulo the number of classes for
      clip i.
    first: Index of the first clip.
    given: Further conditions, with a row for each clip; they replace those of
      clips of the data.

  Raises:
    ValueError: If `label` is not a class, the model has no class condition, or
      does not accept a given one.
  """
  given = given or {}
  modalities.check_keys(given, model.condition_keys, type(model).__name__)
  count = source.schema.num_classes
  if label is not None and 'label' not in model.condition_keys:
    raise ValueError(
      f'label is {label}, but this {type(model).__name__} is not conditioned on'
      ' classes; leave the label out.'
    )
  if label is not None and not 0 <= label < count:
    raise ValueError(f'label is {label}; it must be from 0 to {count - 1}.')
  condition = {}
  if 'label' in model.condition_keys:
    label_b = np.arange(first, first + num_clips) % count
    condition['label'] = label_b.astype(np.int32)
  condition |= _from_clips(model, source, num_clips, first, given)
  condition |= given
  if label is not None:
    condition['label'] = np.full(num_clips, label, np.int32)
  return condition


def class_id(schema: Schema, name: str) -> int:
  """Returns the index of a class.

  Args:
    schema: Schema with the classes.
    name: Name of the class, or its index in digits.

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


def label_names(
  schema: Schema, condition: Mapping[str, np.ndarray]
) -> list[str]:
  """Returns the name of the class of each clip, as labels of a picture.

  Args:
    schema: Schema with the classes.
    condition: Condition of the clips.

  Returns:
    Names, or the numbers of classes without names; [] if the condition has no
    label.
  """
  names = schema.class_names
  return [
    names[int(label)] if names else str(label)
    for label in condition.get('label', ())
  ]


def _from_clips(
  model: VideoModel,
  source: pipeline.Source,
  num_clips: int,
  first: int,
  given: Container[str],
) -> Condition:
  """Returns the conditions that only clips have, without the given ones."""
  accepted = {key for key in model.condition_keys if key not in given}
  keys = accepted & set(modalities.keys('data'))
  needs_frames = model.num_known and 'known_video' not in given
  if not (keys or needs_frames):
    return {}
  clips = [source[i % len(source)] for i in range(first, first + num_clips)]
  keys |= accepted & set(modalities.keys('choice'))
  condition = {}
  for key in keys:
    if key not in clips[0]:
      is_data = isinstance(source, run_data.RunData)
      name = type(source.source if is_data else source).__name__
      raise ValueError(
        f'{type(model).__name__} is conditioned on {key!r}, but clips of'
        f' {name} have {sorted(clips[0])}; use data that has'
        f' {key!r}, or build the model without it.'
      )
    value = np.stack([clip[key] for clip in clips])
    is_pixels = value.dtype == np.uint8
    condition[key] = pixels.to_float(value) if is_pixels else value
  if needs_frames:
    video_bthwc = np.stack([clip['video'] for clip in clips])
    known_t = np.arange(video_bthwc.shape[1]) < model.num_known
    condition |= own_conditions.with_known_frames(video_bthwc, known_t)
  return condition


def _check_none(num_wrong: int, num_clips: int, kind: str) -> None:
  """Raises FloatingPointError if some clips have NaN or infinite values."""
  if num_wrong:
    raise FloatingPointError(
      f'{num_wrong} of {num_clips} {kind} clips have pixels that are NaN or'
      ' infinite; none was saved. Use less guidance (model.guidance), another'
      ' solver, or float32 (dtype of the network); if the clips of earlier'
      ' checkpoints are finite, the training has diverged.'
    )


def _keys(seed: int, number_b: np.ndarray) -> Array:
  # These keys differ from those that a run with this seed uses in training.
  key = jax.random.fold_in(random.of_seed(seed), _KEY_DATA)
  return random.keys(key, jnp.asarray(number_b))

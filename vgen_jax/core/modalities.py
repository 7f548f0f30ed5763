"""The table of modalities: everything that clips can be conditioned on.

A new condition is a new row of `TABLE`, its key in `Batch` and `Condition` of
core/types.py, and a source whose clips have the key. Models, the pipeline,
transforms and the sampler look conditions up here.

There are four kinds, by how a network uses a condition:

| kind  | shape           | use                                                |
|-------|-----------------|----------------------------------------------------|
| clip  | [b], [b, d]     | added to the embedding of time                     |
| frame | [b, t, d]       | modulation of each frame                           |
| token | [b, n, ...]     | cross-attention, or attention with the clip        |
| pixel | [b, t, h, w, c] | channels of the input, or normalization of pixels  |
"""

from collections.abc import Iterable
import dataclasses

from vgen_jax.core import checks
from vgen_jax.core.types import Schema

KINDS = ('clip', 'frame', 'token', 'pixel')
ORIGINS = ('choice', 'data', 'target')


@dataclasses.dataclass(frozen=True)
class Modality:
  """One row of the table.

  Attributes:
    key: Key of a Batch and of a Condition.
    kind: One of KINDS.
    dtype: Dtype in a clip of the data. uint8 stands for pixels, which models
      are given as float32 in [-1, 1].
    axes: Shape in a batch, one letter per axis; see core/shapes.py.
    size: Name of the size that models need: a field of Schema, or a name in
      `Schema.sizes`. Families and networks have a parameter of this name. ''
      if the shape of a clip determines the size.
    mask: Key of the bool array that states which entries are valid; '' if it
      has none.
    mask_axes: Shape of the mask, one letter per axis.
    origin: Where the sampler takes it from: 'choice', any valid value, such as
      class i for clip i; 'data', a clip of the data; 'target', the known part
      of the clip to generate.
    null: Value that stands for "none" when the condition is dropped, in
      training and in guidance: 'size', the index after the last valid one;
      'mask', a mask of False; '' if models cannot drop it.
    asked_by: Arguments of sources that request the condition: if a config sets
      one of them, a model that does not use the condition is an error.
  """

  key: str
  kind: str
  dtype: str
  axes: str
  size: str = ''
  mask: str = ''
  mask_axes: str = ''
  origin: str = 'data'
  null: str = ''
  asked_by: tuple[str, ...] = ()

  def __post_init__(self):
    row = f'modality {self.key!r}'
    checks.one_of(f'kind of {row}', self.kind, KINDS)
    checks.one_of(f'origin of {row}', self.origin, ORIGINS)
    checks.one_of(f'null of {row}', self.null, ('size', 'mask', ''))
    if bool(self.mask) != bool(self.mask_axes):
      raise ValueError(
        f'{row} has mask {self.mask!r} and mask_axes {self.mask_axes!r}; give'
        ' both, or neither.'
      )
    if (self.null == 'mask' and not self.mask) or (
      self.null == 'size' and not self.size
    ):
      raise ValueError(
        f'null of {row} is {self.null!r}, but its {self.null} is empty; give'
        ' both, or neither.'
      )

  @property
  def keys(self) -> tuple[str, ...]:
    """Key of the modality, and that of its mask if there is one."""
    return (self.key, self.mask) if self.mask else (self.key,)


TABLE = (
  Modality(
    'label',
    'clip',
    'int32',
    'b',
    size='num_classes',
    origin='choice',
    null='size',
  ),
  Modality(
    'text',
    'token',
    'int32',
    'bn',
    size='vocab_size',
    mask='text_mask',
    mask_axes='bn',
    null='mask',
    asked_by=('text', 'tokenizer'),
  ),
  Modality('action', 'frame', 'float32', 'bta', size='action_width'),
  Modality(
    'audio', 'frame', 'float32', 'btf', size='audio_bands', asked_by=('audio',)
  ),
  # A class for each pixel, as of synthetic/layouts and synthetic/subjects.
  Modality('layout', 'pixel', 'int32', 'bthw', size='num_segments'),
  # Optical flow (x, y) in pixels, from each frame to the one before, as in
  # nn/warp.py; 0 in the first frame. Losses use it, samplers do not.
  Modality('flow', 'pixel', 'float32', 'bthwx', asked_by=('flow',)),
  # Clips to restore, as of synthetic/degraded.
  Modality('degraded', 'pixel', 'uint8', 'bthwc'),
  # Other clips of the same subject, as of synthetic/subjects; n of them.
  Modality('reference', 'token', 'uint8', 'bnthwc'),
  Modality('reference_layout', 'token', 'int32', 'bnthw'),
  # The known pixels or codes of the clip to generate.
  Modality(
    'known_video',
    'pixel',
    'float32',
    'bthwc',
    mask='known',
    mask_axes='bthw1',
    origin='target',
  ),
  Modality(
    'known_codes',
    'pixel',
    'int32',
    'bthw',
    mask='known',
    mask_axes='bthw',
    origin='target',
  ),
)


def row(key: str) -> Modality:
  """Returns the modality with a key.

  Raises:
    ValueError: If there is none; the message lists all keys.
  """
  rows = {modality.key: modality for modality in TABLE}
  checks.known_key('condition', key, rows)
  return rows[key]


def keys(*origins: str) -> tuple[str, ...]:
  """Returns the keys of all modalities and masks, each once.

  Args:
    *origins: Some of ORIGINS; only modalities with these. All if there are
      none.
  """
  rows = (x for x in TABLE if not origins or x.origin in origins)
  return tuple(dict.fromkeys(key for x in rows for key in x.keys))


def timed() -> tuple[str, ...]:
  """Returns the keys of entries that have one value per frame."""
  return tuple(key for x in TABLE if x.kind == 'frame' for key in x.keys)


def untimed() -> tuple[str, ...]:
  """Returns the keys of entries without an axis of frames or pixels."""
  return tuple(
    key
    for x in TABLE
    if x.kind in ('clip', 'token') and 'h' not in x.axes
    for key in x.keys
  )


def check_keys(
  given: Iterable[str], accepted: Iterable[str], owner: str
) -> None:
  """Raises ValueError for keys that are not conditions, or are not accepted.

  Args:
    given: Keys of a condition.
    accepted: Keys that the model accepts.
    owner: Name of the model, for the message.
  """
  accepted = tuple(accepted)
  for key in given:
    if key in accepted:
      continue
    checks.known_key('condition', key, keys())
    raise ValueError(
      f'condition[{key!r}] is given, but this {owner} accepts'
      f' {list(accepted)}; leave it out, or build the model with it.'
    )


def without_target(condition: Iterable[str]) -> tuple[str, ...]:
  """Returns the keys that are not known parts of the clip to generate."""
  target = keys('target')
  return tuple(key for key in condition if key not in target)


def droppable(condition: Iterable[str]) -> tuple[str, ...]:
  """Returns the keys, without masks, of conditions that have a null value."""
  condition = tuple(condition)
  return tuple(x.key for x in TABLE if x.null and x.key in condition)


def sizes(schema: Schema) -> dict[str, int]:
  """Returns {name: size} of all modalities that have one, 0 if clips lack it.

  Args:
    schema: Schema of the source of the clips.
  """
  extra = dict(schema.sizes)
  known = {x.size for x in TABLE if x.size}
  for name in extra:
    checks.known_key('Schema.sizes', name, known)
  return {
    x.size: getattr(schema, x.size, 0) or extra.get(x.size, 0)
    for x in TABLE
    if x.size
  }

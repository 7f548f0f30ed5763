"""Clips that a tokenizer has encoded, stored on disk in shards.

`vgen data encode` writes them. A folder belongs to one tokenizer and one
dataset, and its name is a digest of both. For each split it has a folder with

  manifest.json   the contents of the shards and their origin (`Manifest`)
  00000.npy, ...  structured arrays with a row per clip: its codes or latents,
                  and the other entries of the clip, such as its label

The stored clips are those of `source[i]`, without the random windows, crops and
flips of `source.random_view`. If a training needs these, let the model encode
clips in each step.
"""

import dataclasses
import functools
import json
import pathlib
from typing import Any, Self

import numpy as np

from vgen_jax.config import build
from vgen_jax.config import settings
from vgen_jax.core import digests
from vgen_jax.core import faults as faults_lib
from vgen_jax.core import file_paths
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Contents
from vgen_jax.core.types import PathText
from vgen_jax.core.types import Schema
from vgen_jax.data import pipeline

MANIFEST = 'manifest.json'
KINDS = ('codes', 'latents')  # Keys of a Batch.


@dataclasses.dataclass(frozen=True)
class Manifest:
  """Contents and origin of the shards of a split.

  Attributes:
    kind: 'codes' or 'latents'.
    shape: Shape of the codes (t, h, w) or latents (t, h, w, d) of a clip.
    dtype: Name of the dtype in which they are stored, such as 'uint16'.
    num_clips: Number of clips in all shards.
    shard_clips: Number of clips per shard; the last shard may have fewer.
    tokenizer: Digest of the parameters and statistics of the tokenizer.
    autoencoder: Spec of the tokenizer.
    workdir: Directory of the run that trained the tokenizer, for information.
    step: Step of its checkpoint, for information.
    data: Spec of the source, without the split.
    split: Split of the source.
    clip_shape: (t, h, w, c) of the clips that were encoded.
    schema: Schema of the source, as a dict.
  """

  kind: str
  shape: tuple[int, ...]
  dtype: str
  num_clips: int
  shard_clips: int
  tokenizer: str
  autoencoder: dict[str, Any]
  workdir: str
  step: int
  data: dict[str, Any]
  split: str
  clip_shape: ClipShape
  schema: dict[str, Any]

  @classmethod
  def read(cls, folder: pathlib.Path) -> Self:
    """Returns the manifest in the folder of a split.

    Raises:
      ValueError: If the file is not a manifest.
    """
    file = folder / MANIFEST
    try:
      return cls(**settings.plain(json.loads(file.read_text())))
    except (TypeError, ValueError) as error:
      raise ValueError(
        f'{file} is not a manifest of encoded clips ({error}). Remove {folder},'
        ' and create it again with vgen data encode.'
      ) from error

  def to_json(self) -> str:
    """Returns the content of the file."""
    return json.dumps(dataclasses.asdict(self), indent=2) + '\n'

  @property
  def key(self) -> str:
    """12 hexadecimal digits that identify tokenizer, data and precision."""
    origin = [self.tokenizer, self.autoencoder, self.data, self.clip_shape]
    text = json.dumps([*origin, self.kind, self.dtype], sort_keys=True)
    return digests.text(text, 12)

  @property
  def num_shards(self) -> int:
    """Number of shards."""
    return -(-self.num_clips // self.shard_clips)

  def clips(self, shard: int) -> range:
    """Returns the indices of the clips in a shard."""
    first = shard * self.shard_clips
    return range(first, min(first + self.shard_clips, self.num_clips))


class Encoded:
  """Source of clips that have `codes` or `latents` instead of `video`.

  `codes` are int32 `[t, h, w]`, `latents` float16 or float32 `[t, h, w, d]`,
  standardized with the statistics of the tokenizer. Other entries (`label`,
  `text`, `action`, ...) are those of the source that was encoded.

  Attributes:
    manifest: Contents and origin of the shards.
    schema: Schema of the source; its clip_shape is in pixels.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    folder: PathText,
    split: str = 'train',
    faults: str = 'raise',
  ):
    """Checks that all shards exist, without reading them.

    Args:
      clip_shape: (t, h, w, c) of the clips, in pixels.
      folder: Folder that `vgen data encode` prints, on a local or mounted disk,
        since shards are mapped into memory.
      split: Split of the data; each is encoded separately.
      faults: Policy for unreadable clips of `original`.

    Raises:
      ValueError: If the split does not exist or is incomplete, or its clips
        have another shape.
    """
    root = file_paths.local(folder)
    if not (root / split / MANIFEST).exists():
      found = sorted(path.parent.name for path in root.glob(f'*/{MANIFEST}'))
      raise ValueError(
        f'config.data.folder is {folder!r}, which has no split {split!r}.'
        f' Existing splits: {found}. Create it with vgen data encode'
        f' --split={split}.'
      )
    self._folder = root / split
    self.manifest = Manifest.read(self._folder)
    if tuple(clip_shape) != self.manifest.clip_shape:
      raise ValueError(
        f'config.clip_shape is {tuple(clip_shape)}, but the clips of'
        f' {self._folder} have shape {self.manifest.clip_shape}. Use that'
        ' shape, or encode clips of the other shape.'
      )
    names = {path.name for path in self._folder.iterdir()}
    wanted = {file_name(i) for i in range(self.manifest.num_shards)}
    if missing := wanted - names:
      raise ValueError(
        f'{self._folder} lacks {len(missing)} of {len(wanted)} shards; repeat'
        ' its vgen data encode command, which will write the others.'
      )
    self._faults = faults
    self._shards: dict[int, np.ndarray] = {}

  @property
  def schema(self) -> Schema:
    return Schema(**self.manifest.schema)

  @functools.cached_property
  def original(self) -> pipeline.Source:
    """Source of the clips that were encoded, with pixels."""
    return build.source(
      self.manifest.data,
      self.manifest.clip_shape,
      split=self.manifest.split,
      faults=self._faults,
    )

  def __len__(self) -> int:
    return self.manifest.num_clips

  def contents(self) -> Contents:
    """Returns the numbers of clips of all encoded splits, and by class."""
    manifests = sorted(self._folder.parent.glob(f'*/{MANIFEST}'))
    found = {x.parent.name: Manifest.read(x.parent) for x in manifests}
    counts = None
    if number := self.schema.num_classes:
      counts = np.zeros(number, int)
      for shard in range(self.manifest.num_shards):
        labels = self._records(shard)['label']
        counts += np.bincount(labels, minlength=number)
    return Contents(
      {split: x.num_clips for split, x in found.items()}, 'clips', counts
    )

  def __getitem__(self, index: int) -> Clip:
    if not 0 <= index < len(self):
      raise IndexError(f'Clip {index} of {len(self)} does not exist.')
    shard, row = divmod(index, self.manifest.shard_clips)
    record = self._records(shard)[row]
    clip = {key: np.array(record[key]) for key in record.dtype.names}
    if 'codes' in clip:
      clip['codes'] = clip['codes'].astype(np.int32)
    return clip

  def __getstate__(self) -> dict[str, Any]:
    # Pickling a mapped shard would copy it to every worker process.
    return {**vars(self), '_shards': {}}

  def _records(self, shard: int) -> np.ndarray:
    if shard not in self._shards:
      file = self._folder / file_name(shard)
      count = len(self.manifest.clips(shard))
      if (records := read_shard(file, count)) is None:
        raise faults_lib.ClipError(
          str(file),
          f'it is not a shard of {count} clips; repeat the vgen data encode'
          ' command that wrote it, which writes it again.',
        )
      self._shards[shard] = records
    return self._shards[shard]


def file_name(shard: int) -> str:
  """Returns the name of the file of a shard."""
  return f'{shard:05}.npy'


def read_shard(file: pathlib.Path, num_clips: int) -> np.ndarray | None:
  """Returns a shard, mapped into memory; None if it is missing or broken."""
  try:
    records = np.load(file, mmap_mode='r')
  except (OSError, ValueError, EOFError):
    return None
  return records if records.shape == (num_clips,) else None

"""Clips as a tokenizer encodes them: made once, kept in shards on disk.

`vgen data encode` writes them. A folder is of one tokenizer and one dataset,
and bears a hash of both as its name; for each split it has a folder with

  manifest.json   what the shards hold, and of whom (`Manifest`)
  00000.npy, ...  rows of a structured array, one for each clip: its codes or
                  latents, and all else that its source tells but the pixels

What is kept is fixed: a run over it sees each clip as `source[i]` is, and no
random view of it (window, crop, flip) as `source.draw` gives. Where those are
needed, let the model encode clips as they come.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any, Self

import numpy as np

from vgen_jax.config import build
from vgen_jax.config import settings
from vgen_jax.core import faults as faults_lib
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.data import pipeline

MANIFEST = 'manifest.json'
KINDS = ('codes', 'latents')  # Keys of a Batch.


@dataclasses.dataclass(frozen=True)
class Manifest:
  """What the shards of a split hold, and of whom.

  Attributes:
    kind: 'codes' or 'latents'.
    shape: Of those of one clip, (t, h, w) or (t, h, w, d).
    dtype: That they are kept in, as 'uint16'.
    num_clips: In all shards.
    shard_clips: In each shard but the last, which may have fewer.
    tokenizer: Hash of its parameters and statistics (training/frozen.py).
    autoencoder: Its spec.
    workdir: Of the run that trained it, for the record.
    step: Of that run's checkpoint, likewise.
    data: Spec of the source, less the split.
    split: Of the source.
    clip_shape: (t, h, w, c) of the clips that were encoded.
    schema: Of the source.
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
  def read(cls, place: pathlib.Path) -> Self:
    """Returns the manifest in the folder of a split.

    Raises:
      ValueError: If it is none.
    """
    file = place / MANIFEST
    try:
      return cls(**settings.plain(json.loads(file.read_text())))
    except (TypeError, ValueError) as error:
      raise ValueError(
        f'{file} is no manifest of encoded clips ({error}); remove {place}, and'
        ' make it anew with vgen data encode.'
      ) from error

  def to_json(self) -> str:
    """Returns the text of the file."""
    return json.dumps(dataclasses.asdict(self), indent=2) + '\n'

  @property
  def key(self) -> str:
    """12 hex digits that tell tokenizer, data and precision from others."""
    told = [self.tokenizer, self.autoencoder, self.data, self.clip_shape]
    text = json.dumps([*told, self.kind, self.dtype], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]

  @property
  def num_shards(self) -> int:
    return -(-self.num_clips // self.shard_clips)

  def clips(self, shard: int) -> range:
    """Returns the numbers of the clips in a shard."""
    first = shard * self.shard_clips
    return range(first, min(first + self.shard_clips, self.num_clips))


class Encoded:
  """Clips by number, as `codes` or `latents` in place of `video`.

  `codes` are int32 `[t, h, w]`, `latents` float16 or float32 `[t, h, w, d]`,
  standardized as the tokenizer has watched them. The rest is as in the source
  that was encoded: `label`, `text`, `action`, ...

  Attributes:
    manifest: What is there, and of whom.
    schema: That of the source; its clip_shape is that of the pixels.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    folder: str,
    split: str = 'train',
    faults: str = 'raise',
  ):
    """Looks whether all shards are there; reads none.

    Args:
      clip_shape: (t, h, w, c) of the clips, in pixels.
      folder: That `vgen data encode` names at its end; on a local or mounted
        disk, since shards are mapped into memory.
      split: Of the data; each is encoded on its own.
      faults: Of `original`.

    Raises:
      ValueError: If the split is not there, or not whole, or is of clips of
        another shape.
    """
    place = pathlib.Path(folder).expanduser() / split
    if not (place / MANIFEST).exists():
      found = pathlib.Path(folder).expanduser().glob(f'*/{MANIFEST}')
      raise ValueError(
        f'config.data.folder is {folder!r}, where no clips of the split'
        f' {split!r} are; splits there: {sorted(p.parent.name for p in found)}.'
        f' Make it with vgen data encode --split={split}.'
      )
    self.manifest = Manifest.read(place)
    if tuple(clip_shape) != self.manifest.clip_shape:
      raise ValueError(
        f'config.clip_shape is {tuple(clip_shape)}, but {place} is of clips of'
        f' {self.manifest.clip_shape}; take that, or encode the others.'
      )
    names = {path.name for path in place.iterdir()}
    wanted = {file_name(i) for i in range(self.manifest.num_shards)}
    if missing := wanted - names:
      raise ValueError(
        f'{place} lacks {len(missing)} of {len(wanted)} shards; repeat the'
        ' vgen data encode that began it, and it will go on.'
      )
    self._place = place
    self._faults = faults
    self._shards: dict[int, np.ndarray] = {}

  @property
  def schema(self) -> Schema:
    return Schema(**self.manifest.schema)

  @functools.cached_property
  def original(self) -> pipeline.Source:
    """The clips themselves, of the data that was encoded."""
    return build.source(
      self.manifest.data,
      self.manifest.clip_shape,
      split=self.manifest.split,
      faults=self._faults,
    )

  def __len__(self) -> int:
    return self.manifest.num_clips

  def __getitem__(self, index: int) -> Clip:
    if not 0 <= index < len(self):
      raise IndexError(f'Clip {index} of {len(self)}.')
    shard, row = divmod(index, self.manifest.shard_clips)
    record = self._records(shard)[row]
    clip = {key: np.array(record[key]) for key in record.dtype.names}
    if 'codes' in clip:
      clip['codes'] = clip['codes'].astype(np.int32)
    return clip

  def __getstate__(self) -> dict[str, Any]:
    # Mapped shards would be copied into every worker process.
    return {**vars(self), '_shards': {}}

  def _records(self, shard: int) -> np.ndarray:
    if shard not in self._shards:
      file = self._place / file_name(shard)
      count = len(self.manifest.clips(shard))
      if (records := read_shard(file, count)) is None:
        raise faults_lib.ClipError(
          str(file),
          f'it is no shard of {count} clips; repeat the vgen data encode that'
          ' wrote it, and it is made anew.',
        )
      self._shards[shard] = records
    return self._shards[shard]


def file_name(shard: int) -> str:
  """Returns the name of a shard's file."""
  return f'{shard:05}.npy'


def read_shard(file: pathlib.Path, num_clips: int) -> np.ndarray | None:
  """Returns a shard, mapped into memory; None if it is not there, or broken."""
  try:
    records = np.load(file, mmap_mode='r')
  except (OSError, ValueError, EOFError):
    return None
  return records if records.shape == (num_clips,) else None

"""Clips that a tokenizer has encoded, stored on disk in shards.

`vgen data encode` writes them. A folder belongs to one tokenizer and one
dataset, and its name is a digest of both. For each split it has a folder with

  manifest.json   the contents of the shards and their origin, with a
                  digest (data/encodings/manifest.py)
  00000.npy, ...  structured arrays with a row per clip: its codes or latents,
                  the other entries of the clip, such as its label, and a
                  checksum (data/encodings/rows.py)

The stored clips are those of `source[i]`, without the random windows, crops and
flips of `source.random_view`. If training needs these, let the model encode
clips in each step.
"""

import contextlib
import functools
import logging
import pathlib
from typing import Any

import numpy as np

from vgen_jax.config import build
from vgen_jax.core import checks
from vgen_jax.core import faults as faults_lib
from vgen_jax.core import file_paths
from vgen_jax.core import sources
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import PathText
from vgen_jax.core.types import Schema
from vgen_jax.data import identity as identity_lib
from vgen_jax.data import pipeline
from vgen_jax.data.encodings import manifest as manifest_lib
from vgen_jax.data.encodings import rows as rows_lib

_REPEAT = (
  'repeat the vgen data encode command that wrote it, which writes it again.'
)

_log = logging.getLogger(__name__)


class Encoded(sources.HasContents):
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
      faults: What to do about unreadable clips of `original`, 'raise' or
        'substitute'.

    Raises:
      ValueError: If the split does not exist or is incomplete, or its clips
        have another shape.
    """
    root = file_paths.local(folder)
    if not (root / split / manifest_lib.MANIFEST).exists():
      found = sorted(
        path.parent.name for path in root.glob(f'*/{manifest_lib.MANIFEST}')
      )
      raise ValueError(
        f'config.data.folder is {folder!r}, which has no split {split!r}.'
        f' Existing splits: {found}. Create it with vgen data encode'
        f' --split={split}.'
      )
    self._folder = root / split
    self.manifest = manifest_lib.Manifest.read(self._folder)
    if tuple(clip_shape) != self.manifest.clip_shape:
      raise ValueError(
        f'config.clip_shape is {tuple(clip_shape)}, but the clips of'
        f' {self._folder} have shape {self.manifest.clip_shape}. Use that'
        ' shape, or encode clips of the other shape.'
      )
    names = {path.name for path in self._folder.iterdir()}
    wanted = {
      manifest_lib.file_name(i) for i in range(self.manifest.num_shards)
    }
    if missing := wanted - names:
      raise ValueError(
        f'{self._folder} lacks {len(missing)} of {len(wanted)} shards; repeat'
        ' its vgen data encode command, which writes the missing ones.'
      )
    self._faults = faults
    self._sizes = rows_lib.sizes(self.schema, self.manifest.num_codes)
    self._shards: dict[int, np.ndarray] = {}

  @property
  def schema(self) -> Schema:
    return Schema(**self.manifest.schema)

  @property
  def splits(self) -> tuple[str, ...]:
    """Names of the splits that are encoded."""
    found = self._folder.parent.glob(f'*/{manifest_lib.MANIFEST}')
    return tuple(sorted(path.parent.name for path in found))

  def files(self) -> dict[str, pathlib.Path]:
    """Returns the files of the split, {name: path}."""
    shards = map(manifest_lib.file_name, range(self.manifest.num_shards))
    return {
      name: self._folder / name for name in (manifest_lib.MANIFEST, *shards)
    }

  @functools.cached_property
  def original(self) -> pipeline.Source:
    """Source of the clips that were encoded, with pixels.

    Raises:
      ValueError: If its files are not those that were encoded.
    """
    source = build.source(
      self.manifest.data,
      self.manifest.clip_shape,
      split=self.manifest.split,
      faults=self._faults,
    )
    now, then = identity_lib.of(source).plain(), self.manifest.identity
    if now['content'] != then['content']:
      raise ValueError(
        f'The clips of {self._folder} were encoded from {then["num_files"]}'
        f' files; config.data now has {now["num_files"]}, with other names or'
        ' sizes. Remove that folder and encode the clips again with vgen data'
        ' encode.'
      )
    if now['times'] != then['times']:
      _log.warning(
        'The files from which %s was encoded were changed or copied since. If'
        ' their content has changed, encode the clips again.',
        self._folder,
      )
    return source

  def __len__(self) -> int:
    return self.manifest.num_clips

  def contents(self) -> sources.Contents:
    """Returns the numbers of clips; damaged shards are not counted."""
    splits = {}
    for file in sorted(self._folder.parent.glob(f'*/{manifest_lib.MANIFEST}')):
      with contextlib.suppress(ValueError):
        splits[file.parent.name] = manifest_lib.Manifest.read(
          file.parent
        ).num_clips
    counts = None
    if number := self.schema.num_classes:
      counts = np.zeros(number, int)
      for shard in range(self.manifest.num_shards):
        with contextlib.suppress(faults_lib.ClipError):
          labels = self._records(shard)['label']
          is_valid = (labels >= 0) & (labels < number)
          counts += np.bincount(labels[is_valid], minlength=number)
    return sources.Contents(splits, 'clips', counts)

  def __getitem__(self, index: int) -> Clip:
    checks.clip_index(index, len(self))
    shard, row = divmod(index, self.manifest.shard_clips)
    record = self._records(shard)[row]
    file = str(self._folder / manifest_lib.file_name(shard))
    if not rows_lib.is_intact(record, index):
      raise faults_lib.ClipError(
        file,
        f'clip {index} in it is damaged: its content does not match its'
        f' checksum; {_REPEAT}',
      )
    clip = rows_lib.clip(record)
    if fault := rows_lib.fault(clip, self._sizes):
      raise faults_lib.ClipError(file, f'{fault} in clip {index}; {_REPEAT}')
    return clip

  def __getstate__(self) -> dict[str, Any]:
    # Pickling a mapped shard would copy it to every worker process.
    return {**vars(self), '_shards': {}}

  def _records(self, shard: int) -> np.ndarray:
    if shard not in self._shards:
      file = self._folder / manifest_lib.file_name(shard)
      count = len(self.manifest.clips(shard))
      if (records := rows_lib.read_shard(file, count)) is None:
        raise faults_lib.ClipError(
          str(file), f'it is not a shard of {count} clips; {_REPEAT}'
        )
      self._shards[shard] = records
    return self._shards[shard]

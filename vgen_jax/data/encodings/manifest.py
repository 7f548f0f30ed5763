"""The manifest of encoded clips: contents and origin of their shards."""

import dataclasses
import json
import pathlib
from typing import Any, Self

from vgen_jax.config import settings
from vgen_jax.config import typed
from vgen_jax.core import digests
from vgen_jax.core import json_files
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema

MANIFEST = 'manifest.json'


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
    identity: Identity of the data that was encoded, as a dict
      (data/identity.py).
    num_codes: Size of the codebook; 0 for latents.
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
  identity: dict[str, Any]
  num_codes: int

  @classmethod
  def read(cls, folder: pathlib.Path) -> Self:
    """Returns the manifest of a split; raises BadFileError if it is damaged."""
    file = folder / MANIFEST
    try:
      content = settings.plain(json_files.read(file))
      digest = content.pop('digest', '')
      found = typed.build(cls, content, str(file))
      typed.build(Schema, found.schema, f'{file}: schema')
      if digest != found.digest:
        raise ValueError(f'{file}: its content does not match its digest.')
      return found
    except ValueError as error:
      raise json_files.BadFileError(
        f'{error} Remove {folder}, and create it again with vgen data encode.'
      ) from error

  def to_json(self) -> str:
    """Returns the content of the file."""
    content = dataclasses.asdict(self) | {'digest': self.digest}
    return json.dumps(content, indent=2) + '\n'

  @property
  def digest(self) -> str:
    """Digest of all fields."""
    return digests.text(json.dumps(dataclasses.asdict(self), sort_keys=True))

  @property
  def key(self) -> str:
    """12 hexadecimal digits that identify tokenizer, data and precision.

    The digits do not depend on the identity of the files, which differs by
    split; that is compared when a split is written or its clips are shown.
    """
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


def file_name(shard: int) -> str:
  """Returns the name of the file of a shard."""
  return f'{shard:05}.npy'

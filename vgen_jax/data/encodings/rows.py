"""Rows of the shards of encoded clips, and the checks for damage.

A row is a record of NumPy with the codes or latents of a clip, its other
entries, and a checksum: the CRC-32 of the dtype of the row, of the index of the
clip and of the entries. So a damaged row, a damaged header of the file, and a
shard under the wrong name are detected.
"""

from collections.abc import Mapping
import pathlib
import zlib

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import Schema

CHECKSUM = ('checksum', np.uint32)  # The last entry of a row.


def checksum(row: np.void, index: int) -> int:
  """Returns the checksum that belongs to a row.

  Args:
    row: Row; its own checksum is ignored.
    index: Index of its clip.
  """
  origin = f'{row.dtype.descr} {index}'.encode()
  return zlib.crc32(row.tobytes()[: -np.uint32().nbytes], zlib.crc32(origin))


def add_checksums(records: np.ndarray, first: int) -> None:
  """Sets the checksums of rows, in place.

  Args:
    records: Rows of consecutive clips.
    first: Index of the first clip.
  """
  for i, row in enumerate(records):
    records['checksum'][i] = checksum(row, first + i)


def is_intact(row: np.void, index: int) -> bool:
  """Returns whether a row is that of clip `index` and is not damaged."""
  names = row.dtype.names or ()
  if not names or names[-1] != CHECKSUM[0]:
    return False
  return checksum(row, index) == row[CHECKSUM[0]]


def read_shard(file: pathlib.Path, num_clips: int) -> np.ndarray | None:
  """Returns a shard, mapped into memory; None if it is missing or broken."""
  if not file.exists():
    return None
  try:
    records = np.load(file, mmap_mode='r', allow_pickle=False)
  except OSError:
    raise  # The disk is at fault, not the content of the file.
  except Exception:  # A damaged header raises any type.
    return None
  return records if records.shape == (num_clips,) else None


def fault(entries: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> str:
  """Returns the faults in the values of clips, in words; '' if none.

  Args:
    entries: Entries of a clip, or of a batch of clips.
    sizes: {key: number} of entries that must be from 0 to number - 1.
  """
  for key, value in entries.items():
    value, number = np.asarray(value), sizes.get(key)
    if number and value.size and not 0 <= value.min() <= value.max() < number:
      return (
        f'its {key} has values from {value.min()} to {value.max()}; they must'
        f' be from 0 to {number - 1}'
      )
    if value.dtype.kind == 'f' and not np.isfinite(value).all():
      return f'its {key} has infinite values or NaN'
  return ''


def sizes(schema: Schema, num_codes: int) -> dict[str, int]:
  """Returns {key: number of values} of the entries that are indices.

  Args:
    schema: Schema of the clips.
    num_codes: Size of the codebook; 0 if there is none.
  """
  return {
    'codes': num_codes,
    'label': schema.num_classes,
    'text': schema.vocab_size,
  }


def clip(row: np.void) -> Clip:
  """Returns the clip of a row; codes are int32."""
  names = [name for name in row.dtype.names if name != CHECKSUM[0]]
  entries = {key: np.array(row[key]) for key in names}
  if 'codes' in entries:
    entries['codes'] = entries['codes'].astype(np.int32)
  return entries

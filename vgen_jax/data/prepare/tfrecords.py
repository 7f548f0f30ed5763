"""TFRecords without TensorFlow: how to read them, and be rid of them.

TFDS writes TFRecord unless it is told otherwise, which knows no random access.
The examples of such a dataset are copied, byte by byte and in their order, into
a dataset that has it.
"""

from collections.abc import Iterator, Sequence
import json
import pathlib
import shutil
import struct
from typing import Any

from vgen_jax.core import faults

_INFO = 'dataset_info.json'
_HEADER = 12  # Bytes: the length, and its checksum.


def records(path: str) -> Iterator[bytes]:
  """Yields the records of a file.

  The checksums of lengths are checked, so that a damaged file cannot be taken
  for a sound one of other records; those of contents are not, as computing
  them in Python would take longer than all else.

  Raises:
    ClipError: If the file is cut short, or is no TFRecord.
  """
  with open(path, 'rb') as file:
    while header := file.read(_HEADER):
      if len(header) < _HEADER:
        raise faults.ClipError(str(path), 'it is cut short; copy it anew.')
      length, checksum = struct.unpack('<QI', header)
      if _masked(_crc32c(header[:8])) != checksum:
        raise faults.ClipError(
          str(path), 'it is no TFRecord, or damaged; copy it anew.'
        )
      data = file.read(length + 4)
      if len(data) < length + 4:
        raise faults.ClipError(str(path), 'it is cut short; copy it anew.')
      yield data[:length]


def examples(path: str) -> Iterator[dict[str, Sequence[Any]]]:
  """Yields the values of each tf.train.Example in a file, by feature.

  Raises:
    ClipError: If the file is damaged, or holds other records.
  """
  from tensorflow_datasets.proto import tf_example_pb2

  for record in records(path):
    try:
      features = tf_example_pb2.Example.FromString(record).features.feature
    except Exception as error:  # Of a kind that differs by protobuf's version.
      raise faults.ClipError(
        str(path), f'it holds something else than tf.train.Example ({error}).'
      ) from error
    yield {
      name: getattr(feature, feature.WhichOneof('kind')).value
      for name, feature in features.items()
      if feature.WhichOneof('kind')
    }


def convert(source: str, out: str) -> dict[str, int]:
  """Copies a TFDS dataset in TFRecord into one in ArrayRecord.

  Args:
    source: Folder with `dataset_info.json` and the records.
    out: Folder to make; with the names of dataset, config and version as its
      last parts, as `source` has them, TFDS finds it by name.

  Returns:
    The number of examples of each split.

  Raises:
    FileExistsError: If `out` is there already.
    ValueError: If `source` is none, or holds other numbers of examples than it
      promises.
  """
  source, out = pathlib.Path(source), pathlib.Path(out)
  info = _info(source)
  if out.exists():
    raise FileExistsError(f'{out} exists already; remove it or take another.')
  made = out.with_name(out.name + '.incomplete')
  shutil.rmtree(made, ignore_errors=True)
  made.mkdir(parents=True)
  counts = {}
  for path in sorted(source.iterdir()):
    if '.tfrecord' in path.name:
      name = path.name.replace('.tfrecord', '.array_record')
      counts[path.name] = _copy(path, made / name)
    elif path.name != _INFO and path.is_file():
      shutil.copy(path, made)
  told = {}
  for split in info.get('splits', []):
    told[split['name']] = _checked(split, counts, source)
    template = split.get('filepathTemplate', '')
    if template:
      split['filepathTemplate'] = template.replace('tfrecord', 'array_record')
  info['fileFormat'] = 'array_record'
  (made / _INFO).write_text(json.dumps(info, indent=2))
  made.rename(out)
  return told


def _info(source: pathlib.Path) -> dict[str, Any]:
  if not (source / _INFO).is_file():
    raise ValueError(
      f'{source} has no {_INFO}; give the folder of one version of a dataset,'
      ' such as .../ucf101/ucf101_1/2.0.0.'
    )
  info = json.loads((source / _INFO).read_text())
  if info.get('fileFormat', 'tfrecord') != 'tfrecord':
    raise ValueError(
      f'{source} is in {info["fileFormat"]}; only tfrecord is converted.'
    )
  return info


def _copy(source: pathlib.Path, target: pathlib.Path) -> int:
  """Copies one file; returns how many examples it holds."""
  from array_record.python import array_record_module

  # One record a group: any of them is read by itself.
  writer = array_record_module.ArrayRecordWriter(str(target), 'group_size:1')
  number = 0
  for record in records(str(source)):
    writer.write(record)
    number += 1
  writer.close()
  return number


def _checked(
  split: dict[str, Any], counts: dict[str, int], source: pathlib.Path
) -> int:
  """Returns the examples of a split, if its files hold as many as promised."""
  promised = [int(number) for number in split.get('shardLengths', [])]
  names = sorted(n for n in counts if f'-{split["name"]}.tfrecord-' in n)
  found = [counts[name] for name in names]
  if promised != found:
    raise ValueError(
      f'{source}: the files of {split["name"]!r} hold {found} examples, and'
      f' {_INFO} promises {promised}; copy them anew.'
    )
  return sum(found)


def _masked(crc: int) -> int:
  """Returns a checksum as TFRecord keeps it."""
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c(data: bytes) -> int:
  """Returns the CRC-32 with Castagnoli's polynomial, of few bytes."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc ^= byte
    for _ in range(8):
      crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
  return crc ^ 0xFFFFFFFF

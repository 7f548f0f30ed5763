"""Reading of TFRecord files and conversion to ArrayRecord, without TensorFlow.

The default format of TFDS is TFRecord, which has no random access. `convert`
copies the examples of such a dataset, unchanged and in order, to a dataset in
ArrayRecord, which has random access.
"""

from collections.abc import Iterator, Sequence
import json
import pathlib
import shutil
import struct
from typing import Any

from vgen_jax.core import digests
from vgen_jax.core import faults
from vgen_jax.core import file_paths
from vgen_jax.core import json_files
from vgen_jax.core.processes import locks
from vgen_jax.data.tfds import prepared_files

_INFO = 'dataset_info.json'
_HEADER = 12  # Bytes: the length, and its checksum.


def records(path: str) -> Iterator[bytes]:
  """Yields the records of a file.

  The checksums of lengths are checked, so that a damaged file does not yield
  wrong records. Those of contents are not checked, since this would take most
  of the time in Python.

  Raises:
    ClipError: If the file is truncated, or not a TFRecord file.
  """
  with open(path, 'rb') as file:
    while header := file.read(_HEADER):
      if len(header) < _HEADER:
        raise faults.ClipError(str(path), 'it is truncated; copy it again.')
      length, checksum = struct.unpack('<QI', header)
      if _masked(_crc32c(header[:8])) != checksum:
        raise faults.ClipError(
          str(path), 'it is not a TFRecord file, or damaged; copy it again.'
        )
      data = file.read(length + 4)
      if len(data) < length + 4:
        raise faults.ClipError(str(path), 'it is truncated; copy it again.')
      yield data[:length]


def examples(path: str) -> Iterator[dict[str, Sequence[Any]]]:
  """Yields {feature: values} of each tf.train.Example in a file.

  Raises:
    ClipError: If the file is damaged, or contains other records.
  """
  from tensorflow_datasets.proto import tf_example_pb2

  for record in records(path):
    try:
      features = tf_example_pb2.Example.FromString(record).features.feature
    except Exception as error:  # The type depends on the version of protobuf.
      raise faults.ClipError(
        str(path),
        f'it contains records other than tf.train.Example ({error}); copy it'
        ' again or remove it.',
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
    out: Folder to create. If it ends in the names of dataset, config and
      version, as `source` does, TFDS finds the dataset by name.

  Returns:
    The number of examples of each split.

  Raises:
    FileExistsError: If `out` exists already, and is not a complete copy of
      this source.
    ValueError: If `source` is not a dataset in TFRecord, or its numbers of
      examples differ from those in `dataset_info.json`.
  """
  source, out = file_paths.local(source), file_paths.local(out)
  info = _info(source)
  files = [x for x in sorted(source.iterdir()) if x.is_file()]
  asked = {
    'source': digests.text(repr([prepared_files.stat(x) for x in files])),
    'code of vgen_jax': prepared_files.code(),
  }
  if out.exists():
    prepared_files.skipped_before(out, asked)
    splits = json_files.read(out / _INFO).get('splits', [])
    return {x['name']: sum(map(int, x['shardLengths'])) for x in splits}
  with locks.held(out.parent, f'.{out.name}.lock'):
    return _convert(source, out, info, asked)


def _convert(
  source: pathlib.Path,
  out: pathlib.Path,
  info: dict[str, Any],
  asked: dict[str, Any],
) -> dict[str, int]:
  """Copies the records of `source`, whose dataset_info.json is `info`."""
  incomplete = out.with_name(out.name + '.incomplete')
  shutil.rmtree(incomplete, ignore_errors=True)
  incomplete.mkdir(parents=True)
  counts = {}
  for path in sorted(source.iterdir()):
    if '.tfrecord' in path.name:
      name = path.name.replace('.tfrecord', '.array_record')
      counts[path.name] = _copy(path, incomplete / name)
    elif path.name not in (_INFO, prepared_files.FILE) and path.is_file():
      shutil.copy(path, incomplete)
  num_examples = {}
  for split in info.get('splits', []):
    num_examples[split['name']] = _checked(split, counts, source)
    template = split.get('filepathTemplate', '')
    if template:
      split['filepathTemplate'] = template.replace('tfrecord', 'array_record')
  info['fileFormat'] = 'array_record'
  (incomplete / _INFO).write_text(json.dumps(info, indent=2))
  prepared_files.write(incomplete, asked, skipped=0)
  incomplete.rename(out)
  return num_examples


def _info(source: pathlib.Path) -> dict[str, Any]:
  if not (source / _INFO).is_file():
    raise ValueError(
      f'{source} has no {_INFO}; give the folder of one version of a dataset,'
      ' such as .../ucf101/ucf101_1/2.0.0.'
    )
  info = json_files.read(source / _INFO)
  if info.get('fileFormat', 'tfrecord') != 'tfrecord':
    raise ValueError(
      f'{source / _INFO}: fileFormat is {info["fileFormat"]!r:.80}; only'
      " 'tfrecord' can be converted."
    )
  name = f'{source / _INFO}'
  splits = json_files.of_kind(info.get('splits', []), list, f'{name}: splits')
  for split in splits:
    json_files.of_kind(split, dict, f'{name}: a split')
    json_files.entry(split, 'name', str, name)
    # Protobuf writes 64-bit integers as text.
    lengths = split.get('shardLengths', [])
    for length in json_files.of_kind(lengths, list, f'{name}: shardLengths'):
      if not str(length).isdecimal():
        raise json_files.BadFileError(
          f'{name}: shardLengths has {length!r:.80}; it must have integers.'
        )
    template = split.get('filepathTemplate', '')
    json_files.of_kind(template, str, f'{name}: filepathTemplate')
  return info


def _copy(source: pathlib.Path, target: pathlib.Path) -> int:
  """Copies one file, and returns its number of examples."""
  from array_record.python import array_record_module

  # With one record per group, each record can be read on its own.
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
  """Returns the number of examples of a split, after a check of its files."""
  expected = [int(number) for number in split.get('shardLengths', [])]
  names = sorted(n for n in counts if f'-{split["name"]}.tfrecord-' in n)
  found = [counts[name] for name in names]
  if expected != found:
    raise ValueError(
      f'{source}: the files of {split["name"]!r} contain {found} examples, but'
      f' {_INFO} states {expected}; copy them again.'
    )
  return sum(found)


def _masked(crc: int) -> int:
  """Returns a checksum as TFRecord stores it."""
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c(data: bytes) -> int:
  """Returns the CRC-32C of a few bytes."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc ^= byte
    for _ in range(8):
      crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
  return crc ^ 0xFFFFFFFF

"""Files in which TFDS keeps and sorts records that do not fit in memory.

TFDS keeps up to 1 GB of records in memory. It writes further records with
TensorFlow to 1,000 files, which all stay open. The files of this module need no
TensorFlow and are open only while they are used.
"""

from collections.abc import Iterator
import struct

from etils import epath

# Records of a split that are kept in memory, in bytes, before files are used.
MAX_BYTES = 64 * 2**20

_HEADER = struct.Struct('=QQQ')  # Two halves of the key, and the size.
_HALF = 2**64


class Bucket:
  """A file of records, which are appended in any order and then read once.

  It replaces `tensorflow_datasets.core.shuffle._Bucket`.
  """

  def __init__(self, path: epath.PathLike):
    self._path = epath.Path(path)
    self._num_records = 0

  def __len__(self) -> int:
    return self._num_records

  def add(self, key: int, data: bytes) -> None:
    """Appends a record, with a key of 128 bits."""
    if not self._num_records:
      self._path.parent.mkdir(parents=True, exist_ok=True)
    with self._path.open('ab') as file:  # Thousands cannot be open together.
      file.write(_HEADER.pack(*divmod(key, _HALF), len(data)))
      file.write(data)
    self._num_records += 1

  def read_values(self) -> Iterator[tuple[int, bytes]]:
    """Yields (key, record) in the order in which they were added."""
    if not self._num_records:
      return
    with self._path.open('rb') as file:
      for _ in range(self._num_records):
        high, low, size = _HEADER.unpack(file.read(_HEADER.size))
        yield high * _HALF + low, file.read(size)

  def del_file(self) -> None:
    """Removes the file."""
    self._path.unlink(missing_ok=True)

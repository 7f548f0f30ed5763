"""Tests of pretrained/torch_files.py and torch_pickle.py.

The files in `references/` were written by PyTorch; see make_references.py.
"""

import hashlib
import io
import os
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest

from tests import time_limit
from tests.pretrained import seeded
from vgen_jax.pretrained import identity
from vgen_jax.pretrained import torch_files

VALUES = np.arange(24, dtype=np.float32) / np.float32(7)
CONTENT = {
  'plain': VALUES.reshape(4, 6),
  'turned': VALUES.reshape(4, 6).T,
  'inside': VALUES.reshape(2, 3, 4)[1, :, 1::2],
  'scalar': VALUES[5],
  'none': VALUES[:0],
  'parameter': VALUES[:3],
  'inner.list.0': VALUES[:2],
  'inner.list.1': VALUES[2:4],
  'bfloat16': VALUES.astype(ml_dtypes.bfloat16),
  'bool': VALUES != 0,
  'int8': VALUES.astype(np.int8) - np.int8(2),
  'uint8': VALUES.astype(np.uint8),
  **{
    kind: VALUES.astype(kind)
    for kind in ('float16', 'float64', 'int16', 'int32', 'int64')
  },
}


@pytest.mark.parametrize('name', ['zip.pt', 'legacy.pth'])
def test_saved_tensors_are_read_exactly(name):
  found = torch_files.read(seeded.REFERENCES / name)
  assert found.arrays.keys() == CONTENT.keys()
  for key, wanted in CONTENT.items():
    array = found.arrays[key]
    assert (array.dtype, array.shape) == (wanted.dtype, wanted.shape)
    assert array.tobytes() == wanted.tobytes(), key
    assert not array.flags.writeable or not array.size
  assert found.batch_norm_eps is None
  content = (seeded.REFERENCES / name).read_bytes()
  assert found.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize('name', ['scripted.pt', 'traced.pt'])
def test_torchscript_is_read_with_the_eps_of_its_code(name):
  found = torch_files.read(seeded.REFERENCES / name)
  shapes = {k: v.shape for k, v in found.arrays.items() if v.ndim}
  assert len(shapes) == 7
  for key, wanted in seeded.arrays(shapes).items():
    assert found.arrays[key].tobytes() == wanted.tobytes(), key
  assert found.batch_norm_eps == {1e-3}


class Called:
  """An object whose pickle calls a function when it is read."""

  def __init__(self, function, *args):
    self.call = (function, args)

  def __reduce__(self):
    return self.call


def archive(path, data: bytes, **storages: bytes):
  """Writes a zip archive that contains a pickle."""
  with zipfile.ZipFile(path, 'w') as file:
    file.writestr('a/data.pkl', data)
    for key, content in storages.items():
      file.writestr(f'a/data/{key}', content)
  return path


def legacy(path, data: bytes):
  head = (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True})
  path.write_bytes(b''.join(map(pickle.dumps, head)) + data)
  return path


@pytest.mark.parametrize('write', [archive, legacy])
@pytest.mark.parametrize(
  'function', [os.system, eval, getattr, io.open, np.load, pickle.loads]
)
def test_functions_are_not_called(tmp_path, write, function):
  harm = pickle.dumps({'a': Called(function, f'touch {tmp_path}/harm')})
  with pytest.raises(ValueError, match=r'refers to .*, which is refused'):
    torch_files.read(write(tmp_path / 'file', harm))
  assert not (tmp_path / 'harm').exists()
  if function is os.system:  # An ordinary unpickler calls it.
    pickle.loads(harm)
    assert (tmp_path / 'harm').exists()


def tensor(size: tuple, stride: tuple, offset: int = 0, count: int = 6):
  """Returns the pickle of a tensor with a storage of `count` numbers."""
  integers = lambda v: b'(' + b''.join(b'I%d\n' % n for n in v) + b't'
  storage = b'(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpu'
  storage += b'I%d\ntQ' % count
  args = storage + b'I%d\n' % offset + integers(size) + integers(stride)
  rebuild = b'ctorch._utils\n_rebuild_tensor_v2\n'
  return b'}X\1\0\0\0x' + rebuild + b'(' + args + b'I00\nNtRs.'


def test_a_tensor_must_lie_within_its_storage(tmp_path):
  numbers = np.arange(6, dtype=np.float32)
  read = lambda **kwargs: torch_files.read(
    archive(tmp_path / 'file', tensor(**kwargs), **{'0': numbers.tobytes()})
  ).arrays['x']
  np.testing.assert_array_equal(
    read(size=(2, 2), stride=(3, 1), offset=1), [[1, 2], [4, 5]]
  )
  for outside in (
    dict(size=(7,), stride=(1,)),
    dict(size=(2, 2), stride=(3, 1), offset=2),
    dict(size=(2,), stride=(-1,), offset=1),
    dict(size=(1,), stride=(1,), offset=-1),
    dict(size=(), stride=(), offset=6),
    dict(size=(2, 3), stride=(10**15, 1)),
    dict(size=(-1,), stride=(1,)),
  ):
    with pytest.raises(ValueError, match='outside'):
      read(**outside)
  with pytest.raises(ValueError, match='shorter'):
    read(size=(2,), stride=(1,), count=7)


def test_a_pickle_cannot_change_the_values_it_gets(tmp_path):
  for name in (b'ctorch\nFloatStorage\n', b'ctorch._utils\n_rebuild_tensor\n'):
    with pytest.raises(
      ValueError, match='would change a function, dtype or storage'
    ):
      torch_files.read(archive(tmp_path / 'file', b'\x80\2' + name + b'}b.'))


@pytest.mark.parametrize('name', ['zip.pt', 'legacy.pth', 'scripted.pt'])
def test_a_broken_file_is_an_error(tmp_path, name):
  content = (seeded.REFERENCES / name).read_bytes()
  for part in (content[: len(content) // 2], b'', b'PK\3\4', b'no such thing'):
    path = tmp_path / name
    path.write_bytes(part)
    with pytest.raises(ValueError, match=f'{name} is not a file of tensors'):
      torch_files.read(path)


def test_a_file_with_another_identity_is_not_parsed(tmp_path, monkeypatch):
  path = seeded.REFERENCES / 'zip.pt'
  content = path.read_bytes()
  size, sha256 = len(content), hashlib.sha256(content).hexdigest()
  blob = hashlib.sha1(b'blob %d\0' % size + content).hexdigest()
  right = (
    identity.Identity(size, sha256),
    identity.Identity(None, sha256[:8]),
    identity.Identity(git_sha1=blob),
  )
  for one in right:
    assert torch_files.read(path, [identity.Identity(1, '0' * 64), one]).arrays

  def parse(*_):
    raise AssertionError('It was parsed.')

  monkeypatch.setattr(torch_files, '_read_zip', parse)
  for wrong in (
    identity.Identity(size + 1, sha256),
    identity.Identity(size, '0' * 64),
    identity.Identity(size, sha256, '0' * 40),
    identity.Identity(git_sha1='0' * 40),
  ):
    with pytest.raises(identity.WrongFileError, match=sha256) as error:
      torch_files.read(path, [wrong])
    assert error.value.found.git_sha1 == blob
  for vague in (identity.Identity(size), identity.Identity(size, sha256[:7])):
    with pytest.raises(ValueError, match='does not identify a file'):
      torch_files.read(path, [vague])


def test_a_tensor_cannot_be_used_as_a_storage(tmp_path):
  """A tensor of an expanded number would read beyond its memory."""
  expanded = tensor(size=(4096,), stride=(0,), count=1)
  inner = expanded.removeprefix(b'}X\1\0\0\0x').removesuffix(b's.')
  storage = inner[inner.index(b'(X\7') : inner.index(b'Q') + 1]
  harm = tensor(size=(4096,), stride=(1,), count=1).replace(storage, inner)
  one = np.float32(7).tobytes()
  assert torch_files.read(archive(tmp_path / 'file', expanded, **{'0': one}))
  after = pickle.dumps(['0'], 2) + (1).to_bytes(8, 'little') + one
  for path in (
    archive(tmp_path / 'zip', harm, **{'0': one}),
    legacy(tmp_path / 'legacy', harm.replace(b'tQ', b'NtQ') + after),
  ):
    with pytest.raises(ValueError, match='not a file of tensors'):
      torch_files.read(path)


def patched(path, **bytes_at):
  """Changes bytes in both headers of the only entry of a zip archive."""
  content = bytearray(path.read_bytes())
  central = content.index(b'PK\1\2')
  for offset, byte in bytes_at.items():
    content[int(offset[1:])] = content[central + int(offset[1:]) + 2] = byte
  path.write_bytes(content)
  return path


def test_an_archive_that_cannot_be_unpacked_is_an_error(tmp_path):
  path = tmp_path / 'file'
  for broken in (
    lambda: patched(archive(path, b'}.'), _6=1),  # Encrypted.
    lambda: patched(archive(path, b'}.'), _8=99),  # Unknown compression.
    lambda: archive(path, b'\x80\4\x8e' + b'\xff' * 7 + b'\x3f.'),  # Too long.
  ):
    with pytest.raises(ValueError, match='not a file of tensors'):
      torch_files.read(broken())


def test_a_small_file_cannot_unpack_to_a_huge_one(tmp_path):
  path = tmp_path / 'file'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
    file.writestr('a/data.pkl', tensor((1,), (1,)))
    file.writestr('a/data/0', bytes(4_000_000))
  with pytest.raises(ValueError, match='would unpack to 4,000,'):
    torch_files.read(path)


# Each level holds the level below twice: 2**60 values in some 300 bytes.
LEVELS = 60
SHARED_LIST = b'(lq\x00' + b''.join(
  b'0(h%ch%clq%c' % (i, i, i + 1) for i in range(LEVELS)
)
SHARED_TUPLE = b')q\x00' + b''.join(
  b'0(h%ch%ctq%c' % (i, i, i + 1) for i in range(LEVELS)
)
DICT = b'ccollections\nOrderedDict\n'
TENSOR = b'ctorch._utils\n_rebuild_tensor_v2\n'
FLOATS = b'ctorch\nFloatStorage\n'
STORAGE = b'(X\x07\x00\x00\x00storage'
SHARED = {
  'list': SHARED_LIST,
  'value of a dict': b'}X\x01\x00\x00\x00w' + SHARED_LIST + b's',
  'key of a dict': b'}' + SHARED_TUPLE + b'K\x01s',
  'keys of a dict': b'}(' + SHARED_TUPLE + b'K\x01u',
  'key of a new dict': b'(' + SHARED_TUPLE + b'K\x01d',
  'element of a set': b'\x80\x04\x8f(' + SHARED_TUPLE + b'\x90',
  'element of a frozen set': b'\x80\x04(' + SHARED_TUPLE + b'\x91',
  'key of an ordered dict': DICT + b'(((' + SHARED_TUPLE + b'K\x01tttR',
  'key of a script': b'c__torch__\nA\n(((' + SHARED_TUPLE + b'K\x01tttR',
  'type of a storage': b'(' + SHARED_LIST + FLOATS + b'K\x00NK\x01tQ',
  'key of a storage': STORAGE + FLOATS + SHARED_TUPLE + b'NK\x01tQ',
  'size of a tensor': (
    TENSOR
    + (b'(' + STORAGE + FLOATS + b'X\x01\x00\x00\x000NK\x01NtQK\x00')
    + (SHARED_TUPLE + SHARED_TUPLE + b'tR')
  ),
  'index of the memo': b'}r\xff\xff\xff\x7f',
}  # fmt: skip


@pytest.mark.parametrize('write', [archive, legacy])
@pytest.mark.parametrize('name', SHARED)
def test_shared_values_do_not_take_for_ever(tmp_path, write, name):
  path = tmp_path / 'shared.pt'
  if write is archive:
    archive(path, SHARED[name] + b'.', **{'0': bytes(4)})
  else:
    legacy(path, SHARED[name] + b'.' + pickle.dumps([]))
  with time_limit.seconds(20):
    if name in ('key of a script', 'index of the memo'):
      assert torch_files.read(path).arrays == {}
    else:
      with pytest.raises(
        ValueError, match=r'shared\.pt is not a file'
      ) as message:
        torch_files.read(path)
      assert len(str(message.value)) < 500


def test_a_pipe_is_not_opened(tmp_path):
  os.mkfifo(tmp_path / 'a.pt')
  with time_limit.seconds(20), pytest.raises(FileNotFoundError, match=r'a\.pt'):
    torch_files.read(tmp_path / 'a.pt')

"""Tests of data/encoded.py and data/prepare/encodings.py."""

import dataclasses
import os
import pathlib
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

from vgen_jax.core import faults
from vgen_jax.data import encoded
from vgen_jax.data import host_shards
from vgen_jax.data import identity
from vgen_jax.data import pipeline
from vgen_jax.data.encodings import manifest as manifest_lib
from vgen_jax.data.prepare import encodings
from vgen_jax.synthetic.digits import source as digits

CLIP_SHAPE = (2, 8, 8, 1)
DATA = {
  'name': 'synthetic.digits.source.MovingDigits',
  'num_digits': 1,
  'num_clips': 23,
}
SOURCE = digits.MovingDigits(CLIP_SHAPE, num_digits=1, num_clips=23)
# 23 clips in shards of 5 are 4 shards and a short one.
MANIFEST = manifest_lib.Manifest(
  kind='codes',
  shape=(1, 2, 2),
  dtype='uint16',
  num_clips=23,
  shard_clips=5,
  tokenizer='1234',
  autoencoder={'name': 'corners.Corners'},
  workdir='runs/corners',
  step=7,
  data=DATA,
  split='train',
  clip_shape=CLIP_SHAPE,
  schema=dataclasses.asdict(SOURCE.schema),
  identity=identity.of(SOURCE).plain(),
  num_codes=4096,
)


def corners(video_bthwc):
  """Codes above 255 that differ between clips."""
  mean_bthw = np.int32(video_bthwc.reshape(-1, 1, 2, 2, 4, 2, 4)).sum((2, 4, 6))
  return mean_bthw % 4096


def write(
  folder, *, encode=corners, manifest=MANIFEST, source=SOURCE, **kwargs
):
  kwargs = {'host': host_shards.Host(), **kwargs}
  return encodings.write(
    str(folder), manifest, source, encode, batch_size=4, **kwargs
  )


def contents(folder):
  return {p.name: p.read_bytes() for p in (folder / 'train').iterdir()}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('encoded')
  assert write(folder) == 5
  return folder


def test_each_clip_has_its_codes_and_its_other_entries(whole):
  source = encoded.Encoded(CLIP_SHAPE, str(whole))
  assert len(source) == 23
  assert source.schema == SOURCE.schema
  codes = []
  for i in range(23):
    clip, real = source[i], SOURCE[i]
    assert set(clip) == {'codes', 'label'}
    assert clip['codes'].dtype == np.int32
    assert clip['label'].dtype == real['label'].dtype
    np.testing.assert_array_equal(
      clip['codes'], corners(real['video'][None])[0]
    )
    np.testing.assert_array_equal(clip['label'], real['label'])
    np.testing.assert_array_equal(source.original[i]['video'], real['video'])
    codes.append(clip['codes'])
  assert len(np.unique(codes, axis=0)) == 23, (
    'Otherwise a wrong order would not be noticed.'
  )
  assert np.max(codes) > 255
  with pytest.raises(IndexError):
    source[23]


def test_shards_are_small(whole):
  sizes = [len(x) for x in contents(whole).values()]
  record = encodings.record_dtype(MANIFEST, SOURCE[0])
  assert record.itemsize == 4 * 2 + SOURCE[0]['label'].nbytes + 4
  assert sum(sizes) < 23 * record.itemsize + 5 * 256 + 1536


def test_batches_are_those_of_the_source(whole):
  source = encoded.Encoded(CLIP_SHAPE, str(whole))
  source[0]
  assert len(pickle.dumps(source)) < 4000, 'Shards are not pickled.'
  kwargs = {
    'batch_size': 6,
    'seed': 3,
    'reader': pipeline.Reader(num_threads=0),
  }
  with pipeline.batches(pickle.loads(pickle.dumps(source)), **kwargs) as ours:
    with pipeline.batches(SOURCE, **kwargs) as real:
      for _ in range(5):
        one, other = next(ours), next(real)
        np.testing.assert_array_equal(one['codes'], corners(other['video']))
        np.testing.assert_array_equal(one['label'], other['label'])


@pytest.mark.parametrize('count', [2, 3, 8])
def test_each_shard_is_written_by_one_host(whole, tmp_path, count):
  seen, numbers = set(), []
  for index in reversed(range(count)):  # The order is arbitrary.
    numbers.append(write(tmp_path, host=host_shards.Host(index, count)))
    now = {p.name for p in tmp_path.rglob('*.npy')}
    assert len(now - seen) == numbers[-1] == len(range(index, 5, count))
    seen = now
  assert sum(numbers) == 5
  assert contents(tmp_path) == contents(whole)


KILLED = """
import os, pathlib, signal, sys
from etils import epath
sys.path[:0] = [{tests!r}]
import encoded_test
path_class = type(epath.Path())
replace, names = path_class.replace, []
def killing(self, target):
  names.append(pathlib.Path(target).name)
  if len(names) == {after}:
    os.kill(os.getpid(), signal.SIGKILL)
  return replace(self, target)
path_class.replace = killing
encoded_test.write({folder!r})
"""


def test_a_killed_process_only_loses_its_current_shard(whole, tmp_path):
  text = KILLED.format(
    tests=str(pathlib.Path(__file__).parent), after=4, folder=str(tmp_path)
  )
  env = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
  ended = subprocess.run([sys.executable, '-c', text], env=env, check=False)
  assert ended.returncode == -signal.SIGKILL
  # The manifest, two shards, and a third that was not renamed yet.
  there = contents(tmp_path)
  names = {'manifest.json', '00000.npy', '00001.npy', '00002.npy.new'}
  names.add('.lock-0')
  assert set(there) == names
  with pytest.raises(ValueError, match='lacks 3 of 5 shards; repeat'):
    encoded.Encoded(CLIP_SHAPE, str(tmp_path))
  times = {p.name: p.stat().st_mtime_ns for p in tmp_path.rglob('*.npy')}
  num_encoded = []

  def counting(video_bthwc):
    num_encoded.append(len(video_bthwc))
    return corners(video_bthwc)

  assert write(tmp_path, encode=counting) == 3
  assert sum(num_encoded) == 16, '13 clips are missing, in batches of 4.'
  for name, then in times.items():
    assert (tmp_path / 'train' / name).stat().st_mtime_ns == then
  assert contents(tmp_path) == contents(whole)
  assert write(tmp_path, encode=counting) == 0
  assert sum(num_encoded) == 16


@pytest.mark.parametrize('size', [0, 40, -1])
def test_a_broken_shard_is_an_error_and_written_again(whole, tmp_path, size):
  write(tmp_path)
  file = tmp_path / 'train' / '00001.npy'
  file.write_bytes(file.read_bytes()[:size])
  source = encoded.Encoded(CLIP_SHAPE, str(tmp_path))
  source[4]
  with pytest.raises(
    faults.ClipError, match=r'00001\.npy: it is not a shard of 5'
  ):
    source[5]
  assert write(tmp_path) == 1
  assert contents(tmp_path) == contents(whole)


def test_a_folder_has_one_tokenizer_and_one_dataset(whole, tmp_path):
  changes = [
    {'tokenizer': '1235'},
    {'data': DATA | {'seed': 1}},
    {'autoencoder': {'name': 'corners.Edges'}},
    {'clip_shape': (2, 8, 8, 3)},
    {'dtype': 'uint8'},
  ]
  others = [dataclasses.replace(MANIFEST, **change) for change in changes]
  assert len({m.key for m in [MANIFEST, *others]}) == 6
  same = dataclasses.replace(MANIFEST, workdir='elsewhere', split='test')
  assert same.key == MANIFEST.key
  for change in [*changes, {'num_clips': 22}, {'shard_clips': 6}]:
    [name] = change
    with pytest.raises(
      ValueError, match=f'written with {name} .*remove that folder'
    ):
      write(whole, manifest=dataclasses.replace(MANIFEST, **change))
  moved = dataclasses.replace(MANIFEST, workdir='elsewhere', step=8)
  assert write(whole, manifest=moved) == 0


@pytest.mark.parametrize(
  ('clip_shape', 'split', 'message'),
  [
    (CLIP_SHAPE, 'test', r"no split 'test'. Existing splits: \['train'\]"),
    ((2, 8, 8, 3), 'train', r'\(2, 8, 8, 3\), but .* have shape \(2, 8, 8, 1'),
  ],
)
def test_a_missing_split_or_shape_is_an_error(
  whole, clip_shape, split, message
):
  with pytest.raises(ValueError, match=message):
    encoded.Encoded(clip_shape, str(whole), split)


def test_a_broken_manifest_is_an_error(tmp_path):
  (tmp_path / 'train').mkdir()
  (tmp_path / 'train' / 'manifest.json').write_text('{"kind": "codes"}')
  with pytest.raises(ValueError, match="key 'shape' is missing"):
    encoded.Encoded(CLIP_SHAPE, str(tmp_path))


def test_latents_that_overflow_are_an_error(tmp_path):
  manifest = dataclasses.replace(
    MANIFEST,
    kind='latents',
    shape=(1, 1, 1, 3),
    dtype='float16',
    num_clips=3,
    num_codes=0,
  )
  latents = lambda video: np.full((len(video), 1, 1, 1, 3), 1 / 3, np.float32)
  write(tmp_path, encode=latents, manifest=manifest)
  clip = encoded.Encoded(CLIP_SHAPE, str(tmp_path))[2]
  assert clip['latents'].dtype == np.float16
  np.testing.assert_array_equal(clip['latents'], np.float16(1 / 3))
  far = lambda video: latents(video) * 1e6
  with pytest.raises(
    ValueError, match=r'NaN when stored as float16.*use float32'
  ):
    write(tmp_path / 'far', encode=far, manifest=manifest)


def test_an_unreadable_clip_is_an_error_or_substituted(whole, tmp_path):
  class Broken(digits.MovingDigits):
    def __getitem__(self, index):
      if index == 6:
        raise faults.ClipError('6.mp4', 'gone')
      return super().__getitem__(index)

  broken = Broken(CLIP_SHAPE, num_digits=1, num_clips=23)
  with pytest.raises(faults.ClipError, match=r'6\.mp4'):
    write(tmp_path / 'raise', source=broken)
  write(tmp_path, source=broken, faults=faults.Faults('substitute'))
  ours = encoded.Encoded(CLIP_SHAPE, str(tmp_path))
  real = encoded.Encoded(CLIP_SHAPE, str(whole))
  for i in range(23):
    other = real[7 if i == 6 else i]
    np.testing.assert_array_equal(ours[i]['codes'], other['codes'])

"""Tests of damage in encoded clips, and of data that changed after encoding."""

import dataclasses
import json
import logging
import os
import pathlib
import shutil

import numpy as np
import pytest

from vgen_jax.core import faults
from vgen_jax.core import types
from vgen_jax.data import encoded
from vgen_jax.data import host_shards
from vgen_jax.data import identity
from vgen_jax.data.encodings import manifest as manifest_lib
from vgen_jax.data.encodings import rows as rows_lib
from vgen_jax.data.prepare import encodings

CLIP_SHAPE = (2, 4, 4, 3)
NUM_CLIPS, NUM_CODES, NUM_CLASSES = 11, 32, 3


class Files:
  """A source of clips, each of which is read from a file."""

  schema = types.Schema(CLIP_SHAPE, NUM_CLASSES, ('a', 'b', 'c'))

  def __init__(self, folder: pathlib.Path):
    self.folder = folder
    for i in range(NUM_CLIPS):
      (folder / f'{i}.raw').write_bytes(bytes([i]) * (100 + i))

  def __len__(self) -> int:
    return NUM_CLIPS

  def __getitem__(self, index: int) -> types.Clip:
    value = (self.folder / f'{index}.raw').read_bytes()[0]
    video = np.full(CLIP_SHAPE, value, np.uint8)
    return {'video': video, 'label': np.int32(index % NUM_CLASSES)}

  def files(self) -> dict[str, pathlib.Path]:
    return {path.name: path for path in self.folder.glob('*.raw')}


def encode(video_bthwc: np.ndarray) -> np.ndarray:
  return np.int32(video_bthwc[:, :1, :2, :2, 0]) * 2


def manifest(source, **kwargs) -> manifest_lib.Manifest:
  fields = {
    'kind': 'codes',
    'shape': (1, 2, 2),
    'dtype': 'uint8',
    'num_clips': NUM_CLIPS,
    'shard_clips': 4,
    'tokenizer': 'x',
    'autoencoder': {'name': 'double'},
    'workdir': 'w',
    'step': 1,
    'data': {'name': 'files'},
    'split': 'train',
    'clip_shape': CLIP_SHAPE,
    'schema': dataclasses.asdict(source.schema),
    'identity': identity.of(source).plain(),
    'num_codes': NUM_CODES,
  }
  return manifest_lib.Manifest(**(fields | kwargs))


def write(folder, source, encode=encode, **kwargs) -> int:
  return encodings.write(
    str(folder),
    manifest(source, **kwargs),
    source,
    encode,
    batch_size=4,
    host=host_shards.Host(),
  )


@pytest.fixture
def source(tmp_path):
  (tmp_path / 'raw').mkdir()
  return Files(tmp_path / 'raw')


def outcome(folder, expected) -> str:
  """Returns 'equal', 'silent' if clips are wrong, or the error."""
  try:
    found = encoded.Encoded(CLIP_SHAPE, str(folder))
    clips = [found[i] for i in range(len(found))]
  except ValueError as error:
    return str(error)
  is_equal = len(clips) == len(expected) and all(
    ours.keys() == clip.keys()
    and all(np.array_equal(ours[k], clip[k]) for k in clip)
    for ours, clip in zip(clips, expected, strict=True)
  )
  return 'equal' if is_equal else 'silent'


def flips(folder, copy, expected, num_flips: int, seed: int) -> list[str]:
  """Returns the outcomes of reading after the flip of a single bit."""
  rng, outcomes = np.random.default_rng(seed), []
  for _ in range(num_flips):
    shutil.copytree(folder, copy)
    file = rng.choice(sorted(copy.rglob('*.*')))
    content = bytearray(file.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    file.write_bytes(content)
    outcomes.append(outcome(copy, expected))
    shutil.rmtree(copy)
  return outcomes


@pytest.mark.parametrize('kind', ['codes', 'latents'])
def test_no_flipped_bit_is_silent(source, tmp_path, kind):
  fields = {}
  if kind == 'latents':
    fields = {'kind': kind, 'dtype': 'float16', 'num_codes': 0}
  write(tmp_path / 'set', source, **fields)
  found = encoded.Encoded(CLIP_SHAPE, str(tmp_path / 'set'))
  expected = [found[i] for i in range(NUM_CLIPS)]
  outcomes = flips(tmp_path / 'set', tmp_path / 'copy', expected, 200, seed=0)
  assert 'silent' not in outcomes
  assert sum('is damaged' in text for text in outcomes) > 20


def test_a_damaged_shard_is_written_again(source, tmp_path):
  write(tmp_path / 'set', source)
  file = tmp_path / 'set/train/00001.npy'
  content = file.read_bytes()
  for damaged in (
    content[:-30] + bytes(30),  # The end was not written.
    (tmp_path / 'set/train/00000.npy').read_bytes(),  # Another shard.
  ):
    file.write_bytes(damaged)
    found = encoded.Encoded(CLIP_SHAPE, str(tmp_path / 'set'))
    found[3]
    with pytest.raises(faults.ClipError, match=r'00001\.npy: clip 7 .*damaged'):
      found[7]
    assert write(tmp_path / 'set', source) == 1
    assert file.read_bytes() == content


@pytest.mark.parametrize(
  ('key', 'value', 'message'),
  [
    ('codes', 32, 'its codes has values from 0 to 32; they must be .* 31'),
    ('label', -2, 'its label has values from -2 to -2; they must be .* 2'),
  ],
)
def test_values_out_of_range_are_errors(source, tmp_path, key, value, message):
  """Such values are neither written nor read, even with a valid checksum."""
  write(tmp_path / 'set', source)
  file = tmp_path / 'set/train/00002.npy'
  records = np.load(file)
  entry = np.zeros(records[key].shape[1:], int)
  entry.flat[0] = value
  records[key][1] = entry
  rows_lib.add_checksums(records, 8)
  np.save(file, records)
  with pytest.raises(faults.ClipError, match=message):
    encoded.Encoded(CLIP_SHAPE, str(tmp_path / 'set'))[9]
  if key == 'codes':
    wrong = lambda video: encode(video) * 0 + 32
    with pytest.raises(ValueError, match='its codes has values from 32 to 32'):
      write(tmp_path / 'other', source, encode=wrong)


def test_a_changed_manifest_is_an_error(source, tmp_path):
  write(tmp_path / 'set', source)
  file = tmp_path / 'set/train/manifest.json'
  content = json.loads(file.read_text())
  content['schema']['class_names'] = ['a', 'c', 'b']
  file.write_text(json.dumps(content))
  with pytest.raises(ValueError, match='its content does not match its digest'):
    encoded.Encoded(CLIP_SHAPE, str(tmp_path / 'set'))


def test_changed_files_are_not_taken_for_those_encoded(
  source, tmp_path, monkeypatch, caplog
):
  monkeypatch.setattr(encoded.build, 'source', lambda *args, **kwargs: source)
  write(tmp_path / 'set', source)
  reread = lambda: encoded.Encoded(CLIP_SHAPE, str(tmp_path / 'set')).original
  assert reread() is source
  assert not [x for x in caplog.records if x.levelno >= logging.WARNING]
  file = tmp_path / 'raw/3.raw'
  os.utime(file, (1, 1))
  assert reread() is source
  assert 'were changed or copied since' in caplog.text
  with pytest.raises(ValueError, match=r"other data .*\['times'\]"):
    write(tmp_path / 'set', source)
  file.write_bytes(b'other')
  with pytest.raises(ValueError, match='with other names or sizes'):
    reread()
  with pytest.raises(ValueError, match=r"other data .*\['content', 'times'\]"):
    write(tmp_path / 'set', source)

"""Tests of pretrained/weights.py: only the right file is loaded."""

import dataclasses
import json
import pathlib
import re
import shutil

import pytest

from tests.pretrained import seeded
from vgen_jax.pretrained import identity
from vgen_jax.pretrained import protocols
from vgen_jax.pretrained import weight_files
from vgen_jax.pretrained import weights

KEY = 'i3d-torchscript'


def identity_of(name: str) -> identity.Identity:
  with open(seeded.REFERENCES / name, 'rb') as file:
    return identity.of(file)


@pytest.fixture
def entry(monkeypatch) -> weight_files.Entry:
  """Returns an entry whose file is a small one of `references/`."""
  entry = dataclasses.replace(
    weight_files.FILES[KEY],
    names=('right.pt', 'alias.pt'),
    identities=(identity_of('scripted.pt'),),
  )
  monkeypatch.setitem(weight_files.FILES, KEY, entry)
  return entry


def put(folder: pathlib.Path, name: str, file: str = 'scripted.pt'):
  folder.mkdir(exist_ok=True)
  shutil.copy(seeded.REFERENCES / file, folder / name)


def test_a_file_is_found_by_its_names_in_the_first_folder(tmp_path, entry):
  a, b = tmp_path / 'a', tmp_path / 'b'
  put(b, 'alias.pt')
  found = weights.load(KEY, [a, b])
  assert found.sha256 == entry.identities[0].sha256
  assert 'stem.bn.running_var' in found.arrays
  put(a, 'right.pt', 'zip.pt')
  with pytest.raises(identity.WrongFileError, match=str(a / 'right.pt')):
    weights.load(KEY, [a, b])


def test_folders_come_from_the_environment(tmp_path, entry, monkeypatch):
  put(tmp_path / 'b', 'right.pt')
  monkeypatch.setenv('VGEN_WEIGHTS', f'{tmp_path}/a:{tmp_path}/b')
  assert weights.load(KEY).arrays
  monkeypatch.delenv('VGEN_WEIGHTS')
  monkeypatch.setattr(pathlib.Path, 'home', lambda: tmp_path)
  with pytest.raises(weights.WeightsMissingError, match='hub/checkpoints'):
    weights.load(KEY)


@pytest.mark.parametrize(
  'build',
  [
    lambda folders: protocols.fvd('stylegan-v', folders=folders),
    lambda folders: protocols.frames('torch-fidelity', folders=folders),
    lambda folders: protocols.perceptual('alex', folders=folders),
  ],
  ids=['fvd', 'frames', 'lpips'],
)
def test_a_missing_file_is_named(tmp_path, build):
  with pytest.raises(weights.WeightsMissingError) as error:
    build([tmp_path / 'a', tmp_path / 'b'])
  entry, message = error.value.entry, str(error.value)
  (only,) = entry.identities
  for part in (
    *entry.names,
    f'{only.size:,} bytes',
    only.sha256,
    *entry.sources,
    str(tmp_path / 'a'),
    str(tmp_path / 'b'),
  ):
    assert part in message
  report = json.loads(json.dumps(error.value.report()))
  assert report['value'] is None
  assert report['status'] == 'weights-missing'
  assert report['file'] == entry.names[0]
  assert report['identities'] == [dataclasses.asdict(only)]
  assert report['sources'] == list(entry.sources)
  assert len(report['searched']) == 2 * len(entry.names)


def test_the_eps_in_the_code_must_equal_the_table(tmp_path, entry, monkeypatch):
  put(tmp_path, 'right.pt')
  assert weights.load(KEY, [tmp_path]).entry.batch_norm_eps == 1e-3
  wrong = dataclasses.replace(entry, batch_norm_eps=1e-5)
  monkeypatch.setitem(weight_files.FILES, KEY, wrong)
  with pytest.raises(ValueError, match=r'adds \[0.001\].*states 1e-05'):
    weights.load(KEY, [tmp_path])


def test_a_file_that_is_easily_confused_is_named(tmp_path, entry, monkeypatch):
  put(tmp_path, 'right.pt', 'legacy.pth')
  other = identity_of('legacy.pth').git_sha1
  monkeypatch.setitem(weight_files.REFUSED, other, 'something else')
  with pytest.raises(identity.WrongFileError, match='is something else'):
    weights.load(KEY, [tmp_path])


def test_the_table_is_consistent():
  for entry in weight_files.FILES.values():
    assert entry.sources
    for one in entry.identities:
      assert re.fullmatch('[0-9a-f]{64}|', one.sha256)
      assert re.fullmatch('[0-9a-f]{40}|', one.git_sha1)
      assert one.sha256 or one.git_sha1
      # Some file names contain the first digits.
      digits = re.search(r'-([0-9a-f]{8})\.pth', entry.names[0])
      assert digits is None or one.sha256.startswith(digits[1])
  hashes = [one for e in weight_files.FILES.values() for one in e.identities]
  assert len(set(hashes)) == len(hashes)
  assert not {one.git_sha1 for one in hashes} & set(weight_files.REFUSED)
  # As in the code that uses the weights.
  eps = {key: entry.batch_norm_eps for key, entry in weight_files.FILES.items()}
  assert eps['i3d-torchscript'] == eps['inception'] == 1e-3
  assert eps['i3d-videogpt'] == 1e-5
  with pytest.raises(ValueError, match="Did you mean 'inception'"):
    weights.load('inceptoin')

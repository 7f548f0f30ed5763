"""Tests of runtime/pod/agreement.py: the field that differs is named."""

import argparse
import json
import math

import jax
import numpy as np
import pytest

from vgen_jax.cli import cluster
from vgen_jax.runtime.pod import agreement

CONFIG = {
  'seed': 0,
  'optim': {'schedule': {'peak': 1e-3}},
  'ema': {},
  'model': {'widths': [1, 2]},
  'limit': math.nan,
}


@pytest.fixture
def others(monkeypatch):
  """Lets `check` see another process; what the tests append is its values.

  A test appends a function that takes the values of this process, and returns
  those of the other one.
  """
  changes = []

  def gathered(own):
    values = json.loads(own)
    for change in changes:
      values = change(values)
    return [own, json.dumps(values)]

  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  monkeypatch.setattr(agreement, '_gathered', gathered)
  return changes


def test_equal_values_agree():
  assert agreement.disagreement([CONFIG] * 4) == ''
  assert agreement.disagreement([CONFIG]) == ''


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'seed': 1}, 'seed is 0 in process 0, but 1 in process 2 of this job'),
    ({'seed': False}, 'seed is 0 in process 0, but False in process 2'),
    ({'seed': None}, 'seed is 0 in process 0, but None in process 2'),
    (
      {'optim': {'schedule': {'peak': 3e-2}}},
      'optim.schedule.peak is 0.001 in process 0, but 0.03 in process 2',
    ),
    (
      {'optim': {}},
      "optim.schedule is {'peak': 0.001} in process 0, but not set in",
    ),
    (
      {'model': {'widths': [1, 3]}},
      'model.widths is [1, 2] in process 0, but [1, 3] in process 2',
    ),
    ({'new': 1}, 'new is not set in process 0, but 1 in process 2'),
    ({'ema': {'slow': {}}}, 'ema.slow is not set in process 0, but {} in'),
  ],
)
def test_the_field_that_differs_is_named(change, message):
  found = agreement.disagreement([CONFIG, CONFIG, CONFIG | change])
  assert message in found
  assert 'Start all processes with the same command' in found
  assert 'Other fields' not in found


def test_further_fields_are_listed_but_not_all():
  other = {f'field_{i}': i for i in range(9)}
  found = agreement.disagreement([dict.fromkeys(other, -1), other])
  assert 'field_0 is -1 in process 0, but 0 in process 1' in found
  assert found.endswith('field_1, field_2, field_3, field_4, field_5, ....')


def test_values_are_compared(others):
  """Values that JSON lacks are compared, too; one process compares nothing."""
  values = {'seed': 3, 'shape': (1, 2), 'dtype': jax.Array, 'x': math.inf}
  agreement.check(values)
  others.append(lambda own: own | {'seed': 12})
  with pytest.raises(agreement.DisagreementError, match=r'seed is 3 .* but 12'):
    agreement.check(values)


@pytest.mark.parametrize(
  ('key', 'change'),
  [
    ('code of vgen_jax', lambda own: 'older'),
    ('version.jaxlib', lambda own: own | {'jaxlib': '0.1'}),
    ('jax_enable_x64', lambda own: not own),
  ],
)
def test_code_versions_and_options_are_compared(others, key, change):
  name = key.partition('.')[0]
  others.append(lambda own: own | {name: change(own[name])})
  with pytest.raises(agreement.DisagreementError, match=f'^{key} is'):
    agreement.check({})


def test_nothing_is_gathered_by_one_process(monkeypatch):
  monkeypatch.setattr(agreement, '_gathered', None)
  agreement.check({'seed': 3})
  agreement.check_data(None, 'data')


def test_data_are_compared(others, tmp_path):
  """Names, sizes and contents of files are compared; copies agree."""
  file = tmp_path / 'a.bin'

  class Source:
    def __len__(self):
      return 7

    def files(self):
      return {'a.bin': file}

  check = lambda: agreement.check_data(Source, 'real clips')
  seen = []
  others.append(lambda own: seen.append(own) or own)
  for content in (b'0' * 300_000, b'1' * 300_000, b'0' * 299_999):
    file.write_bytes(content)
    check()
  first, replaced, shorter = seen
  assert first['real clips.num_clips'] == 7
  for other, field in (
    (replaced, 'contents_of_files'),
    (shorter, 'names_and_sizes_of_files'),
  ):
    others[:] = [lambda own, other=other: other]
    file.write_bytes(b'0' * 300_000)  # With another time.
    with pytest.raises(agreement.DisagreementError, match=f'clips.{field} is'):
      check()
  others[:] = [lambda own: first]
  check()


@pytest.mark.parametrize('position', [0, 150_000, 299_999])
def test_contents_are_compared_in_three_places(tmp_path, position):
  content = bytearray(300_000)
  file = tmp_path / 'a.bin'
  file.write_bytes(content)
  files = {'a': file, 'absent': tmp_path / 'b.bin'}
  before = agreement.content(files)
  content[position] = 1
  file.write_bytes(content)
  assert agreement.content(files) != before


def test_texts_are_gathered_whole(monkeypatch):
  """Each process pads its text to the longest one."""
  texts = ['é{}', '[1, 2, 3]']
  sizes = np.array([len(text.encode()) for text in texts], np.int32)
  padded = np.zeros((2, 9), np.uint8)
  for row, text in zip(padded, texts, strict=True):
    row[: len(text.encode())] = list(text.encode())
  for i, own in enumerate(texts):

    def allgather(x, i=i):
      rows = sizes if np.ndim(x) == 0 else padded
      np.testing.assert_array_equal(x, rows[i])
      return rows

    monkeypatch.setattr(
      agreement.multihost_utils, 'process_allgather', allgather
    )
    assert agreement._gathered(own) == texts


def test_flags_are_compared_after_joining(others, monkeypatch):
  """Flags that each process has for itself are not compared."""
  parser = argparse.ArgumentParser()
  parser.add_argument('--num', type=int)
  cluster.add_arguments(parser)
  args = parser.parse_args(
    ['--coordinator=host:1', '--num_processes=2', '--process_id=0', '--num=3']
  )
  args.overrides = ['seed=1']
  joined = []
  monkeypatch.setattr(cluster, '_initialize', lambda *a: joined.append(a))
  monkeypatch.setattr(cluster.signals, 'install', lambda: None)
  seen = []
  others.append(lambda own: seen.append(own) or own)
  cluster.join(args)
  assert joined == [('host:1', 2, 0)]
  flags = {k: x for k, x in seen[0].items() if k.startswith('--')}
  assert flags == {'--num': 3}
  others.append(lambda own: own | {'--num': 4})
  with pytest.raises(ValueError, match='--num is 3 in process 0, but 4 in'):
    cluster.join(args)

"""Tests of core/faults.py, and of the pipeline where clips cannot be read."""

import itertools
import pickle
import shutil

import numpy as np
import pytest

from vgen_jax.config import settings as settings_lib
from vgen_jax.core import digests as digests_lib
from vgen_jax.core import faults as faults_lib
from vgen_jax.core import sources
from vgen_jax.core.types import Schema
from vgen_jax.data import host_shards
from vgen_jax.data import pipeline
from vgen_jax.data.files import video_folder

BAD = (3, 4, 9)
SUBSTITUTE = faults_lib.Faults('substitute', limit=1.0)


def make_source(bad=BAD, num_clips: int = 10):
  """Returns clips that contain their index or random noise; some are broken."""

  class Numbers(
    sources.HasRandomViews
  ):  # Local, so that worker processes pickle it by value.
    schema = Schema((1, 2, 2, 1), num_clips)

    def __len__(self):
      return num_clips

    def __getitem__(self, index):
      if index in bad:
        raise faults_lib.ClipError(f'{index}.mp4', 'it is broken.')
      video_thwc = np.full((1, 2, 2, 1), index, np.uint8)
      return {'video': video_thwc, 'label': np.int32(index)}

    def random_view(self, index, rng):
      noise_thwc = rng.integers(256, size=(1, 2, 2, 1), dtype=np.uint8)
      if index % 2:
        rng.random(index)  # They fail after different numbers of random draws.
      return self[index] | {'video': noise_thwc}

  return Numbers()


def take(number: int, source, **kwargs) -> tuple[list[dict], int]:
  """Returns batches, and the number of substituted clips in them."""
  kwargs = {'batch_size': 5, 'seed': 3, 'faults': SUBSTITUTE} | kwargs
  with pipeline.batches(source, **kwargs) as batches:
    return list(itertools.islice(batches, number)), batches.num_substituted


def digests(batches) -> list[str]:
  return [digests_lib.tree(batch) for batch in batches]


def test_default_policy_raises_with_file_and_reason():
  with pytest.raises(faults_lib.ClipError, match=r'\d\.mp4: it is broken') as e:
    take(4, make_source(), faults=faults_lib.Faults())
  assert e.value.path in ('3.mp4', '4.mp4', '9.mp4')


def test_broken_clips_are_substituted_by_the_next_readable_ones():
  got, count = take(4, make_source())
  want, none = take(4, make_source(bad=()))
  assert (count, none) == (2 * len(BAD), 0)
  next_good = {3: 5, 4: 5, 9: 0}
  for broken, whole in zip(got, want, strict=True):
    assert set(broken) == {'video', 'label'}
    labels = [next_good.get(x, x) for x in whole['label'].tolist()]
    assert broken['label'].tolist() == labels
    # The substitute uses the random numbers of the broken clip.
    np.testing.assert_array_equal(broken['video'], whole['video'])


def test_policy_does_not_change_readable_clips():
  source = make_source(bad=())
  substituted = take(4, source)[0]
  assert digests(substituted) == digests(
    take(4, source, faults=faults_lib.Faults())[0]
  )


def test_threads_workers_and_hosts_do_not_change_batches():
  want, count = take(4, make_source())
  assert (
    take(4, make_source(), reader=pipeline.Reader(num_threads=0))[1] == count
  )
  got, of_workers = take(4, make_source(), reader=pipeline.Reader(1, 1))
  assert (digests(got), of_workers) == (digests(want), count)
  host_batches = [
    take(4, make_source(), host=host_shards.Host(h, 5)) for h in range(5)
  ]
  assert sum(number for _, number in host_batches) == count
  for k, batch in enumerate(want):
    labels = [got[k]['label'] for got, _ in host_batches]
    np.testing.assert_array_equal(np.concatenate(labels), batch['label'])


def test_errors_of_worker_processes_keep_their_message():
  reader = pipeline.Reader(num_workers=1)
  with pytest.raises(faults_lib.ClipError, match=r'\d\.mp4: it is broken'):
    take(4, make_source(), reader=reader, faults=faults_lib.Faults())


def test_too_many_substitutes_stop_the_run():
  few = faults_lib.Faults('substitute', limit=0.005)  # 5 of the first 1,000.
  batches, count = take(3, make_source(), faults=few)
  assert (len(batches), count) == (3, 5)
  message = r'6 of 20 clips could not be read; config.faults.limit is 0.005'
  with pytest.raises(RuntimeError, match=message):
    take(4, make_source(), faults=few)


def test_a_source_without_readable_clips_fails_soon():
  source = make_source(bad=range(10**6), num_clips=10**6)
  message = r'it is broken. The next 99 clips cannot be read either'
  with pytest.raises(faults_lib.ClipError, match=message):
    take(1, source)


def test_a_reason_without_a_full_stop_gets_one():
  def get(index):
    raise faults_lib.ClipError('a.mp4', 'it is broken')

  message = r'it is broken\. The next 1 clips'
  with pytest.raises(faults_lib.ClipError, match=message):
    faults_lib.Faults('substitute').read(get, 0, num_clips=2)


def test_other_errors_are_not_substituted():
  source = make_source()
  source.schema = Schema((1, 2, 3, 1))
  with pytest.raises(ValueError, match='the schema of the source requires'):
    take(1, source)


@pytest.mark.parametrize('count', [1, 2, 4])
def test_evaluation_counts_the_readable_clips_once(count):
  labels, substituted = [], 0
  for h in range(count):
    with pipeline.evaluation_batches(
      make_source(), 4, host=host_shards.Host(h, count), faults=SUBSTITUTE
    ) as batches:
      for batch in batches:
        labels += batch['label'][batch['mask']].tolist()
      substituted += batches.num_substituted
  assert sorted(labels) == [i for i in range(10) if i not in BAD]
  assert substituted == len(BAD)


@pytest.fixture
def damaged(clips, tmp_path):
  """A folder of six videos; one is truncated, and one is damaged inside."""
  folder = tmp_path / 'clips'
  shutil.copytree(clips, folder)
  paths = sorted(folder.rglob('*.mp4'))
  paths[1].write_bytes(paths[1].read_bytes()[:300])
  content = bytearray(paths[4].read_bytes())
  start = content.index(b'mdat')
  size = int.from_bytes(content[start - 4 : start])
  content[start + size // 2 : start + size // 2 + 400] = b'\xff' * 400
  paths[4].write_bytes(bytes(content))
  return folder


def test_a_folder_with_broken_videos(damaged):
  """One is found when the folder is indexed, the other when it is read."""
  make = lambda **kwargs: video_folder.VideoFolder(
    (20, 16, 16, 3), str(damaged), split='all', **kwargs
  )
  with pytest.raises(faults_lib.ClipError, match=r'left/1.mp4: '):
    make()
  source = pickle.loads(pickle.dumps(make(faults='substitute')))
  assert (len(source), source.schema.class_names) == (6, ('left', 'right'))
  for index, name in ((1, 'left/1.mp4'), (4, 'right/1.mp4')):
    with pytest.raises(faults_lib.ClipError, match=name):
      source[index]
  batches, count = take(4, source, batch_size=3)
  assert count == 4  # Two in each of two epochs.
  assert sum(len(batch['label']) for batch in batches) == 12


def test_errors():
  with pytest.raises(ValueError, match="policy is 'skip'; it must be one of"):
    faults_lib.Faults('skip')
  with pytest.raises(ValueError, match='limit is 2; it must be from 0 to 1'):
    faults_lib.Faults(limit=2)
  fields = dict(
    clip_shape=(1, 2, 2, 1), batch_size=1, num_steps=1, data={}, model={},
    optim={}, faults={'policy': 'substitute', 'limit': 0},
  )  # fmt: skip
  read = settings_lib.read(fields).faults
  assert read == faults_lib.Faults('substitute', 0)
  fields['faults'] = {'polcy': 'raise'}
  with pytest.raises(ValueError, match=r"config.faults has .* mean 'policy'"):
    settings_lib.read(fields)

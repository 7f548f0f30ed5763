"""Tests of data/pipeline.py."""

import itertools
import multiprocessing
import os
import signal
import threading
import time

import grain
import jax
from jax.sharding import AxisType
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np
import pytest

from vgen_jax.core import digests as digests_lib
from vgen_jax.core import sources
from vgen_jax.core.types import Schema
from vgen_jax.data import host_shards
from vgen_jax.data import pipeline
from vgen_jax.synthetic.world import source as world


def make_source(num_clips: int = 10, **attributes):
  """Returns a source whose `label` is the index of the clip."""

  class Numbers(
    sources.HasRandomViews
  ):  # In a function, so that worker processes get a copy.
    schema = Schema((1, 2, 2, 1), num_clips)
    reads = 0
    lock = attributes.get('lock')

    def __len__(self):
      return num_clips

    def __getitem__(self, index):
      if self.lock is not None:
        with self.lock:
          type(self).reads += 1
      video_thwc = np.full((1, 2, 2, 1), index % 256, np.uint8)
      return {'video': video_thwc, 'label': np.int32(index)}

    def random_view(self, index, rng):
      noise_thwc = rng.integers(256, size=(1, 2, 2, 1), dtype=np.uint8)
      return self[index] | {'video': noise_thwc}

  return Numbers()


def take(number: int, source=None, **kwargs) -> list[dict]:
  """The first batches of a source; `kwargs` also has fields of `Reader`."""
  names = {'num_workers', 'num_threads'} & set(kwargs)
  reader = pipeline.Reader(**{name: kwargs.pop(name) for name in names})
  kwargs = {'batch_size': 4, 'seed': 3, 'reader': reader} | kwargs
  source = make_source() if source is None else source
  with pipeline.batches(source, **kwargs) as batches:
    return take_from(batches, number)


def take_from(batches, number: int) -> list[dict]:
  return list(itertools.islice(batches, number))


def digests(batches) -> list[str]:
  return [digests_lib.tree(batch) for batch in batches]


def joined(parts: list[dict]) -> dict:
  """The global batch whose shards are on the hosts."""
  return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}


def from_hosts(count: int, number: int = 6, **kwargs) -> list[str]:
  """Global batches, concatenated from the shards of `count` hosts."""
  shards = [
    take(number, host=host_shards.Host(h, count), **kwargs)
    for h in range(count)
  ]
  return digests(joined(parts) for parts in zip(*shards, strict=True))


def test_each_epoch_is_a_new_permutation():
  labels = np.concatenate([x['label'] for x in take(10)]).reshape(4, 10)
  assert all(sorted(epoch) == list(range(10)) for epoch in labels.tolist())
  assert len({tuple(epoch) for epoch in labels.tolist()}) == 4
  again = np.concatenate([x['label'] for x in take(10, seed=4)])
  assert np.any(again != labels.ravel())


def test_random_views_differ_from_epoch_to_epoch():
  clips = {}
  for batch in take(10):
    for label, video_thwc in zip(batch['label'], batch['video'], strict=True):
      clips.setdefault(int(label), []).append(video_thwc.tobytes())
  assert all(len(set(views)) == len(views) == 4 for views in clips.values())


def test_first_skips_without_reading():
  source = make_source(lock=threading.Lock())
  late = digests(take(3, source, first=5, num_threads=0))
  assert late == digests(take(8))[5:]
  assert type(source).reads == 3 * 4
  assert len(take(1, first=10**12)) == 1


def test_batches_do_not_depend_on_the_number_of_threads():
  want = digests(take(6, num_threads=0))
  assert digests(take(6, num_threads=3)) == want
  assert digests(take(6, num_threads=3, seed=4)) != want


def test_worker_processes_yield_the_same_and_a_killed_one_is_an_error():
  want = digests(take(6))
  assert digests(take(6, num_workers=1, num_threads=1)) == want
  others = set(multiprocessing.active_children())
  reader = pipeline.Reader(num_workers=2, num_threads=1)
  with pipeline.batches(
    make_source(), batch_size=4, seed=3, reader=reader
  ) as batches:
    assert digests(take_from(batches, 6)) == want
    workers = set(multiprocessing.active_children()) - others
    assert len(workers) == 2
    start = time.monotonic()
    os.kill(workers.pop().pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match='Worker process was terminated'):
      take_from(batches, 100)  # Some batches were read before the kill.
    assert time.monotonic() - start < 60


@pytest.mark.parametrize('count', [2, 4])
def test_any_number_of_hosts_reads_the_same_batches(count):
  assert from_hosts(count) == from_hosts(1)
  assert from_hosts(count, 2, first=4) == from_hosts(1)[4:]


def test_the_check_of_hosts_notices_shards_selected_before_random_views():
  """If hosts selected first, all would use the same random numbers."""
  indices = grain.MapDataset.range(10).seed(3).shuffle().repeat()
  random_view = pipeline._RandomView(make_source())

  def shard_first(rows):
    shard = pipeline._Shard(indices, 4, np.array(rows))
    return shard.random_map(random_view).batch(2)

  hosts = shard_first([0, 1]), shard_first([2, 3])
  got = [joined([host[k] for host in hosts]) for k in range(6)]
  want = take(6)
  for other, batch in zip(got, want, strict=True):
    np.testing.assert_array_equal(other['label'], batch['label'])
  assert digests(got) != digests(want)


def test_reading_stops_if_no_batch_is_taken():
  source = make_source(num_clips=1000, lock=threading.Lock())
  with pipeline.batches(source, batch_size=4, seed=0) as batches:
    next(batches)
    seen, deadline = -1, time.monotonic() + 5
    while seen != type(source).reads and time.monotonic() < deadline:
      seen = type(source).reads
      time.sleep(0.1)  # There is no event if nothing happens.
    assert type(source).reads <= 4 * (1 + 2)


def mesh_sharding(shape, axes, spec) -> NamedSharding:
  mesh = jax.make_mesh(shape, axes, (AxisType.Auto,) * len(axes))
  return NamedSharding(mesh, spec)


def test_batches_are_on_the_devices_in_order():
  want = take(3, batch_size=8)
  sharding = mesh_sharding((4, 2), ('data', 'fsdp'), P('data'))
  got = take(3, batch_size=8, sharding=sharding)
  assert digests(got) == digests(want)
  assert got[0]['video'].sharding == sharding
  assert got[0]['label'].addressable_data(0).shape == (2,)
  assert got[0]['video'].dtype == np.uint8


def test_a_host_reads_the_rows_of_its_devices():
  """The blocks of hosts need not be in the order of their indices."""

  class OfHost:
    """The sharding on a host that has some of the devices."""

    def __init__(self, sharding, devices):
      self.num_devices = sharding.num_devices
      self.devices_indices_map = sharding.devices_indices_map
      self._devices = devices

    def addressable_devices_indices_map(self, shape):
      spans = self.devices_indices_map(shape)
      return {device: spans[device] for device in self._devices}

  sharding = mesh_sharding((4, 2), ('data', 'fsdp'), P('data'))
  devices = sharding.mesh.devices
  rows = host_shards.rows
  own = OfHost(sharding, [devices[3, 0], devices[0, 1], devices[0, 0]])
  assert rows(8, own).tolist() == [0, 1, 6, 7]
  whole = mesh_sharding((8,), ('tensor',), P())
  assert rows(3, whole).tolist() == [0, 1, 2]
  batch = [x['label'][[0, 1, 6, 7]].tolist() for x in take(3, batch_size=8)]
  clips = grain.MapDataset.range(10).seed(3).shuffle().repeat()
  shard = pipeline._Shard(clips, 8, rows(8, own)).batch(4)
  assert [shard[k].tolist() for k in range(3)] == batch


def test_uneven_batches_are_an_error():
  sharding = mesh_sharding((4, 2), ('data', 'fsdp'), P('data'))
  message = (
    'config.batch_size is 6; it must be a positive multiple of the number of'
    ' devices that share the batch axis, 4.'
  )
  with pytest.raises(ValueError, match=message):
    take(1, batch_size=6, sharding=sharding)
  with pytest.raises(ValueError, match='multiple of the number of hosts, 4'):
    take(1, batch_size=6, host=host_shards.Host(0, 4))
  with pytest.raises(ValueError, match='batch_size is 0'):
    take(1, batch_size=0)


def test_empty_source_is_an_error():
  source = make_source(num_clips=0)
  with pytest.raises(ValueError, match='Numbers has 0 clips; it needs 1'):
    take(1, source)
  with pytest.raises(ValueError, match='Numbers has 0 clips; it needs 1'):
    pipeline.evaluation_batches(source, 4)


def test_clips_are_checked_against_the_schema():
  source = make_source()
  source.schema = Schema((1, 2, 3, 1))
  message = r'uint8 \(1, 2, 2, 1\); the schema of the source requires uint8'
  with pytest.raises(ValueError, match=message):
    take(1, source)


@pytest.mark.parametrize('count', [1, 2, 4])
@pytest.mark.parametrize('num_clips', [1, 9, 12])
def test_evaluation_reads_every_clip_once(count, num_clips):
  source = make_source(num_clips)
  shards = []
  for h in range(count):
    with pipeline.evaluation_batches(
      source, 4, host=host_shards.Host(h, count)
    ) as batches:
      shards.append(list(batches))
  assert {len(shard) for shard in shards} == {-(-num_clips // 4)}
  batch = joined([joined(list(x)) for x in zip(*shards, strict=True)])
  assert len(batch['mask']) == -(-num_clips // 4) * 4
  counted = batch['label'][batch['mask']]
  assert counted.tolist() == list(range(num_clips))
  assert (batch['video'][batch['mask'], 0, 0, 0, 0] == counted).all()


def test_evaluation_batches_are_on_the_devices():
  sharding = mesh_sharding((8,), ('data',), P('data'))
  with pipeline.evaluation_batches(
    make_source(11), 8, sharding=sharding
  ) as batches:
    masks = [np.asarray(batch['mask']) for batch in batches]
  assert [int(mask.sum()) for mask in masks] == [8, 3]


def test_a_batch_may_have_one_clip_and_a_large_index():
  source = world.World((4, 8, 8, 3))
  for first in (0, 10**12):
    with pipeline.batches(source, batch_size=1, seed=0, first=first) as batches:
      assert next(batches)['video'].shape == (1, 4, 8, 8, 3)

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

from vgen_jax.core.types import Schema
from vgen_jax.data import host_shards as shares
from vgen_jax.data import pipeline
from vgen_jax.synthetic.world import source as world


def make_source(num_clips: int = 10, **attributes):
  """A source whose clips tell what was drawn: `label` is the example."""

  class Numbers:  # Within a function, so that worker processes get a copy.
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

    def draw(self, index, rng):
      noise_thwc = rng.integers(256, size=(1, 2, 2, 1), dtype=np.uint8)
      return self[index] | {'video': noise_thwc}

  return Numbers()


def take(number: int, source=None, **kwargs) -> list[dict]:
  kwargs = {'batch_size': 4, 'seed': 3} | kwargs
  source = make_source() if source is None else source
  with pipeline.batches(source, **kwargs) as batches:
    return take_from(batches, number)


def take_from(batches, number: int) -> list[dict]:
  return list(itertools.islice(batches, number))


def digests(batches) -> list[str]:
  return [pipeline.digest(batch) for batch in batches]


def joined(parts: list[dict]) -> dict:
  """The batch whose shares the hosts hold."""
  return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}


def from_hosts(count: int, number: int = 6, **kwargs) -> list[str]:
  """Global batches, put together from what each of `count` hosts reads."""
  shares = [
    take(number, process_index=h, process_count=count, **kwargs)
    for h in range(count)
  ]
  return digests(joined(parts) for parts in zip(*shares, strict=True))


def test_each_epoch_is_another_permutation():
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


def test_threads_do_not_matter():
  want = digests(take(6, num_threads=0))
  assert digests(take(6, num_threads=3)) == want
  assert digests(take(6, num_threads=3, seed=4)) != want


def test_worker_processes_do_not_matter_and_one_killed_is_an_error():
  want = digests(take(6))
  kwargs = {'batch_size': 4, 'seed': 3, 'num_threads': 1}
  assert digests(take(6, num_workers=1, **kwargs)) == want
  others = set(multiprocessing.active_children())
  with pipeline.batches(make_source(), num_workers=2, **kwargs) as batches:
    assert digests(take_from(batches, 6)) == want
    workers = set(multiprocessing.active_children()) - others
    assert len(workers) == 2
    start = time.monotonic()
    os.kill(workers.pop().pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match='Worker process was terminated'):
      take_from(batches, 100)  # Some batches had been read before.
    assert time.monotonic() - start < 10


@pytest.mark.parametrize('count', [2, 4])
def test_any_number_of_hosts_sees_the_same_batches(count):
  assert from_hosts(count) == from_hosts(1)
  assert from_hosts(count, 2, first=4) == from_hosts(1)[4:]


def test_host_check_catches_a_share_taken_before_the_draw():
  """Were hosts to count their own places, all would draw the same numbers."""
  numbers = grain.MapDataset.range(10).seed(3).shuffle().repeat()
  draw = pipeline._Draw(make_source())

  def share_first(rows):
    share = pipeline._Share(numbers, 4, np.array(rows))
    return share.random_map(draw).batch(2)

  hosts = share_first([0, 1]), share_first([2, 3])
  got = [joined([host[k] for host in hosts]) for k in range(6)]
  want = take(6)
  for mine, batch in zip(got, want, strict=True):
    np.testing.assert_array_equal(mine['label'], batch['label'])
  assert digests(got) != digests(want)


def test_idle_consumer_stops_the_reading():
  source = make_source(num_clips=1000, lock=threading.Lock())
  with pipeline.batches(source, batch_size=4, seed=0, num_threads=2) as x:
    next(x)
    seen, deadline = -1, time.monotonic() + 5
    while seen != type(source).reads and time.monotonic() < deadline:
      seen = type(source).reads
      time.sleep(0.1)  # Nothing else tells that nothing happens.
    assert type(source).reads <= 4 * (1 + 2)


def mesh_sharding(shape, axes, spec) -> NamedSharding:
  mesh = jax.make_mesh(shape, axes, (AxisType.Auto,) * len(axes))
  return NamedSharding(mesh, spec)


def test_batches_lie_on_the_devices_in_order():
  want = take(3, batch_size=8)
  sharding = mesh_sharding((4, 2), ('data', 'fsdp'), P('data'))
  got = take(3, batch_size=8, sharding=sharding)
  assert digests(got) == digests(want)
  assert got[0]['video'].sharding == sharding
  assert got[0]['label'].addressable_data(0).shape == (2,)
  assert got[0]['video'].dtype == np.uint8


def test_a_host_reads_the_rows_of_its_devices():
  """Hosts need not hold blocks in the order of their numbers."""

  class OfHost:
    """The sharding as a host sees it that owns some of the devices."""

    def __init__(self, sharding, devices):
      self.num_devices = sharding.num_devices
      self.devices_indices_map = sharding.devices_indices_map
      self._devices = devices

    def addressable_devices_indices_map(self, shape):
      spans = self.devices_indices_map(shape)
      return {device: spans[device] for device in self._devices}

  sharding = mesh_sharding((4, 2), ('data', 'fsdp'), P('data'))
  devices = sharding.mesh.devices
  rows = shares.rows
  mine = OfHost(sharding, [devices[3, 0], devices[0, 1], devices[0, 0]])
  assert rows(8, mine, None, None).tolist() == [0, 1, 6, 7]
  whole = mesh_sharding((8,), ('tensor',), P())
  assert rows(3, whole, None, None).tolist() == [0, 1, 2]
  batch = [x['label'][[0, 1, 6, 7]].tolist() for x in take(3, batch_size=8)]
  clips = grain.MapDataset.range(10).seed(3).shuffle().repeat()
  share = pipeline._Share(clips, 8, rows(8, mine, None, None)).batch(4)
  assert [share[k].tolist() for k in range(3)] == batch


def test_uneven_batches_are_an_error():
  sharding = mesh_sharding((4, 2), ('data', 'fsdp'), P('data'))
  message = (
    'config.batch_size is 6; it must be a multiple of the number of'
    ' devices that share the batch axis, 4.'
  )
  with pytest.raises(ValueError, match=message):
    take(1, batch_size=6, sharding=sharding)
  with pytest.raises(ValueError, match='multiple of the number of hosts, 4'):
    take(1, batch_size=6, process_index=0, process_count=4)
  with pytest.raises(ValueError, match='batch_size is 0'):
    take(1, batch_size=0)


def test_empty_source_is_an_error():
  source = make_source(num_clips=0)
  with pytest.raises(ValueError, match='Numbers has 0 clips; it needs 1'):
    take(1, source)
  with pytest.raises(ValueError, match='Numbers has 0 clips; it needs 1'):
    pipeline.evaluation_batches(source, 4)


def test_clips_are_held_to_the_schema():
  source = make_source()
  source.schema = Schema((1, 2, 3, 1))
  message = r'uint8 \(1, 2, 2, 1\); the schema of its source promises uint8'
  with pytest.raises(ValueError, match=message):
    take(1, source)


@pytest.mark.parametrize('count', [1, 2, 4])
@pytest.mark.parametrize('num_clips', [1, 9, 12])
def test_evaluation_sees_every_clip_once(count, num_clips):
  source = make_source(num_clips)
  shares = []
  for h in range(count):
    with pipeline.evaluation_batches(
      source, 4, process_index=h, process_count=count
    ) as batches:
      shares.append(list(batches))
  assert {len(share) for share in shares} == {-(-num_clips // 4)}
  batch = joined([joined(list(x)) for x in zip(*shares, strict=True)])
  assert len(batch['mask']) == -(-num_clips // 4) * 4
  counted = batch['label'][batch['mask']]
  assert counted.tolist() == list(range(num_clips))
  assert (batch['video'][batch['mask'], 0, 0, 0, 0] == counted).all()


def test_evaluation_lies_on_the_devices():
  sharding = mesh_sharding((8,), ('data',), P('data'))
  with pipeline.evaluation_batches(
    make_source(11), 8, sharding=sharding
  ) as batches:
    masks = [np.asarray(batch['mask']) for batch in batches]
  assert [int(mask.sum()) for mask in masks] == [8, 3]


def test_digest_tells_names_types_shapes_and_numbers():
  zeros = np.zeros((2, 2), np.int32)
  same = pipeline.digest({'b': zeros, 'a': zeros})
  assert pipeline.digest({'a': zeros, 'b': jax.numpy.asarray(zeros)}) == same
  others = [
    {'a': zeros},
    {'a': zeros, 'c': zeros},
    {'a': zeros, 'b': zeros.astype(np.float32)},
    {'a': zeros, 'b': zeros.ravel()},
    {'a': zeros, 'b': np.eye(2, dtype=np.int32)},
  ]
  assert len({same, *map(pipeline.digest, others)}) == 6


def test_a_batch_may_be_one_clip_and_late():
  source = world.World((4, 8, 8, 3))
  for first in (0, 10**12):
    with pipeline.batches(source, batch_size=1, seed=0, first=first) as batches:
      assert next(batches)['video'].shape == (1, 4, 8, 8, 3)

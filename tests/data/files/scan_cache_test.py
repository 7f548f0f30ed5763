"""Tests of data/files/scan_cache.py: unchanged videos are scanned only once."""

import dataclasses
import gc
import os
import pathlib
import random
import shutil
import threading

import numpy as np
import pytest

from vgen_jax.core import faults
from vgen_jax.data.files import codecs
from vgen_jax.data.files import scan_cache
from vgen_jax.data.files import video_folder
from vgen_jax.data.files import video_writers

PIXELS = 1 << 20
SHAPE = (4, 8, 8, 3)
GC_THRESHOLD = gc.get_threshold()


@pytest.fixture
def folder(clips, tmp_path, monkeypatch) -> pathlib.Path:
  """A folder of six videos, and an empty cache."""
  monkeypatch.setenv(scan_cache.VARIABLE, str(tmp_path / 'cache'))
  scan_cache.of.cache_clear()
  return pathlib.Path(shutil.copytree(clips, tmp_path / 'videos'))


@pytest.fixture
def scanned(monkeypatch) -> list[str]:
  """Names of the files that are scanned."""
  names, scan = [], codecs.scan

  def counted(path, *args):
    names.append(pathlib.Path(path).relative_to(folder_of(path)).as_posix())
    return scan(path, *args)

  folder_of = lambda path: pathlib.Path(path).parents[1]
  monkeypatch.setattr(codecs, 'scan', counted)
  return names


def opened(folder, **kwargs):
  """A source as a new process would open it."""
  scan_cache.of.cache_clear()
  return video_folder.VideoFolder(SHAPE, str(folder), **kwargs)


def assert_same(one, two):
  assert len(one) == len(two)
  for a, b in zip(one, two, strict=True):
    for key in a:
      np.testing.assert_array_equal(a[key], b[key])


def test_a_second_process_scans_nothing(folder, scanned):
  first = opened(folder, split='all')
  assert sorted(scanned) == [
    f'{label}/{i}.mp4' for label in ('left', 'right') for i in range(3)
  ]
  scanned.clear()
  second = opened(folder, split='all')
  assert scanned == []
  assert first.schema == second.schema
  assert_same(first, second)
  moved = folder.rename(folder.with_name('moved'))
  opened(moved, split='all')  # The cache is by path.
  assert len(scanned) == 6


def test_all_fields_of_an_index_are_kept(folder):
  path = folder / 'left/0.mp4'
  fresh = codecs.scan(str(path), PIXELS)
  for _ in range(2):
    cache = scan_cache.ScanCache(folder, PIXELS)
    found = cache.scan(path)
    for field in dataclasses.fields(codecs.Index):
      old, new = getattr(fresh, field.name), getattr(found, field.name)
      assert type(old) is type(new), field.name
      np.testing.assert_array_equal(old, new)
    cache.save()
  assert cache.num_scanned == 0


def test_splits_share_the_cache_and_keep_each_others_files(folder, scanned):
  for split in ('train', 'validation', 'test'):
    opened(folder, split=split)
  assert len(scanned) == len(set(scanned)) == 6
  opened(folder, split='all')
  assert len(scanned) == 6


@pytest.mark.parametrize('change', ['size', 'time', 'new'])
def test_only_changed_and_new_files_are_scanned(folder, scanned, change):
  opened(folder, split='all')
  scanned.clear()
  path = folder / 'left/1.mp4'
  if change == 'size':
    stat = path.stat()
    video = np.zeros((9, 24, 32, 3), np.uint8)
    video_writers.write_mp4(path, video, 10)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
  elif change == 'time':
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
  else:
    shutil.copy(path, folder / 'left/new.mp4')
  opened(folder, split='all')
  assert scanned == ['left/new.mp4' if change == 'new' else 'left/1.mp4']
  if change == 'size':
    found = scan_cache.ScanCache(folder, 1 << 25).scan(path)
    assert len(found) == 9


def test_removed_files_leave_the_cache(folder):
  opened(folder, split='all')
  [file] = (folder.parent / 'cache/scans').iterdir()
  size = file.stat().st_size
  (folder / 'left/2.mp4').unlink()
  shutil.copy(folder / 'left/0.mp4', folder / 'left/3.mp4')
  (folder / 'right/0.mp4').unlink()
  opened(folder, split='all')
  assert file.stat().st_size < size
  assert list(file.parent.iterdir()) == [file]  # No temporary file.


@pytest.mark.parametrize(
  'num_flips', [30, pytest.param(200, marks=pytest.mark.slow)]
)
def test_a_damaged_cache_is_scanned_again(folder, scanned, caplog, num_flips):
  opened(folder, split='all')
  [file] = (folder.parent / 'cache/scans').iterdir()
  content, rng = file.read_bytes(), random.Random(0)
  fresh = opened(folder, split='all')
  scanned.clear()
  for i in range(num_flips):
    damaged = bytearray(content)
    damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(damaged if i else b'\xff' + content)
    if not i:
      assert 'is damaged' not in caplog.text
    assert opened(folder, split='all').schema == fresh.schema
    if not i:
      assert 'is damaged' in caplog.text
  assert len(scanned) == num_flips * 6
  for text in ('', '[]', '[1, 2]\n', content.decode()[: len(content) // 2]):
    file.write_text(text)
    opened(folder, split='all')
  assert len(scanned) == (num_flips + 4) * 6
  scanned.clear()
  opened(folder, split='all')
  assert scanned == []  # The file was repaired.


def test_other_code_scans_again(folder, scanned, monkeypatch):
  opened(folder, split='all')
  monkeypatch.setattr(scan_cache, '_code', lambda: 'another version')
  opened(folder, split='all')
  assert len(scanned) == 12


def test_other_limits_have_their_own_cache(folder):
  opened(folder, split='all')
  with pytest.raises(faults.ClipError, match='more than 100: remove it'):
    opened(folder, split='all', max_pixels=100)


def test_a_cache_that_cannot_be_written_only_costs_time(
  folder, scanned, caplog
):
  (folder.parent / 'cache').write_text('A file, not a folder.')
  for _ in range(2):
    opened(folder, split='all')
  assert len(scanned) == 12
  assert 'cannot be kept in' in caplog.text


def test_an_empty_variable_turns_it_off(folder, scanned, monkeypatch):
  monkeypatch.setenv(scan_cache.VARIABLE, '')
  for _ in range(2):
    opened(folder, split='all')
  assert len(scanned) == 12
  assert not (folder.parent / 'cache').exists()


def test_a_stopped_scan_is_not_lost(folder, scanned, monkeypatch):
  scan = codecs.scan

  def stopped(path, *args):
    if path.endswith('right/2.mp4'):
      raise KeyboardInterrupt
    return scan(path, *args)

  with monkeypatch.context() as patch:
    patch.setattr(codecs, 'scan', stopped)
    with pytest.raises(KeyboardInterrupt):
      opened(folder, split='all')
  num_before = len(scanned)
  assert 'right/2.mp4' not in scanned
  opened(folder, split='all')
  assert len(scanned) == 6 > num_before > 0


def test_another_thread_may_scan_while_the_file_is_written(folder, monkeypatch):
  """Python may run another thread whenever it collects garbage."""
  path = folder / 'left/0.mp4'
  index = codecs.scan(str(path), PIXELS)
  monkeypatch.setattr(codecs, 'scan', lambda *args: index)
  cache = scan_cache.ScanCache(folder, PIXELS)
  for i in range(300):
    name = f'{i}.mp4'
    os.link(path, folder / name)
    cache.scan(folder / name)
  threads = []

  def scan(phase, info):
    del phase, info
    name = f'other_{len(threads)}.mp4'
    if len(threads) < 10:
      os.link(path, folder / name)
      threads.append(threading.Thread(target=cache.scan, args=[folder / name]))
      threads[-1].start()
      threads[-1].join(timeout=0.02)

  gc.callbacks.append(scan)
  gc.set_threshold(10)
  try:
    cache.save()
  finally:
    gc.callbacks.remove(scan)
    gc.set_threshold(*GC_THRESHOLD)
  assert threads
  for thread in threads:
    thread.join()
  cache.save()
  names = {path.name for path in folder.glob('*.mp4')}
  again = scan_cache.ScanCache(folder, PIXELS)
  for name in names:
    again.scan(folder / name)
  assert (len(names), again.num_scanned) == (
    300 + len(threads),
    0,
  )


def test_names_need_not_be_utf8(folder, scanned):
  name = os.path.join(os.fsencode(folder), b'left', b'\xff\xe9.mp4')
  shutil.copy(os.fsencode(folder / 'left/0.mp4'), name)
  for _ in range(2):
    assert len(opened(folder, split='all')) == 7 * 5
  assert len(scanned) == 7

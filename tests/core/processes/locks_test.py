"""Tests that only one process at a time holds the lock of a folder."""

import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from vgen_jax.core.processes import locks

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
  monkeypatch.setattr(locks, 'PERIOD', 0.05)
  monkeypatch.setattr(locks, 'PATIENCE', 1.0)


def write(folder, **fields) -> pathlib.Path:
  """Writes the lock of another process."""
  file = folder / locks.NAME
  file.write_text(json.dumps({**locks._owner(), **fields}))
  return file


def test_the_lock_states_its_owner_and_is_removed(tmp_path):
  folder = tmp_path / 'a/b'
  with locks.held(folder):
    owner = json.loads((folder / locks.NAME).read_text())
    assert owner['pid'] == os.getpid()
    assert {'host', 'time', 'command'} <= set(owner)
    assert os.listdir(folder) == [locks.NAME]
  assert os.listdir(folder) == []


def test_a_second_owner_is_refused_with_the_first(tmp_path):
  with locks.held(tmp_path):
    message = rf'in use by process {os.getpid()} on host \S+, since \d{{4}}-'
    with pytest.raises(locks.LockedError, match=message), locks.held(tmp_path):
      pass
    assert (tmp_path / locks.NAME).exists()
    with locks.held(tmp_path, '.other'):  # Another name is another lock.
      pass


def test_an_error_releases_the_lock(tmp_path):
  with pytest.raises(KeyError), locks.held(tmp_path):
    raise KeyError
  with locks.held(tmp_path):
    pass


@pytest.mark.parametrize('error', [KeyboardInterrupt, SystemExit])
def test_a_signal_during_the_release_leaves_no_lock(
  tmp_path, monkeypatch, error
):
  read, raised = locks._read, []

  def interrupted(file):
    if not raised:
      raised.append(error)
      raise error
    return read(file)

  def work():
    with locks.held(tmp_path):
      monkeypatch.setattr(locks, '_read', interrupted)

  # The owner, too, reads its lock regularly, in another thread.
  monkeypatch.setattr(locks, 'PERIOD', 60)
  with pytest.raises(error):
    work()
  assert os.listdir(tmp_path) == []


def ended_process() -> int:
  done = subprocess.Popen([sys.executable, '-c', ''])
  done.wait()
  return done.pid


@pytest.mark.parametrize('reused', [False, True])
def test_the_lock_of_an_ended_process_is_taken_over_at_once(
  tmp_path, caplog, reused, monkeypatch
):
  """Another process may have the same process id by now."""
  monkeypatch.setattr(locks, 'PATIENCE', 1e6)
  pid = os.getpid() if reused else ended_process()
  write(tmp_path, pid=pid, started='1', host='old')
  with caplog.at_level('WARNING'), locks.held(tmp_path):
    pass
  assert f'has ended: process {pid} on host old, since' in caplog.text
  assert os.listdir(tmp_path) == []


def test_a_lock_of_another_machine_is_stale_if_nobody_touches_it(
  tmp_path, caplog
):
  write(tmp_path, machine='another')
  with caplog.at_level('INFO'), locks.held(tmp_path):
    pass
  assert 'Waiting up to 1 s' in caplog.text
  assert 'Taking over the lock' in caplog.text


def test_a_lock_of_another_machine_that_is_touched_is_kept(tmp_path):
  file = write(tmp_path, machine='another', host='far')
  before = file.read_text()
  end = threading.Event()

  def touch():
    while not end.wait(0.05):
      os.utime(file)

  thread = threading.Thread(target=touch)
  thread.start()
  try:
    with (
      pytest.raises(locks.LockedError, match='on host far'),
      locks.held(tmp_path),
    ):
      pass
  finally:
    end.set()
    thread.join()
  assert file.read_text() == before


def test_the_owner_touches_its_lock(tmp_path):
  with locks.held(tmp_path):
    file = tmp_path / locks.NAME
    os.utime(file, (0, 0))
    for _ in range(200):
      if file.stat().st_mtime > 1:
        break
      threading.Event().wait(0.05)
    assert file.stat().st_mtime > 1


@pytest.mark.parametrize('content', ['', 'x', '[]', '{"pid": "a"}'])
def test_a_damaged_lock_is_stale(tmp_path, content):
  (tmp_path / locks.NAME).write_text(content)
  with locks.held(tmp_path):
    assert json.loads((tmp_path / locks.NAME).read_text())['pid'] == os.getpid()


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
  def refuse(*args):
    raise PermissionError

  monkeypatch.setattr(os, 'link', refuse)
  with (
    locks.held(tmp_path),
    pytest.raises(locks.LockedError),
    locks.held(tmp_path),
  ):
    pass
  assert os.listdir(tmp_path) == []


RACE = """
import sys, time
from vgen_jax.core.processes import locks
while time.time() < float(sys.argv[2]):
  pass
try:
  with locks.held(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
except locks.LockedError:
  print('refused', flush=True)
"""


def test_of_many_processes_one_takes_over_a_stale_lock(tmp_path):
  write(tmp_path, pid=ended_process(), started='1')
  start = str(__import__('time').time() + 3)
  command = [sys.executable, '-c', RACE, str(tmp_path), start]
  processes = [
    subprocess.Popen(
      command,
      cwd=ROOT,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    for _ in range(6)
  ]
  said = [process.stdout.readline().strip() for process in processes]
  for process in processes:
    process.communicate()
  assert sorted(said) == ['held', *['refused'] * 5]
  assert os.listdir(tmp_path) == []

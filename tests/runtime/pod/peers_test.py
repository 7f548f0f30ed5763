"""Tests of the watch over the processes of a pod, with a fake store."""

import os
import signal
import subprocess
import sys

import pytest

from vgen_jax.runtime.pod import peers


class Store:
  """A fake of the key-value store, which can become unreachable."""

  def __init__(self):
    self.entries = {}
    self.is_gone = False

  def key_value_set(self, key, value, allow_overwrite):
    assert allow_overwrite
    self._check()
    self.entries[key] = value

  def key_value_try_get(self, key):
    self._check()
    return self.entries[key]

  def key_value_dir_get(self, prefix):
    self._check()
    return [x for x in self.entries.items() if x[0].startswith(prefix)]

  def _check(self):
    if self.is_gone:
      raise RuntimeError('UNAVAILABLE: failed to connect to all addresses')


class Pod:
  """Three processes with one clock; `lines` are those with which they end."""

  def __init__(self):
    self.store, self.now, self.lines = Store(), 0.0, {}
    self.processes = [
      peers.Peers(
        self.store,
        i,
        3,
        clock=lambda: self.now,
        end=lambda line, i=i: self.lines.setdefault(i, line),
      )
      for i in range(3)
    ]
    for i, process in enumerate(self.processes):
      process._hosts[i] = f'host-{i}'

  def rounds(self, seconds: float, *alive: int) -> None:
    """Advances the clock, with rounds of some processes."""
    end = self.now + seconds
    while self.now < end:
      for i in alive:
        if i not in self.lines:
          self.processes[i].round()
      self.now += peers.PERIOD


@pytest.fixture
def pod(monkeypatch) -> Pod:
  monkeypatch.setattr(peers, 'DELAY', 0.0)
  pod = Pod()
  pod.rounds(60, 0, 1, 2)
  assert pod.lines == {}
  return pod


def test_all_end_with_the_host_of_a_process_that_is_lost(pod):
  pod.rounds(60, 0, 1)
  assert set(pod.lines) == {0, 1}
  for line in pod.lines.values():
    assert line.startswith('vgen: process 2 of 3, on host host-2, has not')
    assert '\n' not in line


def test_a_process_that_is_slow_is_not_lost(pod):
  for _ in range(5):
    pod.rounds(peers.PATIENCE - peers.PERIOD, 0, 1)
    pod.rounds(peers.PERIOD, 0, 1, 2)
  assert pod.lines == {}


def test_a_process_that_has_done_its_work_is_not_lost(pod):
  pod.processes[2].finish()
  pod.rounds(300, 0, 1)
  assert pod.lines == {}


@pytest.mark.parametrize('failed', [0, 1, 2])
def test_an_error_of_one_process_ends_the_others_at_once(pod, failed):
  pod.processes[failed].fail()
  others = {0, 1, 2} - {failed}
  pod.rounds(2 * peers.PERIOD, *others)
  others.discard(0) if failed == 0 else None
  assert set(pod.lines) == others
  for line in pod.lines.values():
    assert f'process {failed} of 3, on host host-{failed}, stopped' in line


def test_the_loss_of_the_store_is_that_of_process_0(pod):
  pod.store.is_gone = True
  pod.rounds(4 * peers.PERIOD, 1, 2)
  assert set(pod.lines) == {1, 2}
  assert 'process 0 of 3, on host' in pod.lines[1]
  assert 'cannot be reached' in pod.lines[1]


def test_a_store_that_fails_once_is_no_loss(pod):
  pod.store.is_gone = True
  pod.rounds(peers.PERIOD, 0, 1, 2)
  pod.store.is_gone = False
  pod.rounds(60, 0, 1, 2)
  assert pod.lines == {}


def test_the_whole_takes_less_than_a_minute():
  assert peers.PATIENCE + 2 * peers.PERIOD + peers.DELAY < 60


ABORT = """
import ctypes, threading, time
from vgen_jax.runtime.pod import peers
handler = peers._after_abort(b'the last words')
thread = threading.Thread(target=ctypes.CDLL(None).abort)
thread.start()
time.sleep(60)
"""


def test_an_abort_of_a_library_is_followed_by_a_line():
  done = subprocess.run(
    [sys.executable, '-c', ABORT],
    capture_output=True,
    text=True,
    check=False,
  )
  assert (done.returncode, done.stderr) == (1, 'the last words')


def test_the_line_after_an_abort_names_both_hosts(pod):
  line = pod.processes[2]._abort_line().decode().strip()
  assert 'process 2 of 3, on host host-2,' in line
  assert 'process 0, on host host-0, was lost' in line
  assert '\n' not in line


def test_start_keeps_python_s_own_handlers():
  before = signal.getsignal(signal.SIGTERM)
  process = peers.Peers(Store(), 1, 2)
  code = (
    'from vgen_jax.runtime.pod import peers\n'
    'import signal\n'
    'peers._after_abort(b"")\n'
    'print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  assert done.stdout == 'True\n'
  assert signal.getsignal(signal.SIGTERM) == before
  assert process._hosts[1] == os.uname().nodename

"""Tests of commands that a signal stops: exceptions and exit statuses."""

import contextlib
import gc
import os
import signal
import threading
import time

import pytest

from vgen_jax.cli import main as cli
from vgen_jax.cli import report
from vgen_jax.core.processes import signals


def test_sigterm_raises_within_the_context():
  closed = []

  def work():
    try:
      os.kill(os.getpid(), signal.SIGTERM)
    finally:
      closed.append(signal.getsignal(signal.SIGTERM))

  with pytest.raises(signals.Stopped) as stopped, signals.raising():
    work()
  assert stopped.value.code == 143
  assert closed == [signal.SIG_DFL]  # A second signal ends the process.
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_old_handler_is_restored():
  handler = lambda *args: None
  signal.signal(signal.SIGTERM, handler)
  try:
    with signals.raising():
      assert signal.getsignal(signal.SIGTERM) != handler
    assert signal.getsignal(signal.SIGTERM) == handler
  finally:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def wait():
  for _ in range(1_000):
    time.sleep(0.01)


def in_a_finalizer(number):
  class Object:
    def __del__(self):
      signal.raise_signal(number)

  Object()


def in_a_callback_of_the_collector(number):
  def callback(phase, info):
    del info
    if phase == 'stop':
      signal.raise_signal(number)

  gc.callbacks.append(callback)
  try:
    gc.collect(0)  # A collection of all generations takes seconds.
  finally:
    gc.callbacks.remove(callback)


def in_code_that_catches_all(number):
  with contextlib.suppress(BaseException):
    signal.raise_signal(number)


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.parametrize(
  ('number', 'kind'),
  [(signal.SIGTERM, signals.Stopped), (signal.SIGINT, KeyboardInterrupt)],
)
@pytest.mark.parametrize(
  'lose',
  [in_a_finalizer, in_a_callback_of_the_collector, in_code_that_catches_all],
)
def test_an_exception_that_was_lost_is_raised_again(
  monkeypatch, number, kind, lose
):
  monkeypatch.setattr(signals, '_PERIOD', 0.05)
  parts = []

  def work():
    lose(number)
    parts.append('lost')
    with contextlib.suppress(BaseException):
      wait()
    parts.append('lost again')
    wait()
    parts.append('done')

  with pytest.raises(kind), signals.raising():
    work()
  assert parts == ['lost', 'lost again']


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_raised_while_the_command_cleans_up(monkeypatch, number):
  monkeypatch.setattr(signals, '_PERIOD', 0.02)
  cleaned = []

  @contextlib.contextmanager
  def folder():
    try:
      yield
    finally:
      time.sleep(0.2)
      with contextlib.suppress(ValueError):
        raise ValueError
      cleaned.append('folder')

  def work():
    try:
      with folder():
        signal.raise_signal(number)
    except BaseException as error:
      try:
        raise ValueError from error
      except ValueError:
        time.sleep(0.2)
        cleaned.append('error')
      raise

  with pytest.raises((signals.Stopped, KeyboardInterrupt)), signals.raising():
    work()
  time.sleep(0.1)
  assert cleaned == ['folder', 'error']


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_raised_after_the_context(monkeypatch, number):
  monkeypatch.setattr(signals, '_PERIOD', 0.001)

  def work(seconds):
    with signals.raising():
      in_code_that_catches_all(number)
      time.sleep(seconds)

  num_raised = 0
  for i in range(100):
    try:
      work(0.002 * (i % 10))  # Some are long enough on a busy machine.
    except (signals.Stopped, KeyboardInterrupt):
      num_raised += 1
    for _ in range(100):
      pass
  time.sleep(0.01)
  assert num_raised > 0


def test_no_thread_is_left():
  before = threading.active_count()
  with signals.raising():
    assert threading.active_count() == before + 1
  assert threading.active_count() == before


def test_ignored_interrupts_stay_ignored():
  old = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    with signals.raising():
      signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
  finally:
    signal.signal(signal.SIGINT, old)


@pytest.mark.parametrize(
  ('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_command_ends_with_the_status_of_the_signal(
  monkeypatch, capsys, number, status
):
  monkeypatch.setattr(report, 'run', lambda args: os.kill(os.getpid(), number))
  assert cli.main(['report', 'runs/x']) == status
  (line,) = capsys.readouterr().err.strip().splitlines()
  assert line.startswith('vgen report: stopped by ')

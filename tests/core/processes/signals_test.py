"""Tests of the exit status of commands that a signal stops."""

import os
import signal

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
